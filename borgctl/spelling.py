"""Suggest the known word that a misspelt one most likely stands for.

It knows how people misspell words (`keep_daily`, `exclude_caches`, `excludes`), not what the words mean.

    >>> suggestion("keep_daily", ("keep-daily", "keep-weekly"))
    ": did you mean 'keep-daily'?"
"""

from collections.abc import Iterable

_LONGEST = 64  # characters; no known word is longer


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ': did you mean …?' if a known word is near, else an empty string."""
    import difflib  # noqa: PLC0415 - the gate reads a valid policy at each start, and does not need it then

    plain = word[:_LONGEST].replace("_", "-").lower().strip("- ")
    near = difflib.get_close_matches(plain, known, n=1, cutoff=0.6)
    return f": did you mean {near[0]!r}?" if near else ""
