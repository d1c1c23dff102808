"""Reasons: every way in which a request can end without full success.

The tables hold each reason's code and advice by its exit status and outcome, and whether a retry of the very same request
may succeed. `docs/reasons.md` is made from them. This module knows nothing else.

    >>> REASONS["unknown-job"].status
    77
"""

from typing import Literal

from borgctl.data_class import dataclass

Code = Literal[
    "not-printable",
    "request-too-long",
    "bad-quoting",
    "empty-request",
    "unknown-verb",
    "unknown-command",
    "unknown-option",
    "bad-value",
    "bad-words",
    "conflicting-values",
    "unknown-job",
    "unknown-repository",
    "repository-needed",
    "command-not-offered",
    "option-not-offered",
    "path-not-offered",
    "names-not-disclosed",
    "encryption-required",
    "transport-not-offered",
    "socket-refused",
    "source-refused",
    "repository-known",
    "repository-replaced",
    "nonce-refused",
    "window-closed",
    "window-too-long",
    "not-isolated",
    "usage",
    "policy-unreadable",
    "policy-unsafe",
    "policy-invalid",
    "sandbox-unavailable",
    "passphrase-unusable",
    "patterns-unusable",
    "device-unusable",
    "base-unusable",
    "borg-unsafe",
    "borg-unsupported",
    "repository-elsewhere",
    "borg-missing",
    "no-space",
    "transport-failed",
    "log-unusable",
    "pipe-without-writer",
    "stopped",
    "repository-busy",
    "rate-limited",
    "sessions-full",
    "window-expired",
    "runtime-limit",
    "memory-limit",
    "output-limit",
    "disconnected",
    "repository-damaged",
    "source-missing",
    "hook-failed",
    "internal",
    "nothing-matched",
]


@dataclass(frozen=True, slots=True)
class Reason:
    """One row: `status` is an exit status (sysexits(3) where one fits), `retry` whether the same request may work later."""

    code: Code
    status: int
    outcome: str
    retry: bool
    advice: str


# 76: the request is not in the language
_MALFORMED: dict[Code, str] = {
    "not-printable": "send printable ASCII only",
    "request-too-long": "send at most 16 KiB and 128 words; for a subcommand, 8 KiB and 1000 characters a word",
    "bad-quoting": "quote a word with special characters in single quotes",
    "empty-request": "send 'hello', 'run JOB' or 'borg SUBCOMMAND ...'",
    "unknown-verb": "send 'hello', 'run JOB' or 'borg SUBCOMMAND ...'",
    "unknown-command": "use one of the subcommands create, list, info, check, prune, init",
    "unknown-option": "write options out in full, --name or --name=value",
    "bad-value": "correct the value; the client's audit log says what is wrong with it",
    "bad-words": "give each option once, and only the operands that the subcommand takes",
    "conflicting-values": "name socket and repository once, or with equal values",
}
# 77: the request is understood, and the policy does not offer it
_REFUSED: dict[Code, str] = {
    "unknown-job": "the client's policy has no such job: on the client, 'borgctl explain POLICY' lists its jobs",
    "unknown-repository": "add the repository to the client's policy, or name one that it has",
    "repository-needed": "the policy has several repositories: name one with --repository=",
    "command-not-offered": "add the subcommand to 'commands' in the client's policy",
    "option-not-offered": "add the option to the command's 'options' in the client's policy",
    "path-not-offered": "ask for paths inside the command's 'paths' in the client's policy",
    "names-not-disclosed": "the policy says 'disclose: counts': file names stay on the client",
    "encryption-required": "use a repokey or keyfile mode, or write 'encryption: none' in the policy",
    "transport-not-offered": "add the transport to 'transports' in the client's policy",
    "socket-refused": "forward a fresh socket name directly in the policy's socket directory",
    "source-refused": "name real directories and files that no other user can redirect",
    "repository-known": "the repository was made before: 'init' is for one that this client has never used",
    "repository-replaced": "the server showed another repository or key than before; only if you changed it: 'borgctl moved POLICY --forget' for another repository, 'borgctl passphrase POLICY --adopt' for another key",
    "nonce-refused": "the server says that borg's nonces are nearly used up: if it is your server, look at the file 'nonce' of the repository there and see docs/restore.md",
    "window-closed": "set how long a restore window may be in the client's policy: 'window: 30m'",
    "window-too-long": "ask for less: 'window' in the client's policy is the longest time",
}
# 78: the client's own set-up is not usable
_UNUSABLE: dict[Code, str] = {
    "not-isolated": "start the gate as: python3 -I -m borgctl.gate --policy FILE",
    "usage": "start the gate as: python3 -I -m borgctl.gate --policy FILE",
    "policy-unreadable": "check that the policy exists under this name and can be read",
    "policy-unsafe": "only root or the gate's user may own or write the policy and its directories",
    "policy-invalid": "run 'borgctl lint' on the client, or see this run in its audit log",
    "sandbox-unavailable": "run 'borgctl lint' on the client to see what is missing, or write 'sandbox: prefer' or 'off' in the policy",
    "passphrase-unusable": "the passphrase must be one line, in a file of mode 0600 or printed by the program",
    "patterns-unusable": "only root or the gate's user may own or write a file of patterns and the directories above; it has at most 1 MiB",
    "device-unusable": "a path below /dev must be a block device, or lead to one through links that no other user can change: the client's audit log names it",
    "base-unusable": "make room for the base directory; only root or the gate's user may own or write it and the directories above",
    "borg-unsafe": "only root or the gate's user may own or write borg, its Python with all libraries, and the directories above",
    "borg-unsupported": "install borg 1.2 or 1.4; with 1.2, leave out what 1.4 added",
    "repository-elsewhere": "one repository has one base: name the same with 'base:' in both policies of this client, or give up the repository in one of them: 'borgctl moved POLICY --forget'",
}
# 69: not now
_FAILED_FOR_NOW: dict[Code, str] = {
    "borg-missing": "install borg, or name its path with 'borg:' in the policy; check that it runs",
    "no-space": "make room on the client's disk: its audit log, or syslog where that is on the same disk, names the directory",
    "transport-failed": "look at the server's end: it must serve the repository on this connection",
    "log-unusable": "make room for the audit log, and let only root or the gate's user write there",
    "pipe-without-writer": "let a hook 'before' start the program that writes into the pipe, like [/usr/bin/setsid, --fork, /bin/sh, -c, 'PROGRAM >PIPE'], or leave the pipe out: the client's audit log names it",
    "stopped": "a signal told the gate to stop: run again",
}
_BUSY: dict[Code, str] = {
    "repository-busy": "wait until the run that uses this repository has ended",
    "rate-limited": "wait: a key may make 1000 requests at once, and 120 an hour after that",
    "sessions-full": "wait, or raise 'limits: sessions' in the client's policy",
}
# 124: a limit ended it, as in timeout(1)
_LIMITED: dict[Code, tuple[bool, str]] = {
    "window-expired": (True, "the restore window closed before the command ended: open a longer one"),
    "runtime-limit": (True, "raise 'limits: runtime' in the client's policy, or run more often"),
    "memory-limit": (False, "borg needs more than 'limits: memory' in the client's policy: raise it"),
    "output-limit": (False, "ask for less output: --first, --last or --glob-archives"),
}

_TABLE = (
    *(Reason(code, 76, "malformed", False, advice) for code, advice in _MALFORMED.items()),
    *(Reason(code, 77, "refused", False, advice) for code, advice in _REFUSED.items()),
    *(Reason(code, 78, "refused", False, advice) for code, advice in _UNUSABLE.items()),
    *(Reason(code, 69, "failed", True, advice) for code, advice in _FAILED_FOR_NOW.items()),
    *(Reason(code, 69, "busy", True, advice) for code, advice in _BUSY.items()),
    *(Reason(code, 124, "limit", retry, advice) for code, (retry, advice) in _LIMITED.items()),
    # 69: the connection; 65: what borg read is not what was stored; 66: there is nothing to read
    Reason("disconnected", 69, "disconnected", True, "the connection to the server was lost: run again"),
    Reason(
        "repository-damaged",
        65,
        "failed",
        False,
        "make a copy of the repository on the server before anything else, then see docs/repair.md",
    ),
    Reason(
        "source-missing",
        66,
        "failed",
        True,
        "a path that the job saves is missing on the client (is it mounted?): the client's audit log names it, under this run's id",
    ),
    Reason(
        "hook-failed",
        74,
        "hook-failed",
        True,
        "see which hook failed, why, and its last output: on the client, 'borgctl audit show --run ID'",
    ),
    Reason("internal", 70, "internal", False, "this is a defect of the gate: please report it with the run id"),
    Reason(
        "nothing-matched",
        1,
        "warning",
        False,
        "no archive has such a name: correct 'glob-archives' in the client's policy (was the client renamed?)",
    ),
)

# a code that is not in `Code` is a type error, here and where a reason is given
REASONS: dict[str, Reason] = {reason.code: reason for reason in _TABLE}
