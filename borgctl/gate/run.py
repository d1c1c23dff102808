"""A launch, run: hooks, borg with its relay, hooks; and what came of it.

It starts processes and tells the outcome. It does not decide what may run (`judge`), nor does it record it (`gate`).
"""

import errno
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from borgctl.audit import redact
from borgctl.borg import environment, log_filter, relay
from borgctl.borg.command import BorgCommand
from borgctl.borg.dry_run import DryRun
from borgctl.borg.log_messages import DAMAGED, BorgLog
from borgctl.borg.prune_list import Pruning
from borgctl.borg.termination import BORG_ENDING
from borgctl.borg.warning_kinds import OTHER, counts_text
from borgctl.data_class import dataclass, field, replace
from borgctl.errors import BorgctlError
from borgctl.fs import free_space
from borgctl.gate.child_streams import Stream, start
from borgctl.gate.hooks import Hooks
from borgctl.gate.outcome import verdict
from borgctl.gate.output import Output
from borgctl.gate.relay_listener import RelayListener
from borgctl.gate.run_result import RunResult, by_gate, instead
from borgctl.gate.supervise import Watch
from borgctl.gate.transport import Connection
from borgctl.policy.locations import home
from borgctl.policy.model import Limits, Passphrase
from borgctl.process import open_files, priority, process_tree, spawn
from borgctl.process.hook_environment import hook_environment
from borgctl.process.named_pipes import PipeWatch
from borgctl.state import passphrase, source_paths
from borgctl.state.skipped_mounts import file_systems

_SECONDS_TO_SETTLE = 60.0  # for the hooks that run after borg, beyond what each may take
_SECONDS_AT_A_PIPE = 60.0  # whoever writes there has to be started before borg is
_PASSPHRASE_FD = 3
_LONGEST_SAID = 300  # characters of a line in the log
_NO_MEMORY = re.compile(
    r"MemoryError\b|ImportError: [^:]{1,200}: failed to map segment"
)  # Python's, a line's beginning


@dataclass(slots=True)
class Runner:
    """What a run needs: built by the gate once everything is decided and recorded."""

    launch: BorgCommand
    words: Sequence[str]
    env: Mapping[str, str]
    directory: str
    connection: Connection
    secret: Passphrase
    limits: Limits
    output: Output
    agree: Callable[[bytes, bytes], bool]
    confinement: spawn.Confinement
    log: BorgLog
    said: list[str] = field(default_factory=list)  # the last lines of whatever did not end well, for our own log
    _obtained: bytes | None = None  # the passphrase, once it was
    _reading: str | None = None
    _listed: DryRun | None = None
    _pruning: Pruning | None = None

    def run(self) -> RunResult:
        """Run `before`, borg and `after`; `after` always runs. Raise BorgctlError only where nothing was started."""
        hangup = self.connection.source if self.connection.hangup else -1
        try:
            with Watch(self.output, self.limits.runtime, hangup) as watch:
                return self._run(watch)
        finally:
            process_tree.kill_descendants()

    def _run(self, watch: Watch) -> RunResult:
        hooks = Hooks(watch, self.output, self.limits.hook, self.launch.disclosed, self._keep)
        ending = self._before_and_borg(watch, hooks)
        watch.settle(self.limits.hook * len(self.launch.after) + _SECONDS_TO_SETTLE)
        succeeded = hooks.run("after", self.launch.after, self._hook_environment(ending.outcome))
        if not succeeded and ending.outcome in ("ok", "warning"):
            ending = instead(ending, "hook-failed")
        return replace(ending, hooks=tuple(hooks.notes))

    def _before_and_borg(self, watch: Watch, hooks: Hooks) -> RunResult:
        try:
            if not hooks.run("before", self.launch.before, self._hook_environment()):
                return by_gate(watch.stopped or "hook-failed")
            with process_tree.killing_descendants():
                return self._borg(watch)
        except BorgctlError as error:
            self.output.say(f"{error.reason.code}: {error.hint}")
            return by_gate(error.reason.code, error.detail)
        except Exception as error:  # `after` has to run whatever happens, and not beside a borg that lives
            process_tree.kill_descendants()
            return by_gate("internal", f"{type(error).__name__}: {error}")

    def _hook_environment(self, outcome: str = "") -> dict[str, str]:
        return hook_environment(home(), self.launch.job, os.path.basename(self.directory), outcome)

    def _borg(self, watch: Watch) -> RunResult:
        if watch.stopped:
            return by_gate(watch.stopped)
        free_space.require([self.env["BORG_BASE_DIR"]])  # borg itself would take it for a bug of the hardware's
        source_paths.require_devices(self.launch.devices)  # once more: a hook may have made it
        source_paths.require_present(map(str, self.launch.paths))
        source_paths.require_patterns(self.launch.patterns)
        secret = self._obtained = passphrase.obtain(self.secret, hook_environment(home(), self.launch.job, ""))
        fds = {} if secret is None else {_PASSPHRASE_FD: passphrase.pipe(secret)}
        relay_listener = RelayListener(self.directory, self.connection, self.agree)
        carrier = (sys.executable, "-I", "-S", relay.__file__, self.directory)
        env = environment.with_transport(dict(self.env), carrier, _PASSPHRASE_FD if fds else None)
        try:
            confinement = spawn.Confinement(self._last_act, self.confinement.kinds)
            child, streams = start(self.output, "borg", self.words, env, self._disclose, fds, confinement, _NO_MEMORY)
        except spawn.SetupError as error:
            relay_listener.close()
            raise BorgctlError("sandbox-unavailable", f"it cannot be laid: {error.strerror}") from None
        except OSError as error:
            relay_listener.close()
            raise BorgctlError("borg-missing", f"{self.words[0]!r}: {error.strerror}") from None
        finally:
            for fd in fds.values():
                os.close(fd)
        skipped = file_systems(self.launch)  # what the hooks have mounted, too
        waiting = PipeWatch(lambda: (child.pid, *process_tree.descendants(child.pid)), _SECONDS_AT_A_PIPE)
        look = partial(self._look, waiting) if self.launch.devices else lambda: None
        status = watch.run(child, streams, BORG_ENDING, relay_listener, before_end=self._note_reading, look=look)
        if status != 0:
            self._keep("borg", streams)
        if self._listed is not None:
            self.output.say(str(self._listed))
        short = any(stream.lines.met for stream in streams)
        reason = self.log.reason(status)
        ending = verdict(status, relay_listener, watch.stopped, short=short, reason=reason, dry=self.launch.dry)
        found = tuple(self.log.errors) if ending.reason == DAMAGED else ()
        if self.log.warnings and not self.output.json:
            self.output.say(f"borg's warnings: {counts_text(self.log.warnings)}")
        detail = f"{self.env['BORG_BASE_DIR']!r}: {os.strerror(errno.ENOSPC)}" if ending.reason == "no-space" else None
        ending = replace(ending, detail=ending.detail or detail)
        reading = self._reading if watch.stopped else None
        return replace(self._pruned(ending), reading=reading, skipped=skipped, warnings=self.log.warnings, found=found)

    def _pruned(self, ending: RunResult) -> RunResult:
        """Add to a prune's good ending what it did; one that met no archive may be of another name than is meant."""
        pruning = self._pruning
        if pruning is None or ending.outcome not in ("ok", "warning"):
            return ending
        if pruning.dry or not self.output.json:  # else the last line tells it
            self.output.say(str(pruning))
        if not pruning.empty:
            return replace(ending, pruned=pruning)
        names = dict(self.launch.options).get("glob-archives") or "*"
        told = f"the repository has no archive named {names!r}"
        return replace(instead(ending, "nothing-matched"), pruned=pruning, detail=told)

    def _look(self, waiting: PipeWatch) -> str | None:
        """Return why borg has to end: it waits at a pipe, whose name is kept for our own log."""
        self._reading = waiting.check()
        return "pipe-without-writer" if self._reading else None

    def _note_reading(self) -> None:
        """Keep which file borg is at, for our own log."""
        if self._reading:
            return
        apart = (self.env["BORG_BASE_DIR"], self.directory)
        self._reading = open_files.reading(process_tree.descendants(), apart)

    def _last_act(self) -> None:
        """What borg's process does to itself before it is borg."""
        priority.lower(self.limits.nice, self.limits.ionice)
        self.confinement.apply()

    def _keep(self, source: str, streams: Sequence[Stream]) -> None:
        secret = passphrase.known(self.secret, self._obtained)
        lines = [redact.without(line, secret)[:_LONGEST_SAID] for stream in streams for line in stream.lines.tail]
        self.said.extend(f"{source}: {line}" for line in lines)

    def _disclose(self, stream: str) -> Callable[[str], str | None] | None:
        disclose = None if self.launch.disclosed else partial(log_filter.counts, stream)
        if stream != "stderr":
            return disclose
        return partial(self._heard, self._listing(disclose))

    def _heard(self, disclose: Callable[[str], str | None] | None, line: str) -> str | None:
        """Hear a line of borg's log; what is counted in the end is not said one by one where names stay here."""
        counted = self.log.take(line) not in (None, OTHER)
        if counted and not self.launch.disclosed:
            return None
        return disclose(line) if disclose else line

    def _listing(self, disclose: Callable[[str], str | None] | None) -> Callable[[str], str | None] | None:
        """Count what a dry run or a prune lists."""
        names = {name for name, _ in self.launch.options}
        shown = self.launch.disclosed and "list" in names
        listed: DryRun | Pruning
        if self.launch.dry:
            self._listed = listed = DryRun(shown, counted="filter" not in names)
        elif self.launch.command == "prune":
            self._pruning = listed = Pruning(shown, dry="dry-run" in names)
        else:
            return disclose
        return lambda line: listed.take(line, disclose)
