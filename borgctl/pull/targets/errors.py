"""Errors on the launcher's own side, before or instead of a run; caught once, in `app.main`.

>>> raise PullError("no target 'web1'", "make it with: borgpull add web1 HOST")
Traceback (most recent call last):
borgctl.pull.targets.errors.PullError: no target 'web1'
"""


class PullError(Exception):
    """What is wrong, one line for each mistake, and what to do about it."""

    def __init__(self, text: str, hint: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint
