"""Launcher: what all calls of one `borgpull` process share: directories, screen, stop signals, timeouts, event loop."""

import math
import time
from typing import Protocol

from borgctl.data_class import dataclass, field
from borgctl.process.event_loop import EventLoop
from borgctl.pull.process.signals import Stop
from borgctl.pull.report.progress import View
from borgctl.pull.report.report import RunReport
from borgctl.pull.run.timeouts import Timeouts
from borgctl.pull.targets.paths import Folders
from borgctl.pull.targets.targets import Target


class Teller(Protocol):
    """Who tells people of runs; nothing here waits for them, or fails."""

    def started(self, target: Target, job: str) -> None:
        """Tell that a job's run begins."""

    def ended(self, report: RunReport) -> None:
        """Tell how a run ended."""

    def meanwhile(self, targets: tuple[str, ...]) -> None:
        """Tell that some runs still go on: of these targets others may be overdue by now."""

    def finished(self) -> None:
        """Tell that all runs have ended, and wait a moment for what is on its way."""


class Silent:
    """Tell nobody."""

    def started(self, target: Target, job: str) -> None: ...
    def ended(self, report: RunReport) -> None: ...
    def meanwhile(self, targets: tuple[str, ...]) -> None: ...
    def finished(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Launcher:
    """What all runs of one launcher share; `screen` is the part of one run, `deadline` the monotonic end of all.

    `teller` tells people of runs.
    """

    folders: Folders
    screen: View
    stop: Stop
    patience: Timeouts
    loop: EventLoop = field(default_factory=EventLoop)
    deadline: float = math.inf
    teller: Teller = Silent()

    def late(self) -> bool:
        """Tell whether the time for all runs is over."""
        return time.monotonic() >= self.deadline
