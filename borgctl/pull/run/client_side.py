"""Client side: the process that reaches the client, from start to end, in a caller's event loop.

It is ssh, or with transport local the gate itself. Its stderr is the client's stream. Its stdout leads to the guard; of
one that leads to us and should stay silent, the beginning is kept. It ends by itself, or by TERM and then KILL.

    child, ours = start(call, starts)
    client = ClientSide(child, call, loop, launcher.patience, seconds=3600, late=…, hear=reader.client, client_gone=…)
    … client.end() … client.gone()
"""

import signal
import subprocess
from collections.abc import Callable
from functools import partial

from borgctl.process.event_loop import EventLoop, Termination
from borgctl.pull.client.client_command import Call
from borgctl.pull.process import pipes
from borgctl.pull.process.children import ChildProcess
from borgctl.pull.run.defect import Defect
from borgctl.pull.run.timeouts import Timeouts

_STRAY = 200  # bytes


def start(call: Call, starts: pipes.Starts | None) -> tuple[ChildProcess, pipes.Ours | None]:
    """Start the client's side of a call, and guard and serve with it, where it has no socket to reach them later.

    `starts` starts those two, and is None where the call needs neither.
    """
    client = partial(ChildProcess, call.argv, call.env, orphaned=call.orphaned)
    if starts is None or call.listen:
        return client(subprocess.DEVNULL, subprocess.PIPE), None
    ours, child = pipes.cross(starts, client)
    return child, ours


class ClientSide:
    """The started `child` of a call: `late` is called once `seconds` are over, `client_gone` at its end.

    `status` is its exit status, None as long as it runs. `defect` notes what should never fail, and does.
    """

    def __init__(
        self,
        child: ChildProcess,
        call: Call,
        loop: EventLoop,
        patience: Timeouts,
        *,
        seconds: float,
        late: Callable[[], object],
        hear: Callable[[bytes], object],
        client_gone: Callable[[], object],
        defect: Defect,
    ) -> None:
        self._child, self._call, self._loop = child, call, loop
        self._hear, self._client_gone = hear, client_gone
        self.status: int | None = None
        self._stray = b""
        self._heard = 0  # bytes of its stderr
        self._written: int | None = None  # all bytes that it wrote
        self._ending, self._last_word, self._orphaned = self._terminations = [
            Termination(loop, child.send, ((pause, signal.SIGTERM), (call.patience, signal.SIGKILL)))
            for pause in (0, patience.last_word, patience.orphaned)
        ]
        self._deadline = loop.after(seconds, late)
        loop.once(child.pidfd, defect.noting(self._ended))
        loop.watch(child.stderr, defect.noting(self._read))
        if child.stdout is not None:
            loop.watch(child.stdout, defect.noting(self._keep_stray))

    @property
    def stray(self) -> str:
        """Return the beginning of output on a stdout that should have none."""
        return self._stray.decode("ascii", "backslashreplace").rstrip()

    def sent(self, passed: int | None) -> int | None:
        """Return how many bytes ssh sent: all that it wrote but what came to us, and `passed` to the guard.

        Return None where either is unknown.
        """
        if self._call.name != "ssh" or self._written is None or passed is None:
            return None
        return max(0, self._written - self._heard - passed)

    def gone(self) -> bool:
        """Tell whether it has ended."""
        return not self._loop.watches(self._child.pidfd)

    def told(self) -> bool:
        """Tell whether all of its stream has been read, or is no longer."""
        return not self._loop.watches(self._child.stderr)

    def end(self) -> None:
        """Begin to end it."""
        self._ending.begin()

    def end_after_last_word(self) -> None:
        """Begin to wait for its end, as it has only little left to say."""
        self._last_word.begin()

    def end_orphaned(self) -> None:
        """Begin to wait for its end, as serve has failed, and it may find out by itself."""
        self._orphaned.begin()

    def ignore(self) -> None:
        """Read no more of its stream."""
        self._loop.forget(self._child.stderr)

    def close(self) -> None:
        """Stop waiting for anything."""
        self._stop_clock()
        self._loop.forget(self._child.pidfd, self._child.stderr)
        if self._child.stdout is not None:
            self._loop.forget(self._child.stdout)

    def _stop_clock(self) -> None:
        self._loop.cancel(self._deadline)
        for termination in self._terminations:
            termination.cancel()

    def _ended(self) -> None:
        self._stop_clock()
        self._written = self._child.written()
        self.status = self._child.status()
        self._client_gone()

    def _read(self) -> None:
        data = self._loop.read(self._child.stderr)
        self._heard += len(data)
        self._hear(data)

    def _keep_stray(self) -> None:
        assert self._child.stdout is not None
        self._stray = (self._stray + self._loop.read(self._child.stdout))[:_STRAY]
