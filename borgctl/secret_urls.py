"""Secret URLs: what may be printed in the place of a URL, as such a one holds secrets where it belongs.

It knows how a URL looks, and how errors are worded here: the value with !r, then what was expected. It does not know
which keys of a file take URLs: one that stands where none belongs was meant for those that do.

    >>> shown("tgram://123:secret/456")
    'tgram://…'
    >>> without("bad quota 'https://h/secret': expected a number and a unit", "https://h/secret")
    "bad quota 'https://…': expected a number and a unit"
    >>> without("bad quota '5': expected a number and a unit", "5")
    "bad quota '5': expected a number and a unit"
"""

import re


def shown(text: str) -> str:
    """Return what may be printed of a text; with a URL in it that is at most the URL's scheme."""
    if "://" not in text and not text.startswith("//"):
        return text
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]{0,31}://", text)
    return f"{scheme[0] if scheme else ''}…"


def without(error: str, value: str) -> str:
    """Return an error about a value without the URL that is in it, however the error quotes it: whole or in part."""
    quote = re.search("['\"]", error)
    if quote is None or shown(value) == value:
        return error
    expected = None if "expected" in value else re.search(r"(?:: | \()expected .*\Z", error, re.DOTALL)
    if expected is not None and expected.start() < quote.start():
        return error  # it quotes what was expected alone
    return f"{error[: quote.start()]}{shown(value)!r}{expected[0] if expected else ''}"
