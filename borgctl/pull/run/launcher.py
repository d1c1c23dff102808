"""Launcher: what all calls of one `borgpull` process share: directories, screen, stop signals, timeouts."""

from borgctl.data_class import dataclass
from borgctl.pull.process.signals import Stop
from borgctl.pull.report.progress import Screen
from borgctl.pull.run.timeouts import Timeouts
from borgctl.pull.targets.paths import Folders


@dataclass(frozen=True, slots=True)
class Launcher:
    """What all runs of one launcher share."""

    folders: Folders
    screen: Screen
    stop: Stop
    patience: Timeouts
