"""Services: send a message to a URL of Apprise's, the extra `notify`. Apprise is imported here alone, and late.

Apprise's own words can have the URL in them, so nothing of its log is printed: of an answer only the status is taken.

    error = send(address.reveal(), Message("web1 default: failed", "…", "failure"))          None where it went well
"""

import logging
import re

from borgctl.pull.notify.messages import Message
from borgctl.pull.targets.telling_warnings import NOT_INSTALLED

UNKNOWN = "apprise knows no such URL: see https://github.com/caronc/apprise/wiki"
_LOGGERS = ("apprise", "requests", "urllib3")  # what they say of a URL is for nobody
for _name in _LOGGERS:
    logging.getLogger(_name).propagate = False


def send(url: str, message: Message) -> str | None:
    """Send a message; return why that did not work, in words without the URL, or None.

    A redirect is not followed: the message would be lost on the way, and seem to be sent.
    """
    try:
        import apprise  # noqa: PLC0415 - 0.1 s, and an extra
    except ImportError:
        return NOT_INSTALLED
    lines: list[str] = []
    try:
        asset = apprise.AppriseAsset(app_id="borgpull", app_desc="borgpull", http_redirects=False)
        service = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
        if service is None:
            return UNKNOWN
        sent = apprise.Apprise(service, asset=asset).notify(
            body=message.body,
            title=message.title,
            notify_type=message.weight,
            body_format=apprise.NotifyFormat.TEXT,
            log_callback=lambda entry, _: lines.append(entry.message),
            log_level=logging.WARNING,
        )
    except Exception as error:  # its words may have the URL in them
        return f"was not sent ({type(error).__name__})"
    return None if sent else _why(lines)


def _why(lines: list[str]) -> str:
    """Return what went wrong, by Apprise's words, without them."""
    for line in lines:
        if match := re.search(r"error=([1-5][0-9]{2})\b", line):
            return f"answered with status {match[1]}"
        if "onnection error" in line:
            return "cannot be reached"
    return "was not sent: is the URL right?"
