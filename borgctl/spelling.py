"""What somebody meant who wrote a word that is not known: the known one that it most likely was.

It knows how words are misspelt (`keep_daily`, `exclude_caches`, `excludes`), not what they are.

    >>> meant("keep_daily", ("keep-daily", "keep-weekly"))
    ": did you mean 'keep-daily'?"
"""

from collections.abc import Iterable

_LONGEST = 64  # characters; a longer word is none of ours


def meant(word: str, known: Iterable[str]) -> str:
    """Return ': did you mean …?' where one of the known words is near, nothing where none is."""
    import difflib  # noqa: PLC0415 - a policy without a mistake, which every start of the gate reads, does without

    plain = word[:_LONGEST].replace("_", "-").lower().strip("- ")
    near = difflib.get_close_matches(plain, known, n=1, cutoff=0.6)
    return f": did you mean {near[0]!r}?" if near else ""
