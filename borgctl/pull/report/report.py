"""Report: one run, for people (a line) and for programs (a JSON object).

summary(report) == "web1 default: ok, 20016 files, 1.2 GB original, 3.4 MB new, 18 s"
"""

from datetime import UTC, datetime
from typing import Any

from borgctl.borg.warning_kinds import counts_text
from borgctl.console.text import elapsed
from borgctl.data_class import asdict, dataclass
from borgctl.pull.client.events import AuditProof
from borgctl.pull.client.transcript import Transcript
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.report.hints import advice
from borgctl.pull.report.progress_text import position
from borgctl.pull.report.record_run import alert_line
from borgctl.pull.repository.guard_process import Passed, Refused
from borgctl.pull.state.state import Alert
from borgctl.pull.targets.owner import typed
from borgctl.text import size

_MOST_ARCHIVES = 10_000
_MOST_LINES = 100_000  # each gets the target's name in front
_WIDEST_NAME = 100


@dataclass(frozen=True, slots=True)
class RunReport:
    """All about one run; `job` is None where it did not reach one, `serve` is borg serve's exit status.

    `passed` is what the client did to the repository, `refused` what the guard refused, `hint` what to do about that,
    `sent` how many bytes ssh sent to the client; `again`: it failed by what may pass, and is tried again soon.
    """

    target: str
    job: str | None
    verdict: Verdict
    begun: float
    duration: float
    transcript: Transcript
    serve: int | None
    alerts: tuple[Alert, ...] = ()
    passed: Passed | None = None
    refused: Refused | None = None
    hint: str | None = None
    sent: int | None = None
    again: bool = False

    @property
    def title(self) -> str:
        """Return what it is about: the target, and the job where it reached one."""
        return f"{self.target} {self.job}" if self.job else self.target


def advice_of(report: RunReport) -> str | None:
    """Return what to do about a run, in one sentence, where we know something."""
    return report.hint or advice(report.verdict, report.transcript.messages, report.target)


def counted_as(report: RunReport) -> str:
    """Return the outcome that a run counts as: with an alert a good one is a warning."""
    return "warning" if report.alerts and report.verdict.outcome == "ok" else report.verdict.outcome


def summary(report: RunReport) -> str:
    """Write one line, and more where there is something to do, or to look up on the client."""
    verdict, transcript = report.verdict, report.transcript
    parts = [f"{report.title}: {verdict.outcome}"]
    if verdict.reason is not None:
        code = "" if verdict.code is None else f", status {verdict.code}"
        parts[0] += f" ({verdict.origin}: {verdict.reason}{code})"
    elif verdict.code:
        parts[0] += f" ({verdict.origin}: status {verdict.code})"
    if report.refused is not None:
        parts.append(str(report.refused))
    if report.serve and transcript.start is not None and verdict.origin in ("borg", "gate"):
        parts.append(f"borg serve ended with status {report.serve}")
    parts += _counted(report)
    if report.duration:
        parts.append(elapsed(report.duration))
    parts += _notes(transcript)
    lines = [", ".join(parts)]
    if hint := advice_of(report):
        lines.append(f"hint: {typed(hint)}")
    if verdict.outcome != "ok" and transcript.gate_run is not None:
        lines.append(f"{report.title}: on the client: borgctl audit show --run {transcript.gate_run}")
    if report.alerts:
        lines += [f"{report.title}: {alert_line(alert)}" for alert in report.alerts]
        lines.append(typed(f"hint: look into it, then: borgpull accept {report.target} --reason TEXT"))
    return "\n".join(lines)


def _notes(transcript: Transcript) -> list[str]:
    """Write what is worth knowing however the run ended."""
    ending, parts = transcript.ending(), []
    if ending and ending.skipped_mounts:
        parts.append(f"{ending.skipped_mounts} mounted file systems left out (one-file-system)")
    if transcript.dropped:
        parts.append(f"{transcript.dropped} more messages not kept")
    if transcript.unlisted:
        parts.append(f"{transcript.unlisted} more lines of its list not kept")
    if ending and ending.audit and ending.audit.behind:
        parts.append(f"{ending.audit.behind} records of its audit log are left for the next run to prove")
    return parts


def _counted(report: RunReport) -> list[str]:
    """Write the counts: files by borg, warnings by the gate, objects by the guard."""
    transcript, parts = report.transcript, []
    if totals := transcript.totals():
        parts.append(position(totals))
    elif transcript.counts:  # progress stops short of the end
        parts.append(f"at least {position(transcript.counts)}")
    if ending := transcript.ending():
        parts.append(counts_text(ending.warnings))
    if ending and ending.pruned:
        parts.append("kept {}, marked {}".format(*ending.pruned))
    if report.passed is not None:
        parts.append(_changes(report.passed))
    return [part for part in parts if part]


def _changes(passed: Passed) -> str:
    """Write what a client did to the repository, by the guard's counts."""
    parts = [f"{passed.puts} objects put ({size(passed.put_bytes)})"] if passed.puts else []
    parts += [f"{passed.deletes} objects deleted"] if passed.deletes else []
    return ", ".join(parts + (["nothing committed"] if parts and not passed.commits else []))


def readable(transcript: Transcript) -> list[str]:
    """Return a result for people: a list of archives as names and times, anything else as it came.

    The table is bounded: a hostile client could send many empty entries and one long name.
    """
    archives = transcript.result.archives()
    if archives is None:
        lines = transcript.result.lines()
        more = [f"and {len(lines) - _MOST_LINES} more lines: 'borgpull run --json' has them all"]
        return lines if len(lines) <= _MOST_LINES else [*lines[:_MOST_LINES], *more]
    rows = [(_word(archive.get("name")), _word(archive.get("start"))) for archive in archives[:_MOST_ARCHIVES]]
    width = max((len(name) for name, _ in rows), default=0)
    lines = [f"{name:{min(width, _WIDEST_NAME)}}  {start}" for name, start in rows]
    if len(archives) > _MOST_ARCHIVES:
        lines.append(f"and {len(archives) - _MOST_ARCHIVES} more archives: 'borgpull run --json' has them all")
    return lines or ["no archives"]


def _word(value: object) -> str:
    return value if isinstance(value, str) else "None"


def record(report: RunReport) -> dict[str, Any]:
    """Return the run as the object that `run --json` prints; `duration` in seconds, `started` in UTC."""
    verdict, transcript = report.verdict, report.transcript
    messages = [
        {"source": message.source, "level": message.level, "text": message.text, "msgid": message.msgid}
        for message in transcript.messages
        if message.level != "INFO"
    ]
    if transcript.dropped:
        text = f"{transcript.dropped} more messages not kept"
        messages.append({"source": "borgpull", "level": "WARNING", "text": text, "msgid": None})
    ending = transcript.ending()
    command = transcript.start.command if transcript.start else None
    return {
        "target": report.target,
        "job": report.job,
        "run": transcript.run,
        "outcome": verdict.outcome,
        "origin": verdict.origin,
        "code": verdict.code,
        "reason": verdict.reason,
        "started": datetime.fromtimestamp(report.begun, UTC).isoformat(timespec="milliseconds"),
        "duration": round(report.duration, 3),
        "command": command,
        "result": (transcript.result.created() if command == "create" else None) or transcript.result.lines(),
        "messages": messages,
        "warnings": dict(ending.warnings) if ending else {},
        "serve": report.serve,
        "passed": report.passed and asdict(report.passed),
        "refused": report.refused and asdict(report.refused),
        "skipped_mounts": ending.skipped_mounts if ending else 0,
        "pruned": dict(zip(("kept", "marked"), ending.pruned, strict=True)) if ending and ending.pruned else None,
        "listed": transcript.listed,
        "audit": _audit(ending.audit) if ending and ending.audit else None,
        "alerts": [{"reason": alert.reason, "text": alert.text} for alert in report.alerts],
        "again": report.again,
    }


def _audit(ending: AuditProof) -> dict[str, Any]:
    return {"head": str(ending.head), "continues": ending.continues, "behind": ending.behind}
