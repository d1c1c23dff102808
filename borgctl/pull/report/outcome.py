"""Outcome: judge how a run ended, from facts alone. The only such table.

About the client's end only the gate's exit line is believed. Without it a run has failed, whatever the status. With it
a run is good only if our own serve ended well, the guard refused nothing, and the repository has what a job of this
kind leaves there.

    >>> judge_run(RunFacts(exit=None, status=255)) == Verdict("failed", "ssh", 255, "connection-lost")
    True
"""

from borgctl.data_class import dataclass, replace
from borgctl.pull.client.events import Exit
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.repository.guard_process import Passed, Refused
from borgctl.pull.repository.sessions import GuardSession
from borgctl.wire.frames import DRY_RUN, GOOD

ACCEPTED = "accepted-warnings"  # the reason of a run that is good despite warnings
SKIPPED = "skipped"  # the outcome of a target that was left out on purpose
_ADDING = ("create", "init")


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The facts once everything has ended; a status is None for what was never started, negative for a signal.

    `ended` is why the launcher ended it: timeout, deadline, stopped, stream-limit, guard-failed, server-full, None.
    `peer` is the program that reaches the client: ssh, or the gate itself (transport local). `serve_first`: serve
    failed while the client was still there. `serve_needed` is False for hello. `guard_fault` is what was wrong with the
    guard's end, `passed` what the guard passed, `refused` what it refused. `stray` is output on a stdout that should
    have none, `sent` what ssh wrote to the network, in bytes.
    """

    exit: Exit | None = None
    started: bool = True
    mismatch: bool = False
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
    sent: int | None = None


def judge_run(facts: RunFacts) -> Verdict:
    """Return the verdict; the first test that applies decides."""
    exit_line = facts.exit
    if facts.refused is not None and facts.refused.stray:
        return Verdict("failed", "guard", None, "stray-output")
    if facts.refused is not None:  # a repository that was never made is no attack
        missing = (facts.refused.session, facts.refused.method, facts.refused.rule) == ("init", "open", "create")
        return Verdict("failed", "guard", None, "no-repository" if missing else "rpc-refused")
    if facts.ended is not None:
        late = facts.ended in ("timeout", "deadline")
        return Verdict("timeout" if late else "failed", "launcher", None, facts.ended)
    if facts.mismatch:
        return Verdict("failed", "launcher", facts.status, "frame-mismatch")
    if exit_line is None and facts.serve_first:
        return Verdict("failed", "serve", facts.serve, "serve-failed")
    if exit_line is None and facts.peer == "ssh" and facts.status == 255:
        return Verdict("failed", "ssh", 255, "connection-lost" if facts.started else "ssh-failed")
    if exit_line is None:
        return Verdict("failed", "launcher", facts.status, "no-exit-line")
    if exit_line.outcome not in GOOD:
        return Verdict(exit_line.outcome, exit_line.origin, exit_line.code, exit_line.reason)
    return _good(facts, exit_line)


def _good(facts: RunFacts, exit_line: Exit) -> Verdict:
    """Judge a run that the gate calls good."""
    if facts.serve_needed and not facts.started:
        return Verdict("failed", "launcher", facts.status, "no-start")
    if exit_line.outcome == "ok" and exit_line.code != 0:
        return Verdict("failed", "launcher", exit_line.code, "exit-code-mismatch")
    dry = exit_line.reason == DRY_RUN  # serve got nothing, and complains of that
    if facts.serve_needed and not dry and facts.serve is None:
        return Verdict("failed", "launcher", None, "serve-unused")
    if facts.serve_needed and not dry and facts.serve != 0:
        return Verdict("failed", "serve", facts.serve, "serve-failed")
    if facts.serve_needed and facts.guard_fault is not None:
        return Verdict("failed", "launcher", None, "guard-failed")
    if facts.status not in (exit_line.code, 255):  # 255: connection lost after the exit line, which changes nothing
        return Verdict("failed", "launcher", facts.status, "exit-code-mismatch")
    if dry:
        return Verdict("warning", "launcher", exit_line.code, DRY_RUN)
    if facts.result_cut:
        return Verdict("warning", "launcher", exit_line.code, "result-cut")
    return Verdict(exit_line.outcome, exit_line.origin, exit_line.code, exit_line.reason)


def require_commit(
    verdict: Verdict, session: GuardSession, passed: Passed | None, command: str | None, moved: bool
) -> Verdict:
    """Return the verdict, or a failed one where a run reports success without what a job of its kind leaves.

    `moved`: the repository has another transaction than before, with another manifest. `command` is the client's word.
    It can only demand more: a session that may delete must commit what it deleted, and also what it calls an archive.
    """
    counts = passed or Passed()
    if verdict.reason == DRY_RUN and not (counts.puts or counts.deletes or counts.keys):
        return verdict
    wanted = session.commits or (session.name == "prune" and (counts.deletes > 0 or command in _ADDING))
    if verdict.outcome not in GOOD or not wanted or (counts.committed_manifests > 0 and moved):
        return verdict
    return Verdict("failed", "launcher", verdict.code, "nothing-committed")


def require_files(verdict: Verdict, files: int | None, before: int | None) -> Verdict:
    """Return the verdict, or a failed one where a good run saved no file, and the last good one some.

    The numbers are None where unknown. An empty mount point looks like that.
    """
    if verdict.outcome in GOOD and verdict.reason != DRY_RUN and files == 0 and before:
        return Verdict("failed", "launcher", verdict.code, "nothing-backed-up")
    return verdict


def accept_warnings(verdict: Verdict, kinds: tuple[str, ...], exit_line: Exit | None) -> Verdict:
    """Return the verdict, or a good one where the target accepts every kind of borg's warnings.

    The counts are the client's word, as is all that it says of its files. Without counts there is nothing to accept.
    """
    counts = {kind: number for kind, number in exit_line.warnings.items() if number} if exit_line is not None else {}
    if (verdict.outcome, verdict.origin, verdict.reason) != ("warning", "borg", None) or not counts:
        return verdict
    return replace(verdict, outcome="ok", reason=ACCEPTED) if set(counts) <= set(kinds) else verdict


def exit_status(outcomes: list[str]) -> int:
    """Return the launcher's exit status: 0 all ok or skipped on purpose, 1 warnings, 2 anything else."""
    judged = [outcome for outcome in outcomes if outcome != SKIPPED]
    if all(outcome == "ok" for outcome in judged):
        return 0
    return 1 if all(outcome in GOOD for outcome in judged) else 2
