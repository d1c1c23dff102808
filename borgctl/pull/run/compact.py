"""compact: free the space that a client's prune has marked, on the server itself, without key and passphrase.

compact(folders, target, screen, stop)         0, and on the screen "web1 compact: ok"
"""

import signal
import subprocess
import time

from borgctl.borg import exit_code
from borgctl.fs import atomic
from borgctl.process.event_loop import EventLoop, Termination
from borgctl.pull.client.borglog import read
from borgctl.pull.client.frames import LineBuffer, LineTooLong
from borgctl.pull.client.transcript import Message
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.process.children import ChildProcess
from borgctl.pull.process.signals import Stop
from borgctl.pull.process.workdirs import workdir
from borgctl.pull.report.hints import advice
from borgctl.pull.report.progress import View
from borgctl.pull.report.record_run import alert_line
from borgctl.pull.repository import serve
from borgctl.pull.repository.inspection import begin, inspect
from borgctl.pull.repository.reserve import lowered, restore
from borgctl.pull.repository.space import clear, full
from borgctl.pull.repository.unlock import lock_hint
from borgctl.pull.state import state_file
from borgctl.pull.targets.owner import typed
from borgctl.pull.targets.paths import Folders, lock
from borgctl.pull.targets.targets import Target
from borgctl.text import printable_excerpt

_REFUSED = 2  # the exit status
_QUOTA = "Storage quota: "
_DRAIN = 2.0  # seconds for which borg's output is read once it has ended: another process may hold the pipe


def compact(folders: Folders, target: Target, screen: View, stop: Stop) -> int:
    """Run `borg compact` under the target's lock; return 0, 1 for warnings, 2 for failures. May raise Busy."""
    repository = str(target.repository)
    with lock(folders, target.name), workdir(folders) as path:
        atomic.directories(folders.borg(target.name))
        screen.begin(f"{target.name} compact")
        if _inspected(folders, target, screen) == _REFUSED:
            return _REFUSED
        env = serve.environment(folders, target, path)
        serve.release(folders, target)
        begin(folders, target.name)
        restore(repository)
        if full(repository):
            clear(folders, repository)
        with lowered(repository):
            child = ChildProcess(serve.compact_argv(target), env, subprocess.DEVNULL, subprocess.DEVNULL)
            try:
                status = _wait(child, screen, stop)
            finally:
                child.close()
                serve.release(folders, target)
        after = _inspected(folders, target, screen, ours=True)
        if after == _REFUSED:
            return _REFUSED
    outcome = exit_code.outcome(status)
    result = max({"ok": 0, "warning": 1, "failed": 2}[outcome], after)
    screen.end(f"{target.name} compact: {outcome}" + (f" (borg: status {status})" if status else ""))
    if outcome == "failed" and (hint := _hint(folders, target)):
        screen.end(f"hint: {printable_excerpt(typed(hint))}")
    return result


def _inspected(folders: Folders, target: Target, screen: View, *, ours: bool = False) -> int:
    """Inspect the repository; return 0, 1 for an alert that could not be kept, or _REFUSED; show what is alarming.

    While an alert stands it may not be compacted: what somebody deleted can be brought back only until then.
    """
    inspection = inspect(folders, target, time.time(), ours=ours)
    for message in inspection.messages:
        screen.show(message)
    standing = state_file.load(folders, target.name).alerts
    for alert in (standing | {alert.reason: alert for alert in inspection.alerts}).values():
        screen.end(f"{target.name} compact: {alert_line(alert)}")
    verdict = inspection.verdict or (Verdict("refused", "launcher", None, "alert-stands") if standing else None)
    if verdict is None:
        return 1 if inspection.alerts else 0
    screen.end(f"{target.name} compact: {verdict.outcome} (launcher: {verdict.reason})")
    screen.end(f"hint: {typed(advice(verdict, (), str(target.name)) or '')}")
    return _REFUSED


def _hint(folders: Folders, target: Target) -> str | None:
    """Return what to do where borg has failed, as far as that shows from outside."""
    lack = full(str(target.repository))
    return f"{lack}: move something else away from that disk, then try again" if lack else lock_hint(folders, target)


def _wait(child: ChildProcess, screen: View, stop: Stop) -> int:
    """Show borg's output until it has ended; a signal to the launcher ends it in order."""
    loop, lines, said = EventLoop(), LineBuffer(), set[str]()
    termination = Termination(loop, child.send, ((0, signal.SIGTERM), (30, signal.SIGKILL)))

    def ended() -> None:
        termination.cancel()
        loop.after(_DRAIN, lambda: loop.forget(child.stderr))

    stop.tell(loop, termination.begin)
    loop.once(child.pidfd, ended)
    loop.watch(child.stderr, lambda: _show(lines, loop.read(child.stderr), screen, said))
    while loop.watches(child.pidfd) or loop.watches(child.stderr):
        loop.turn(screen.due())
        screen.tick(time.monotonic())
    for rest in lines.finish():
        _show(LineBuffer(), rest + b"\n", screen, said)
    return child.status()


def _show(lines: LineBuffer, data: bytes, screen: View, said: set[str]) -> None:
    """Show borg's lines; of those about the quota only the first, as borg repeats it before it frees space.

    Of a traceback, which borg prints where the disk is full, show the last line.
    """
    try:
        for line in lines.feed(data):
            text = line.decode("utf-8", "replace")
            if text.startswith((" ", "Traceback ", "Local Exception")):
                continue
            about_quota = text.startswith(_QUOTA)
            if read(text) is None or (about_quota and _QUOTA in said):
                continue
            if about_quota:
                said.add(_QUOTA)
            screen.show(Message("borg", "INFO", text))
    except LineTooLong:
        screen.show(Message("borg", "WARNING", "a line of more than 1 MiB was left out"))
