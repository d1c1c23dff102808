"""Defect: what fails in one session, although nothing there should, ends that session, and no other one in the loop.

defect = Defect()
loop.watch(fd, defect.noting(read))
… if defect.error is not None: raise defect.error
"""

from collections.abc import Callable


class Defect:
    """The first exception of the calls that belong to a session, if there is one."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def noting(self, act: Callable[[], object]) -> Callable[[], None]:
        """Return a callback that calls `act`, and notes what it raises."""

        def call() -> None:
            try:
                act()
            except Exception as error:
                self.error = self.error or error

        return call
