"""Outcome: the one table that says how a run ended, from facts alone.

The gate's exit line is believed about the client's end, and nothing else is: without it a run has failed, whatever the
status; with it a run is good only if our own serve ended well too, if the guard let all pass, and if the repository has
what a job of this kind leaves there.

    >>> judge(Facts(exit=None, status=255)) == Verdict("failed", "ssh", 255, "connection-lost")
    True
"""

from dataclasses import dataclass, replace

from borgctl.errors import REASONS
from borgctl.pull.client.frames import Exit
from borgctl.pull.repository.guard import Passed, Refused
from borgctl.pull.repository.sessions import GuardSession
from borgctl.pull.targets.paths import BUSY
from borgctl.wire.frames import DRY_RUN, GOOD

ACCEPTED = "accepted-warnings"  # the reason of a run that is good, though borg warned
_ADDING = ("create", "init")
ADVICE = {
    "dry-run": "nothing was saved, as it was a dry run: take 'dry-run' out of the job in the client's policy",
    ACCEPTED: "borg warned of nothing but what the target file accepts ('accept_warnings')",
    "timeout": "raise 'timeout' in the target file, or run more often",
    "stopped": "run again: borg goes on from its last checkpoint",
    "broken-off": "borgpull was killed or failed, or this machine went down: run again",
    "window-cut": "a command of the client's admin was cut short: open another window",
    "stream-limit": "the client sent a line of more than 1 MiB: look at what it runs",
    "ssh-failed": "can the client be reached under this name and port?",
    "connection-lost": "what borg had committed is kept, its last checkpoint too: run again",
    "stray-output": "the client's login prints on stdout before the gate speaks: is its shell one that runs commands? "
    "there let ~/.bashrc, /etc/bash.bashrc, ~/.zshenv, /etc/zsh/zshenv, ~/.cshrc, ~/.ssh/rc and /etc/ssh/sshrc "
    "print nothing, or to stderr (echo hi >&2)",
    "no-exit-line": "the gate did not say how it ended: is it the key's forced command? was it killed?",
    "frame-mismatch": "the client answered for another run, job or repository: is the right gate behind this key?",
    "no-start": "the gate reports success without having started: look at the client",
    "exit-code-mismatch": "the gate's exit line and its exit status contradict each other: look at the client",
    "serve-failed": "read serve's messages above, then check the repository on the server",
    "serve-missing": "check 'borg' in the target file",
    "serve-unused": "the client never connected to the forwarded socket",
    "result-cut": "ask for less: borg's result had more than 4 MiB and was cut",
    "target-busy": BUSY,
    "repository-gone": "is its disk mounted, is 'repository' right? a lost 'config' comes back with: borgpull copies "
    "TARGET; to begin anew on purpose: borgpull forget TARGET --repository",
    "repository-replaced": "another one is mounted or was put there, or its 'config' is damaged: borgpull copies "
    "TARGET; to take what is there on purpose: borgpull forget TARGET --repository",
    "alert-stands": "compact makes final what was marked deleted: look into the alerts (docs/going-back.md), then: "
    "borgpull accept TARGET --reason TEXT",
    "repository-known": "it was made before; to begin anew on purpose: borgpull forget TARGET --repository",
    "repository-unfinished": "an earlier 'init' broke off (was the disk full?): remove what it left on this server, "
    "then: borgpull run TARGET --job init",
    "server-full": "make room on this server's disk, or free what pruning has marked: borgpull compact TARGET",
    "guard-failed": "the guard in front of borg serve ended before it could say what it let pass: see the error above",
    "nothing-committed": "the client reports success and has saved nothing: look at the client; if the job only reads, "
    "or prunes, say so in the target file, under 'jobs'",
    "nothing-backed-up": "no file was there, and the last good run had some: is it mounted on the client? if it is "
    "empty on purpose: borgpull accept TARGET --reason TEXT",
    "no-repository": "is its disk mounted, is 'repository' right? if it was never made: borgpull run TARGET --job init",
    "target-invalid": "see the error above: 'borgpull targets' shows all that is wrong",
    "not-started": "see the error above",
    "internal": "a defect of borgpull: please report it with the error above",
    "host-key-missing": "run the line that 'borgctl authorize' prints on the client: "
    "borgpull trust TARGET 'ssh-ed25519 AAAA…'",
    "unknown-protocol": "the gate speaks another protocol: bring both sides to the same version",
    "no-hello": "the client did not answer 'hello': is the gate the key's forced command?",
    "no-jobs": "the client's policy has no job with command create: name jobs in the target file",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known when everything has ended; a status is None for what was never started, negative for a signal.

    `ended` says why the launcher ended it: timeout, stopped, stream-limit, guard-failed, server-full, None. `peer` is
    what ran on our side of the client: ssh, or the gate itself (transport local). `serve_first`: serve failed while the
    client was still there, and not because it had gone. `serve_needed` is False for hello. `guard_fault` is what was
    wrong with the guard's end; `passed` is what it let pass, `refused` what it did not. `stray` is what came on stdout
    where nothing was to come.
    """

    exit: Exit | None = None
    started: bool = True
    astray: bool = False
    ended: str | None = None
    peer: str = "ssh"
    status: int | None = 0
    serve: int | None = 0
    serve_first: bool = False
    serve_needed: bool = True
    result_cut: bool = False
    guard_fault: str | None = None
    passed: Passed | None = None
    refused: Refused | None = None
    stray: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it ended, who says so (borg, gate, ssh, serve, guard, launcher), their exit status, and a reason code."""

    outcome: str
    origin: str
    code: int | None = None
    reason: str | None = None

    @property
    def advice(self) -> str | None:
        """Return what to do about it, in one sentence; the gate's reasons are those of `errors`, all others ours."""
        if self.origin not in ("borg", "gate"):
            return ADVICE.get(self.reason or "")
        return REASONS[self.reason].advice if self.reason in REASONS else None


def judge(facts: Facts) -> Verdict:
    """Return the verdict; the order of the questions is their rank."""
    told = facts.exit
    if facts.refused is not None and facts.refused.stray:
        return Verdict("failed", "guard", None, "stray-output")
    if facts.refused is not None:  # a repository that nobody has made yet is no attack
        missing = (facts.refused.session, facts.refused.method, facts.refused.rule) == ("init", "open", "create")
        return Verdict("failed", "guard", None, "no-repository" if missing else "rpc-refused")
    if facts.ended is not None:
        return Verdict("timeout" if facts.ended == "timeout" else "failed", "launcher", None, facts.ended)
    if facts.astray:
        return Verdict("failed", "launcher", facts.status, "frame-mismatch")
    if told is None and facts.serve_first:
        return Verdict("failed", "serve", facts.serve, "serve-failed")
    if told is None and facts.peer == "ssh" and facts.status == 255:
        return Verdict("failed", "ssh", 255, "connection-lost" if facts.started else "ssh-failed")
    if told is None:
        return Verdict("failed", "launcher", facts.status, "no-exit-line")
    if told.outcome not in GOOD:
        return Verdict(told.outcome, told.origin, told.code, told.reason)
    return _good(facts, told)


def _good(facts: Facts, told: Exit) -> Verdict:
    """Judge a run that the gate calls good."""
    if facts.serve_needed and not facts.started:
        return Verdict("failed", "launcher", facts.status, "no-start")
    if told.outcome == "ok" and told.code != 0:
        return Verdict("failed", "launcher", told.code, "exit-code-mismatch")
    dry = told.reason == DRY_RUN  # nothing was said to serve, which complains of that
    if facts.serve_needed and not dry and facts.serve is None:
        return Verdict("failed", "launcher", None, "serve-unused")
    if facts.serve_needed and not dry and facts.serve != 0:
        return Verdict("failed", "serve", facts.serve, "serve-failed")
    if facts.serve_needed and facts.guard_fault is not None:
        return Verdict("failed", "launcher", None, "guard-failed")
    if facts.status not in (told.code, 255):  # 255: the connection was lost after the last word, and changes nothing
        return Verdict("failed", "launcher", facts.status, "exit-code-mismatch")
    if dry:
        return Verdict("warning", "launcher", told.code, DRY_RUN)
    if facts.result_cut:
        return Verdict("warning", "launcher", told.code, "result-cut")
    return Verdict(told.outcome, told.origin, told.code, told.reason)


def committed(
    verdict: Verdict, session: GuardSession, passed: Passed | None, command: str | None, moved: bool
) -> Verdict:
    """Return the verdict, or that of a run that reports success and has left nothing that a job of its kind leaves.

    `moved`: the repository has another transaction than before. `command` is the client's word, which can only ask
    for more: a session that may delete has to commit what it deleted, and also what it calls an archive.
    """
    counts = passed or Passed()
    if verdict.reason == DRY_RUN and not (counts.puts or counts.deletes or counts.keys):
        return verdict
    wanted = session.commits or (session.name == "prune" and (counts.deletes > 0 or command in _ADDING))
    if verdict.outcome not in GOOD or not wanted or (counts.committed_manifests > 0 and moved):
        return verdict
    return Verdict("failed", "launcher", verdict.code, "nothing-committed")


def emptied(verdict: Verdict, files: int | None, before: int | None) -> Verdict:
    """Return the verdict, or that of a good run that has saved no file where the last good one had some.

    None where a number is not known. An empty mount point looks like that.
    """
    if verdict.outcome in GOOD and verdict.reason != DRY_RUN and files == 0 and before:
        return Verdict("failed", "launcher", verdict.code, "nothing-backed-up")
    return verdict


def tolerated(verdict: Verdict, kinds: tuple[str, ...], told: Exit | None) -> Verdict:
    """Return the verdict, or a good one where all that borg warned of are warnings that the target accepts.

    The counts are the client's word, as is all that it says of its files; without any there is nothing to accept.
    """
    counts = {kind: number for kind, number in told.warnings.items() if number} if told is not None else {}
    if (verdict.outcome, verdict.origin, verdict.reason) != ("warning", "borg", None) or not counts:
        return verdict
    return replace(verdict, outcome="ok", reason=ACCEPTED) if set(counts) <= set(kinds) else verdict


def exit_status(outcomes: list[str]) -> int:
    """Return the launcher's exit status: 0 all ok, 1 warnings, 2 anything else."""
    if all(outcome == "ok" for outcome in outcomes):
        return 0
    return 1 if all(outcome in GOOD for outcome in outcomes) else 2
