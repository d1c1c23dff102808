"""Plan: how many targets run at once, which jobs, and what is tried again, as a command line says."""

from borgctl.data_class import dataclass
from borgctl.pull.fleet.due import AGAIN


@dataclass(frozen=True, slots=True)
class Plan:
    """So many targets at once; only jobs that are `due`; how often to try again what may pass.

    `again`: with `due`, targets without work are judged again after so many seconds, as long as others have some.
    """

    parallel: int = 1
    due: bool = False
    retries: int = 0
    again: float = AGAIN
