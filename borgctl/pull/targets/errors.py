"""What goes wrong on the launcher's own side, before or instead of a run; caught once, in `cli.main`.

>>> raise PullError("no target 'web1'", "make it with: borgpull add web1 HOST")
Traceback (most recent call last):
borgctl.pull.targets.errors.PullError: no target 'web1'
"""


class PullError(Exception):
    """One line of what is wrong and one of what to do."""

    def __init__(self, text: str, hint: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint
