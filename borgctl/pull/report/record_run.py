"""Memory: what of a run is kept in the target's state, and what in the client's answer is alarming.

The client's word is believed about nothing but itself, and not about its audit log: that this goes on from what was
known before is computed here (`hashchain`), and where it does not that is an alert. What a client sends takes a bounded
place.

    alerts = remember(folders, target.name, Ended("default", verdict, transcript, now))
"""

import os
import pwd
import re

from borgctl.pull.client.frames import Audit
from borgctl.pull.client.transcript import Message
from borgctl.pull.report.past_runs import Ended, count, withdrawn
from borgctl.pull.state.state import Alert, State, load, save
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName, lock
from borgctl.text import iso, printable_excerpt
from borgctl.values import Head
from borgctl.wire.frames import DRY_RUN, GOOD
from borgctl.wire.hashchain import follows

_LONGEST_REASON = 500
_MOST_ERRORS = 3  # of what was found damaged: all of it is in the report
_LONGEST_ALERT = 1000  # characters
_CHANGED = "the repository's config, which holds its key, was changed, and in no window for that"
_UNUSED = "the repository's key was changed in a window for that, and borg on the client did not get on with it since"


def remember(folders: Folders, name: TargetName, ended: Ended) -> tuple[Alert, ...]:
    """Keep what is worth keeping and return what is alarming now; a state that cannot be written is alarming too."""
    alerts: list[Alert] = []
    try:
        state = load(folders, name)
        state.since = ended.time if state.since is None else state.since
        alerts += [*(state.alerts.values() if state.lost else ()), *_heard(state, ended), *_changed(state, ended)]
        alerts += withdrawn(state, ended)
        alerts += [*count(state, ended), *_done(state, ended)]
        save(folders, name, state)
    except OSError as error:
        text = f"{error.filename or folders.memory(name)}: {error.strerror}"
        ended.transcript.keep(Message("borgpull", "ERROR", text))
        alerts.append(Alert("state-unwritable", text, ended.time))
    return tuple(alerts)


def accepted(folders: Folders, name: TargetName, reason: str, now: float) -> tuple[Alert, ...]:
    """Take a target's alerts away for a person's reason, under its lock; raise PullError where there is none."""
    if not reason.strip() or len(reason) > _LONGEST_REASON:
        raise PullError(f"--reason needs 1 to {_LONGEST_REASON} characters")
    with lock(folders, name):
        state = load(folders, name)
        alerts = state.accept(person(), reason, now)
        if not alerts:
            raise PullError(f"target {str(name)!r} has no alert")
        save(folders, name, state)
    return alerts


def person() -> str:
    """Return who we are, and who that was before sudo(8)."""
    account = pwd.getpwuid(os.getuid()).pw_name
    before = os.environ.get("SUDO_USER", "")
    return f"{account} (sudo: {before})" if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", before) else account


def _heard(state: State, ended: Ended) -> list[Alert]:
    """Compute from what the client shows that its audit log goes on from the head that is kept, and keep the new one.

    A head that does not follow is never kept, until a person has accepted that (`State.accept`).
    """
    told, well = ended.transcript.ending(), ended.verdict.outcome in GOOD
    if told is None:
        return []
    if told.audit is None or not told.audit.proves:
        text = _silence(state.head, told.audit) if well else None
        return [state.alert("audit-silent", text, ended.time)] if text else []
    if told.audit.continues is None and not well:
        return []  # refused before our question, or even the policy was read: this may be the head of another log
    text = _doubt(ended.seen, told.audit, linked=state.linked, well=well)
    if text is not None:
        return [state.alert("audit-broken", text, ended.time)]
    state.head, state.linked = told.audit.head, True
    return []


def _silence(kept: Head | None, told: Audit | None) -> str | None:
    """Return what is wrong where the client proves nothing of its audit log: is its gate an older one?"""
    if told is not None:
        return f"the client's gate proves nothing of its audit log, as one of another release does; kept: {kept}"
    return None if kept is None else f"the client says no more of its audit log; kept: {kept}"


def _done(state: State, ended: Ended) -> list[Alert]:
    """Return what the guard saw the client do, or want to do, that borg does not."""
    whose, alerts = f"job {ended.job}" if ended.job else f"a {ended.title}", []
    if ended.verdict.reason == "rpc-refused":
        text = f"{whose}: the client's borg was asked for {ended.refused}"
        alerts.append(state.alert("rpc-refused", text, ended.time))
    if ended.verdict.reason == "repository-damaged":
        errors = [message.text for message in ended.transcript.messages if message.level in ("ERROR", "CRITICAL")]
        text = "; ".join([f"{whose}: the client's borg finds the repository damaged", *errors[:_MOST_ERRORS]])
        alerts.append(state.alert("repository-damaged", text[:_LONGEST_ALERT], ended.time))
    if ended.verdict.reason == "nothing-backed-up":
        had = state.jobs[ended.job].files if ended.job in state.jobs else None
        text = f"{whose}: no file was backed up; the last good run had {had}"
        alerts.append(state.alert("nothing-backed-up", text, ended.time))
    if ended.passed is not None and ended.passed.overwrites:
        text = f"{whose}: {ended.passed.overwrites} objects of earlier runs were put again, and may be others now"
        alerts.append(state.alert("objects-overwritten", text, ended.time))
    return alerts


def _changed(state: State, ended: Ended) -> list[Alert]:
    """Look whether the repository's config is another than before, and keep it.

    A window for it may change the key, and then the guard has seen that done. The client's admin says so in the next
    session, or a run goes well: without either nobody knows that the new key is one that opens the repository.
    """
    known, state.config = state.config, ended.config or state.config
    changed = known not in (None, state.config)
    if changed and ended.job is None and ended.passed is not None and ended.passed.keys:
        state.untried_key = True
        return []
    alerts = [state.alert("config-changed", _CHANGED, ended.time)] if changed else []
    good = ended.verdict.outcome in GOOD
    if ended.transcript.renewed or (ended.job is not None and good and ended.verdict.reason != DRY_RUN):
        state.untried_key = False
    elif state.untried_key and ended.job is not None and ended.verdict.origin == "borg" and not good:
        alerts.append(state.alert("config-changed", _UNUSED, ended.time))
        state.untried_key = False
    return alerts


def _doubt(seen: Head | None, told: Audit, *, linked: bool, well: bool) -> str | None:
    """Return what is wrong with the log that the client tells of, if anything.

    Not `linked`: a head of an earlier release. Where older records follow on it nothing can be computed, and the client
    is believed, once: what is kept then is a link.
    """
    if seen is None:
        return None
    if told.continues is None:
        return f"the client cannot say whether its audit log still holds record {seen}"
    if not told.continues:
        return f"the client's audit log does not hold record {seen} any more; it ends with {told.head}"
    if told.head.sequence < seen.sequence or (told.head.sequence == seen.sequence and told.head != seen):
        return f"the client's audit log went back from record {seen} to {told.head}"
    if told.digests is None:
        return f"the client cannot show what leads from record {seen} to {told.head}" if linked else None
    if not follows(seen, told.digests, told.head):
        return f"what the client shows of its audit log does not lead from record {seen} to {told.head}"
    if well and not told.digests:
        return f"the client's audit log has no record of this run: it still ends with {seen}"
    return None


def alerted(alert: Alert) -> str:
    """Write an alert for people."""
    again = f", {alert.count} times" if alert.count > 1 else ""
    return f"ALERT: {printable_excerpt(f'{alert.reason}: {alert.text}')} (first {iso(alert.time)}{again})"
