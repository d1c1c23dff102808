r"""Foreign words and large numbers, made fit for a terminal.

Nothing here knows whose words they are.

    >>> print(printable("evil\x1b[2J\u202e"))
    evil\x1b[2J\u202e
    >>> print(printable_ascii("é\\"))
    \xe9\\
    >>> rows("web1: ", "nine or ten", 15)
    ['web1: nine or', 'web1: ten']
    >>> size(1_234_567)
    '1.2 MB'
"""

from datetime import UTC, datetime

LONGEST = 2000
_NARROWEST = 8  # columns of text beside a head that leaves less


def printable(text: str, besides: str = "") -> str:
    """Escape all but printable characters and those of `besides`: controls, escapes, bidi, lone surrogates.

    The text is then harmless on a terminal, and the same where it was printable. A backslash stays, so that what was
    escaped cannot be told from what looks like it.
    """
    return "".join(one if one.isprintable() or one in besides else _escape(one) for one in text)


def printable_excerpt(text: str, longest: int = LONGEST) -> str:
    """Return the first characters as `printable` does, and how many are left out."""
    kept = printable(text[:longest])
    return kept if len(text) <= longest else f"{kept} ({len(text) - longest} more characters)"


def printable_ascii(text: str) -> str:
    """Escape all but printable ASCII, and the backslash too: no two texts come out the same."""
    return "".join(one if " " <= one <= "~" and one != "\\" else _escape(one) for one in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def rows(head: str, text: str, columns: int | None) -> list[str]:
    """Return text that is `printable` behind a head, in rows that no terminal of so many columns folds.

    Each begins with the head. Else words that were placed well would begin a row of their own, and look like somebody
    else's. A row ends at a blank, which is left out, if it has one. Without `columns` (a file, a pipe) it is one row.
    """
    if columns is None:
        return [f"{head}{text}"]
    found, row, used, room = [], "", 0, max(_NARROWEST, columns - _cells(head))
    for character in text:
        if used + _cells(character) > room:
            words, _, rest = row.rpartition(" ")
            if character == " " or not words.strip():
                words, rest = row, ""
            found.append(f"{head}{words}")
            row, used = rest, _cells(rest)
            if character == " ":
                continue
        row, used = row + character, used + _cells(character)
    return [*found, f"{head}{row}"] if row or not found else found


def _cells(text: str) -> int:
    """Return how many columns a text takes at most; wide characters take two."""
    return sum(1 if character.isascii() else 2 for character in text)


def size(count: int) -> str:
    """Write a number of bytes as borg does, in powers of 1000."""
    amount, power = float(count), 0
    while amount >= 999.95 and power < 5:
        amount, power = amount / 1000, power + 1
    return f"{amount:.1f} {'kMGTP'[power - 1]}B" if power else f"{count} B"


def iso(time: float) -> str:
    """Write a time as ISO 8601, in UTC."""
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds")
