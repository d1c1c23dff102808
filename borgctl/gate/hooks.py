"""Hooks: a job's own programs before and after borg, run in turn, each in a session of its own.

What a hook starts in another session (a service, a daemon) is not the run's, and lives on; what is left in the hook's
own session is ended with it. The server learns names only where the policy discloses them; our record gets all.

    hooks = Hooks(watch, output, seconds=3600, disclosed=False, keep=…)
    hooks.run("before", job.before, env)          # False: one did not hold; hooks.notes tells which, and why
"""

import errno
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence

from borgctl.data_class import dataclass, field
from borgctl.fs import trusted_code
from borgctl.fs.secure_path import InsecurePath
from borgctl.gate.child_streams import Stream, start
from borgctl.gate.output import Output
from borgctl.gate.supervise import Watch
from borgctl.process import leftovers
from borgctl.process.leftovers import Leftovers

HOOK_ENDING = ((0.0, signal.SIGTERM), (10.0, signal.SIGKILL))
_MOST_NAMED = 20  # processes of one hook


@dataclass(slots=True)
class Hooks:
    """What all hooks of a run share: `seconds` is each one's limit, `notes` what our record says of them.

    `keep` is given the source and the streams of one that failed.
    """

    watch: Watch
    output: Output
    seconds: int
    disclosed: bool
    keep: Callable[[str, Sequence[Stream]], None]
    notes: list[str] = field(default_factory=list)

    def run(self, when: str, hooks: Sequence[Sequence[str]], env: Mapping[str, str]) -> bool:
        """Run hooks in turn; return whether all went well. A failed one is the last of `before`, not of `after`."""
        succeeded = True
        for number, hook in enumerate(hooks, 1):
            succeeded = self._hook(f"{when} {number} {hook[0]!r}", hook, env) and succeeded
            if not succeeded and when == "before":
                return False
        return succeeded

    def _hook(self, title: str, hook: Sequence[str], env: Mapping[str, str]) -> bool:
        try:
            trusted_code.require_runnable(hook[0])
            child, streams = start(self.output, "hook", hook, env, lambda _: None if self.disclosed else _nothing)
        except (OSError, InsecurePath) as error:
            why = _reason(hook[0], error)
            self.notes.append(f"{title}: not run: {why}")
            self.output.say(f"hook {hook[0]!r}: {why}" if self.disclosed else "a hook cannot be run")
            return False
        began, left = time.monotonic(), list[Leftovers]()
        status = self.watch.run(
            child, streams, HOOK_ENDING, seconds=self.seconds, at_end=lambda hook: left.append(leftovers.end(hook.pid))
        )
        late = f" after {self.seconds} s" if time.monotonic() - began > self.seconds else ""
        name = f"hook {os.path.basename(hook[0])!r}" if self.disclosed else "a hook"
        for remaining in left:
            self._tell(title, name, remaining)
        if status != 0:
            self.keep("hook", streams)
            self.notes.append(f"{title}: ended with {_told(status)}{late}")
            self.output.say(f"{name} ended with status {status}{late}")
        return status == 0 and self.watch.stopped is None

    def _tell(self, title: str, name: str, left: Leftovers) -> None:
        """Say what a hook had left in its session."""
        if left.processes:
            number = "1 process" if len(left.processes) == 1 else f"{len(left.processes)} processes"
            became = "not all could be ended" if left.alive else "ended"
            self.notes.append(f"{title}: left running in its session, {became}: {_named(left.processes)}")
            self.output.say(f"{name} left {number} running in its session; {became}")


def _nothing(_: str) -> None:
    """Disclose nothing of a line."""


def _reason(program: str, error: OSError | InsecurePath) -> str:
    """Say why a program was not started; what is missing may be its script's interpreter."""
    if not isinstance(error, OSError):
        return str(error).removeprefix(f"{program!r} ")
    missing = error.errno == errno.ENOENT and os.path.exists(program)
    return f"its interpreter: {error.strerror}" if missing else str(error.strerror)


def _named(left: Mapping[int, str]) -> str:
    named = [f"{name} (pid {pid})" for pid, name in list(left.items())[:_MOST_NAMED]]
    return ", ".join(named + ([f"and {len(left) - _MOST_NAMED} more"] if len(left) > _MOST_NAMED else []))


def _told(status: int) -> str:
    """Write an exit status, or the signal that is minus it."""
    if status >= 0:
        return f"status {status}"
    names = {one.value: f" ({one.name})" for one in signal.Signals}
    return f"signal {-status}{names.get(-status, '')}"
