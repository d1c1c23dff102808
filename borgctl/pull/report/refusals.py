"""Refusals: what to do about a message that the guard refused, in one sentence.

Where the client may have meant well, the sentence has a line to paste. No borg that borgctl starts sends anything else.

    advice_on_refusal(Refused("destroy", "create", "never", "…"), target, "default")    "something other than borgctl …"
"""

from borgctl.data_class import replace
from borgctl.pull.report.hints import ADVICE
from borgctl.pull.repository import transactions
from borgctl.pull.repository.guard_process import Refused
from borgctl.pull.targets import jobs
from borgctl.pull.targets.targets import Target
from borgctl.values import JobName

_DELETES = 5000
_WINDOWS = {"put": "write", "commit": "write", "save_key": "passphrase", "delete": "delete"}
HOSTILE = (
    "something other than borgctl asked the client's borg for this: treat the client as hostile; its earlier "
    "archives are still there, and 'borgpull compact' would free what it has marked deleted"
)


def advice_on_refusal(refused: Refused, target: Target, job: str | None) -> str:
    """Return what to do; `job` is None for a window, and for a spelled-out request."""
    if refused.stray:
        return ADVICE["stray-output"]
    if job is None and not refused.session.startswith("window-"):
        return _of_request(refused, target)
    if job is None:
        if refused.rule not in ("session", "delete") or refused.method not in _WINDOWS:
            return HOSTILE
        allow = _WINDOWS[refused.method]
        return f"if the client's admin asked for that: borgpull window {target.name} --allow {allow}"
    if (refused.method, refused.rule) == ("open", "create"):
        if refused.session == "init" and not transactions.is_there(str(target.repository)):
            return (
                f"nothing is at {target.repository} yet; once: borgpull run {target.name} --job init (and if there was "
                f"a repository: is its disk mounted?)"
            )
        return (
            f"the client asks for a new repository where something is: if an earlier init was cut short, remove what "
            f"is left at {target.repository}; if this was no init, treat the client as hostile"
        )
    described = target.job(JobName(job))
    if refused.method == "delete" and described.kind == "create":
        more = jobs.TargetJob(described.name, "prune", _DELETES, run=described in target.described)
        return f"if this job is to delete, write into the target file: {jobs.line(target.described, more)}"
    if refused.method == "delete" and described.deletes is not None:
        more = replace(described, deletes=10 * max(described.deletes, _DELETES))
        return (
            f"look at what the client prunes; if that is right, write into the target file: "
            f"{jobs.line(target.described, more)}"
        )
    if described.kind == "read" and refused.rule == "session" and refused.method in _WINDOWS:
        return f"the target file says 'kind: read' of job {job}: if it is to write, remove that"
    return HOSTILE


def _of_request(refused: Refused, target: Target) -> str:
    if (refused.session, refused.method) != ("prune", "delete"):
        return HOSTILE
    more = f"borgpull borg {target.name} --deletes {10 * _DELETES} -- prune …"
    return f"look at what it would prune; if that is right, ask again with a larger --deletes: {more}"
