r"""Foreign words and large numbers, made fit for a terminal.

Nothing here knows whose words they are.

    shown("evil\x1b[2J\u202e") == "evil\\x1b[2J\\u202e"    size(1_234_567) == "1.2 MB"
"""

LONGEST = 2000


def shown(text: str) -> str:
    """Escape all but printable characters (controls, escapes, bidi, lone surrogates) and cut at LONGEST, saying so."""
    kept = "".join(character if character.isprintable() else _escaped(character) for character in text[:LONGEST])
    return kept if len(text) <= LONGEST else f"{kept} ({len(text) - LONGEST} more characters)"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def size(count: int) -> str:
    """Write a number of bytes as borg does, in powers of 1000."""
    amount, power = float(count), 0
    while amount >= 999.95 and power < 5:
        amount, power = amount / 1000, power + 1
    return f"{amount:.1f} {'kMGTP'[power - 1]}B" if power else f"{count} B"
