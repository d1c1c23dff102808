"""Reasons: every way in which a request can end other than well.

One table holds each reason's code, its exit status, the outcome it leads to, whether a later retry of the very same
request may succeed, and one sentence of what to do. `docs/reasons.md` is made from it. This module knows nothing else.

    >>> raise BorgctlError("unknown-job", "no job 'weekly' in this policy")
    Traceback (most recent call last):
    borgctl.errors.BorgctlError: no job 'weekly' in this policy
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
    "repository-damaged",
    "source-missing",
    "borg-missing",
    "no-space",
    "repository-busy",
    "rate-limited",
    "sessions-full",
    "transport-failed",
    "log-unusable",
    "pipe-without-writer",
    "disconnected",
    "stopped",
    "internal",
    "hook-failed",
    "window-expired",
    "runtime-limit",
    "memory-limit",
    "nothing-matched",
    "output-limit",
]


@dataclass(frozen=True, slots=True)
class Reason:
    """One row: `status` is an exit status (sysexits(3) where one fits), `retry` whether the same request may work later."""

    code: Code
    status: int
    outcome: str
    retry: bool
    advice: str


_TABLE = (
    # 76: the request is not in the language
    Reason("not-printable", 76, "malformed", False, "send printable ASCII only"),
    Reason(
        "request-too-long",
        76,
        "malformed",
        False,
        "a request has at most 16 KiB and 128 words; what it spells out, 8 KiB and 1000 characters a word",
    ),
    Reason("bad-quoting", 76, "malformed", False, "quote a word with special characters in single quotes"),
    Reason("empty-request", 76, "malformed", False, "say 'hello', 'run JOB' or 'borg SUBCOMMAND ...'"),
    Reason("unknown-verb", 76, "malformed", False, "say 'hello', 'run JOB' or 'borg SUBCOMMAND ...'"),
    Reason(
        "unknown-command", 76, "malformed", False, "say one of the subcommands create, list, info, check, prune, init"
    ),
    Reason("unknown-option", 76, "malformed", False, "write options out in full, --name or --name=value"),
    Reason("bad-value", 76, "malformed", False, "correct the value; the client's audit log says what is wrong with it"),
    Reason(
        "bad-words", 76, "malformed", False, "give each option once, and only the operands that the subcommand takes"
    ),
    Reason("conflicting-values", 76, "malformed", False, "name socket and repository once, or with equal values"),
    # 77: understood, and not on offer
    Reason(
        "unknown-job",
        77,
        "refused",
        False,
        "the client's policy has no such job: 'borgctl explain POLICY' there lists them",
    ),
    Reason(
        "unknown-repository", 77, "refused", False, "add the repository to the client's policy, or ask for one it has"
    ),
    Reason(
        "repository-needed", 77, "refused", False, "the policy has several repositories: name one with --repository="
    ),
    Reason("command-not-offered", 77, "refused", False, "add the subcommand to 'commands' in the client's policy"),
    Reason(
        "option-not-offered", 77, "refused", False, "add the option to the command's 'options' in the client's policy"
    ),
    Reason(
        "path-not-offered", 77, "refused", False, "ask for paths inside the command's 'paths' in the client's policy"
    ),
    Reason("names-not-disclosed", 77, "refused", False, "the policy says 'disclose: counts': file names stay here"),
    Reason(
        "encryption-required",
        77,
        "refused",
        False,
        "use a repokey or keyfile mode, or say 'encryption: none' in the policy",
    ),
    Reason("transport-not-offered", 77, "refused", False, "add the transport to 'transports' in the client's policy"),
    Reason("socket-refused", 77, "refused", False, "forward a fresh name directly in the policy's socket directory"),
    Reason("source-refused", 77, "refused", False, "name real directories and files that no other user can redirect"),
    Reason(
        "repository-known",
        77,
        "refused",
        False,
        "it was made before: 'init' is for a repository that this client has never used",
    ),
    Reason(
        "repository-replaced",
        77,
        "refused",
        False,
        "the server showed another repository or key than before; only if that was you: 'borgctl moved POLICY --forget' for another repository, 'borgctl passphrase POLICY --adopt' for another key",
    ),
    Reason(
        "nonce-refused",
        77,
        "refused",
        False,
        "the server says that borg's nonces are nearly used up: if it is yours, look at the file 'nonce' of the repository there and see docs/restore.md",
    ),
    Reason(
        "window-closed", 77, "refused", False, "the client's policy has to say how long a window may be: 'window: 30m'"
    ),
    Reason(
        "window-too-long", 77, "refused", False, "ask for less: 'window' in the client's policy is the longest time"
    ),
    # 78: the client's own set-up is not usable
    Reason("not-isolated", 78, "refused", False, "start the gate as: python3 -I -m borgctl.gate --policy FILE"),
    Reason("usage", 78, "refused", False, "start the gate as: python3 -I -m borgctl.gate --policy FILE"),
    Reason("policy-unreadable", 78, "refused", False, "check that the policy is there under this name and can be read"),
    Reason(
        "policy-unsafe",
        78,
        "refused",
        False,
        "only root or the gate's user may own or write the policy and its directories",
    ),
    Reason(
        "policy-invalid", 78, "refused", False, "run 'borgctl lint' on the client, or see this run in its audit log"
    ),
    Reason(
        "sandbox-unavailable",
        78,
        "refused",
        False,
        "see what is missing with 'borgctl lint' on the client, or write 'sandbox: prefer' or 'off' in the policy",
    ),
    Reason(
        "passphrase-unusable",
        78,
        "refused",
        False,
        "the passphrase must be one line in a file of mode 0600, or printed by the program",
    ),
    Reason(
        "patterns-unusable",
        78,
        "refused",
        False,
        "only root or the gate's user may own or write a file of patterns and the directories above; at most 1 MiB",
    ),
    Reason(
        "device-unusable",
        78,
        "refused",
        False,
        "a path below /dev has to be a block device, or lead to one through links that no other user can change: see its audit log for which",
    ),
    Reason(
        "base-unusable",
        78,
        "refused",
        False,
        "make room for the base directory; only root or the gate's user may own or write it and those above",
    ),
    Reason(
        "borg-unsafe",
        78,
        "refused",
        False,
        "only root or the gate's user may own or write borg, its Python with all libraries, and the directories above",
    ),
    Reason("borg-unsupported", 78, "refused", False, "install borg 1.2 or 1.4; for 1.2, leave out what came with 1.4"),
    Reason(
        "repository-elsewhere",
        78,
        "refused",
        False,
        "one repository has one base: name the same with 'base:' in both policies of this client, or give the repository up in one of them: 'borgctl moved POLICY --forget'",
    ),
    # 65: borg was there, and what it read is not as it was stored
    Reason(
        "repository-damaged",
        65,
        "failed",
        False,
        "make a copy of the repository on the server before anything else, then see docs/repair.md",
    ),
    # 66: there is nothing to read
    Reason(
        "source-missing",
        66,
        "failed",
        True,
        "a path that is to be saved is not there on the client: its audit log names it, under this run's id; is it mounted?",
    ),
    # 69: not now
    Reason(
        "borg-missing",
        69,
        "failed",
        True,
        "install borg, or name its path with 'borg:' in the policy; see that it runs",
    ),
    Reason(
        "no-space",
        69,
        "failed",
        True,
        "make room on the client's disk: its audit log, or syslog where that is on the same disk, names the directory",
    ),
    Reason("repository-busy", 69, "busy", True, "wait until the run that uses this repository has ended"),
    Reason("rate-limited", 69, "busy", True, "wait: a key may make 1000 requests at once, and 120 an hour after that"),
    Reason("sessions-full", 69, "busy", True, "wait, or raise 'limits: sessions' in the client's policy"),
    Reason(
        "transport-failed",
        69,
        "failed",
        True,
        "look at the server's end: it must serve the repository on this connection",
    ),
    Reason(
        "log-unusable",
        69,
        "failed",
        True,
        "make room for the audit log, and let only root or the gate's user write there",
    ),
    Reason(
        "pipe-without-writer",
        69,
        "failed",
        True,
        "let a hook 'before' start what writes into the pipe, like [/usr/bin/setsid, --fork, /bin/sh, -c, 'PROGRAM >PIPE'], or "
        "leave the pipe out: the client's audit log names it",
    ),
    Reason("disconnected", 69, "disconnected", True, "the server went away: run again"),
    Reason("stopped", 69, "failed", True, "the gate was told to stop by a signal: run again"),
    # the rest
    Reason("internal", 70, "internal", False, "a defect of the gate: please report it with the run id"),
    Reason(
        "hook-failed",
        74,
        "hook-failed",
        True,
        "which hook, why, and what it said last: on the client, 'borgctl audit show --run ID'",
    ),
    Reason("window-expired", 124, "limit", True, "the window closed before the command ended: open a longer one"),
    Reason("runtime-limit", 124, "limit", True, "raise 'limits: runtime' in the client's policy, or run more often"),
    Reason(
        "memory-limit", 124, "limit", False, "borg needs more than 'limits: memory' in the client's policy: raise it"
    ),
    Reason(
        "nothing-matched",
        1,
        "warning",
        False,
        "no archive has such a name: correct 'glob-archives' in the client's policy (was the client renamed?)",
    ),
    Reason("output-limit", 124, "limit", False, "ask for less output: --first, --last or --glob-archives"),
)

# a code that is not in `Code` is an error of types, here and where a reason is given
REASONS: dict[str, Reason] = {reason.code: reason for reason in _TABLE}


class BorgctlError(Exception):
    """Carry a reason and one line of detail; caught once, in each program's `main`.

    `detail` may quote what a peer sent and is for the log of this side; a peer is told what `for_peer` returns.
    """

    def __init__(self, code: Code, detail: str, hint: str | None = None) -> None:
        super().__init__(detail)
        self.reason = REASONS[code]
        self.detail = detail
        self.hint = hint or self.reason.advice


class BadValue(ValueError):  # noqa: N818 - reads as what it says where it is raised
    """A text is not what its type allows; the message names the text and what is expected."""
