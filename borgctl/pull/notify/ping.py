"""Ping: tell a check of healthchecks.io, or one of its kind, that a run began, went well or failed.

URL/start, URL and URL/fail get a POST whose body is the run's summary. Only http and https are spoken. A redirect is
not followed: the body would be lost on the way, and it may lead anywhere. Proxies are those of the environment.

    error = send(address.reveal(), FAIL, "web1 default: failed …", seconds=10)          None where it went well
"""

import urllib.error
import urllib.request

from borgctl import __version__

START, SUCCESS, FAIL = "/start", "", "/fail"
LONGEST = 10_000  # bytes of a body
_HANDLERS = (
    urllib.request.ProxyHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.HTTPErrorProcessor,
)


def url(base: str, signal: str) -> str:
    """Return the URL of a signal: it goes behind the path, before a query.

    >>> url("https://hc.example.org/ping/KEY/web1?create=1", FAIL)
    'https://hc.example.org/ping/KEY/web1/fail?create=1'
    """
    path, mark, query = base.partition("?")
    return f"{path.rstrip('/')}{signal}{mark}{query}" if signal else base


def send(base: str, signal: str, text: str, seconds: float) -> str | None:
    """Send a signal; return why that did not work, in words without the URL, or None.

    `seconds` are for each step of the connection: a server can be slow without end, so the caller has a clock.
    """
    opener = urllib.request.OpenerDirector()
    for handler in _HANDLERS:
        opener.add_handler(handler())
    data = text.encode("utf-8", "replace")[:LONGEST]
    headers = {"User-Agent": f"borgpull/{__version__}", "Content-Type": "text/plain; charset=utf-8"}
    try:
        request = urllib.request.Request(url(base, signal), data, headers, method="POST")  # noqa: S310 - as checked
        with opener.open(request, timeout=seconds):
            return None
    except urllib.error.HTTPError as error:
        with error:
            return f"answered with status {error.code}"
    except urllib.error.URLError as error:
        return f"cannot be reached: {_why(error.reason)}"
    except OSError as error:
        return f"cannot be reached: {_why(error)}"
    except Exception as error:  # its words may have the URL in them
        return f"cannot be reached: {type(error).__name__}"


def _why(reason: object) -> str:
    """Return the system's words of an error; other words may have the URL in them."""
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, OSError) and reason.strerror and reason.errno is not None:
        return reason.strerror
    return type(reason).__name__ if isinstance(reason, Exception) else "the address is of no kind that is spoken"
