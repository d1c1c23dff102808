"""window: hold a restore window: sessions for the client's own admin, one after the other until the time is over.

Each session has an ssh and an append-only `borg serve` of its own, as one serve for several commands would keep borg's
lock. The target's lock is held all the time: no run, compact or other window of the target begins meanwhile.

    status = hold(launcher, target, seconds=1800)
"""

import time

from borgctl.data_class import replace
from borgctl.pull.client import client_command
from borgctl.pull.client.transcript import Transcript
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.process.workdirs import workdir
from borgctl.pull.report.hints import advice_for
from borgctl.pull.report.outcome import RunFacts, judge_run
from borgctl.pull.repository.sessions import GuardSession, window_session
from borgctl.pull.run.launcher import Launcher
from borgctl.pull.run.run_call import run_call, underway
from borgctl.pull.run.scheduler import result
from borgctl.pull.state.running import Begun
from borgctl.pull.state.state_file import load as load_state
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.obstacle import obstacle
from borgctl.pull.targets.paths import lock
from borgctl.pull.targets.targets import Target
from borgctl.wire.frames import GOOD

_IN_ORDER = 60.0  # seconds: the client closes the window itself, and takes 40 to end borg in order
_PACE = 1.0  # seconds that a session takes at least, so that no client can start many
_CUT = (
    *(
        "window-expired",
        "timeout",
        "disconnected",
        "no-exit-line",
        "ssh-failed",
        "connection-lost",
        "stream-limit",
        "frame-mismatch",
    ),
    *("rpc-refused", "guard-failed"),
)


def hold(launcher: Launcher, target: Target, seconds: int, allow: str = "read") -> int:
    """Offer sessions until `seconds` have passed or a signal stops us; `allow` is what they may do (`sessions`).

    Return 0, also where nobody used it; 2 where a window could not be opened, or its end cut a command short. May
    raise Busy.
    """
    if reason := obstacle(target):
        raise PullError(f"target {str(target.name)!r} has no window: {reason}", advice_for(reason, str(target.name)))
    with lock(launcher.folders, target.name):
        return _hold(launcher, target, window_session(allow), time.monotonic() + seconds)


def _hold(launcher: Launcher, target: Target, session: GuardSession, end: float) -> int:
    """Offer sessions until `end` by the monotonic clock."""
    while (left := int(end - time.monotonic())) >= 1:
        with workdir(launcher.folders) as path:
            client_command.prepare(target, path)
            seen = load_state(launcher.folders, target.name).head
            words = (client_command.window(target, left, path, seen), path, left + _IN_ORDER, "window", seen, session)
            with underway(launcher, target, Begun("window", None, time.time())) as notes:
                call = run_call(launcher, target, *words, kind="window", verdict=_verdict, notes=notes)
                report = result(launcher, call)
        good = report.verdict.outcome in GOOD
        if launcher.stop.name is not None or not report.transcript.used:
            return 0 if good else 2
        if report.verdict.reason in _CUT:
            return 2  # how any other command ended is the admin's business
        launcher.stop.wait(_PACE - report.duration)
    return 0


def _verdict(facts: RunFacts, transcript: Transcript) -> Verdict:
    """Judge one session: it is good if nobody used it and we closed it, and serve may complain that nobody came."""
    if facts.refused is None and facts.ended == "stopped" and not transcript.used:
        return Verdict("ok", "launcher")
    if facts.refused is None and facts.ended == "stopped" and facts.exit is None:
        return Verdict("failed", "launcher", None, "window-cut")
    facts = replace(facts, ended=None) if facts.ended == "stopped" else facts
    return judge_run(facts if facts.serve is None or facts.serve_first else replace(facts, serve=0))
