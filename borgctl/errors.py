"""The two exceptions that the rest of the package raises for what somebody has done wrong.

>>> BorgctlError("unknown-job", "no job 'weekly' in this policy").reason.status
77
"""

from borgctl.reasons import REASONS, Code


class BorgctlError(Exception):
    """Carry a reason and one line of detail; each program's `main` catches it once.

    `detail` may quote what a peer sent and is for the log of this side only. The peer gets the reason's code.
    """

    def __init__(self, code: Code, detail: str, hint: str | None = None) -> None:
        super().__init__(detail)
        self.reason = REASONS[code]
        self.detail = detail
        self.hint = hint or self.reason.advice


class BadValue(ValueError):  # noqa: N818 - reads as what it says where it is raised
    """A text is not what its type allows; the message names the text and what is expected."""
