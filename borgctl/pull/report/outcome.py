"""Outcome: the one table that says how a run ended, from facts alone.

The gate's exit line is believed about the client's end, and nothing else is: without it a run has failed, whatever the
status; with it a run is good only if our own serve ended well too, if the guard let all pass, and if the repository has
what a job of this kind leaves there.

    judge(Facts(exit=None, status=255)) == Verdict("failed", "ssh", 255, "ssh-failed")
"""

from dataclasses import dataclass, replace

from borgctl.pull.client.frames import Exit
from borgctl.pull.client.verdict import GOOD, Verdict
from borgctl.pull.repository.guard import Passed, Refused
from borgctl.pull.repository.sessions import GuardSession

DRY_RUN = "dry-run"  # the gate's reason for a run that is good, and no backup (docs/wire.md)
ACCEPTED = "accepted-warnings"  # the reason of a run that is good, though borg warned
_ADDING = ("create", "init")


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
