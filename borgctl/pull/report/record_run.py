"""Record a run in the target's state, and find what is alarming in the client's answer.

The client's word is believed only about itself, and not about its audit log: we compute that the log continues from
the head that we kept (`hashchain`). Where it does not, that is an alert. What a client sends takes bounded space.

    alerts = remember(folders, target.name, Ended("default", verdict, transcript, now))
"""

import os
import pwd
import re

from borgctl.pull.client.events import AuditProof
from borgctl.pull.client.transcript import Message
from borgctl.pull.report.past_runs import Ended, drop_withdrawn, note_run
from borgctl.pull.state.state import Alert, State
from borgctl.pull.state.state_file import load, save
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName, lock
from borgctl.text import iso, printable_excerpt
from borgctl.values import Head
from borgctl.wire.frames import DRY_RUN, GOOD
from borgctl.wire.hashchain import follows

_LONGEST_REASON = 500
_MOST_ERRORS = 3  # messages in the alert; the report has all of them
_LONGEST_ALERT = 1000  # characters
_CHANGED = "the repository's config, which holds its key, was changed, and not in a window for that"
_UNUSED = "the repository's key was changed in a window for that, and borg on the client has failed with it since"


def remember(folders: Folders, name: TargetName, ended: Ended) -> tuple[Alert, ...]:
    """Record a run, and return the alerts of it; a state that cannot be written is an alert, too."""
    alerts: list[Alert] = []
    try:
        state = load(folders, name)
        state.since = ended.time if state.since is None else state.since
        alerts += state.alerts.values() if state.lost else ()
        alerts += [*_audit_alerts(state, ended), *_config_alerts(state, ended)]
        alerts += drop_withdrawn(state, ended)
        alerts += [*note_run(state, ended), *_client_alerts(state, ended)]
        save(folders, name, state)
    except OSError as error:
        text = f"{error.filename or folders.memory(name)}: {error.strerror}"
        ended.transcript.keep(Message("borgpull", "ERROR", text))
        alerts.append(Alert("state-unwritable", text, ended.time))
    return tuple(alerts)


def accept(folders: Folders, name: TargetName, reason: str, now: float) -> tuple[Alert, ...]:
    """Clear a target's alerts, with a person's reason, under its lock; raise PullError where there is none."""
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
    """Return our user's name, and the one before sudo(8)."""
    account = pwd.getpwuid(os.getuid()).pw_name
    before = os.environ.get("SUDO_USER", "")
    return f"{account} (sudo: {before})" if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", before) else account


def _audit_alerts(state: State, ended: Ended) -> list[Alert]:
    """Check that the client's audit log continues from the head that we kept, and keep the new head; return alerts.

    A head that does not follow is never kept, until a person has accepted that (`State.accept`).
    """
    answer, well = ended.transcript.ending(), ended.verdict.outcome in GOOD
    if answer is None:
        return []
    if answer.audit is None or not answer.audit.proves:
        text = _proof_fault(state.head, answer.audit) if well else None
        return [state.alert("audit-silent", text, ended.time)] if text else []
    if answer.audit.continues is None and not well:
        return []  # refused before the gate read our question or its policy: this may be the head of another log
    text = _log_fault(ended.seen, answer.audit, linked=state.linked, well=well)
    if text is not None:
        return [state.alert("audit-broken", text, ended.time)]
    state.head, state.linked = answer.audit.head, True
    return []


def _proof_fault(kept: Head | None, answer: AuditProof | None) -> str | None:
    """Return what is wrong where the client proves nothing about its audit log: is its gate of another release?"""
    if answer is not None:
        return f"the client's gate proves nothing about its audit log: is it of another release? kept: {kept}"
    return None if kept is None else f"the client says nothing about its audit log any more; kept: {kept}"


def _client_alerts(state: State, ended: Ended) -> list[Alert]:
    """Return alerts about what the client did, or wanted to do, that borg does not."""
    whose, alerts = f"job {ended.job}" if ended.job else f"a {ended.title}", []
    if ended.verdict.reason == "rpc-refused":
        text = f"{whose}: the client's borg was asked for {ended.refused}"
        alerts.append(state.alert("rpc-refused", text, ended.time))
    if ended.verdict.reason == "repository-damaged":
        errors = [message.text for message in ended.transcript.messages if message.is_error]
        text = "; ".join([f"{whose}: the client's borg finds the repository damaged", *errors[:_MOST_ERRORS]])
        alerts.append(state.alert("repository-damaged", text[:_LONGEST_ALERT], ended.time))
    if ended.verdict.reason == "nothing-backed-up":
        had = state.jobs[ended.job].files if ended.job in state.jobs else None
        text = f"{whose}: no file was backed up; the last good run had {had}"
        alerts.append(state.alert("nothing-backed-up", text, ended.time))
    alerts += [state.alert(finding.reason, f"{whose}: {finding.text}", ended.time) for finding in ended.findings]
    if ended.passed is not None and ended.passed.overwrites:
        text = f"{whose}: {ended.passed.overwrites} objects of earlier runs were written again, and may have changed"
        alerts.append(state.alert("objects-overwritten", text, ended.time))
    return alerts


def _config_alerts(state: State, ended: Ended) -> list[Alert]:
    """Return an alert where the repository's config has changed, and keep its hash.

    A window for that may change the key, and then the guard saw it. Only when the client's admin confirms it in the
    next session, or a run is good, do we know that the new key opens the repository.
    """
    before, state.config = state.config, ended.config or state.config
    changed = before not in (None, state.config)
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


def _log_fault(seen: Head | None, answer: AuditProof, *, linked: bool, well: bool) -> str | None:
    """Return what is wrong with the audit log that the client reports, if anything.

    Not `linked`: a head of an earlier release. Where older records follow it nothing can be computed, so the client is
    believed, once: the head kept then is a link.
    """
    if seen is None:
        return None
    if answer.continues is None:
        return f"the client cannot say whether its audit log still holds record {seen}"
    if not answer.continues:
        return f"the client's audit log does not hold record {seen} any more; it ends with {answer.head}"
    if answer.head.sequence < seen.sequence or (answer.head.sequence == seen.sequence and answer.head != seen):
        return f"the client's audit log went back from record {seen} to {answer.head}"
    if answer.digests is None:
        return f"the client cannot show what leads from record {seen} to {answer.head}" if linked else None
    if not follows(seen, answer.digests, answer.head):
        return f"what the client shows of its audit log does not lead from record {seen} to {answer.head}"
    if well and not answer.digests:
        return f"the client's audit log has no record of this run: it still ends with {seen}"
    return None


def alert_line(alert: Alert) -> str:
    """Write an alert for people."""
    again = f", {alert.count} times" if alert.count > 1 else ""
    return f"ALERT: {printable_excerpt(f'{alert.reason}: {alert.text}')} (first {iso(alert.time)}{again})"
