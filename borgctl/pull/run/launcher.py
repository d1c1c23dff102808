"""Launcher: what all calls of one `borgpull` process share: directories, screen, stop signals, timeouts, event loop."""

import math
import time

from borgctl.data_class import dataclass, field
from borgctl.process.event_loop import EventLoop
from borgctl.pull.process.signals import Stop
from borgctl.pull.report.progress import View
from borgctl.pull.run.timeouts import Timeouts
from borgctl.pull.targets.paths import Folders


@dataclass(frozen=True, slots=True)
class Launcher:
    """What all runs of one launcher share; `screen` is the part of one run, `deadline` the monotonic end of all."""

    folders: Folders
    screen: View
    stop: Stop
    patience: Timeouts
    loop: EventLoop = field(default_factory=EventLoop)
    deadline: float = math.inf

    def late(self) -> bool:
        """Tell whether the time for all runs is over."""
        return time.monotonic() >= self.deadline
