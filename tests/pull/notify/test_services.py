"""Services: the real Apprise against a real server, and no word of a URL in what is said."""

import json
import subprocess
import sys

import pytest

from borgctl.pull.notify.messages import Message
from borgctl.pull.notify.services import UNKNOWN, send
from borgctl.pull.targets.telling_warnings import NOT_INSTALLED

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")  # of a library of Apprise's
MESSAGE = Message("web1 default: failed (ssh-failed)", "one <b>line</b>\n*two* & @everyone", "failure")


def test_title_and_body_arrive_as_they_are(receiver) -> None:
    assert send(receiver.service("/ok"), MESSAGE) is None
    sent = json.loads(receiver.requests[0].body)
    assert (sent["title"], sent["message"], sent["type"]) == MESSAGE


def test_a_url_with_a_comma_is_one_url(receiver) -> None:
    assert send(receiver.service("/ok/a,b"), MESSAGE) is None
    assert [one.path for one in receiver.requests] == ["/ok/a%2Cb"]


def test_an_answer_that_is_no_success_is_named_by_its_status_and_a_redirect_is_not_followed(receiver) -> None:
    assert send(receiver.service("/refuse/SECRET"), MESSAGE) == "answered with status 403"
    assert send(receiver.service("/redirect/SECRET"), MESSAGE) == "answered with status 302"
    assert [one.path for one in receiver.requests] == ["/refuse/SECRET", "/redirect/SECRET"]


def test_what_cannot_be_sent_is_said_and_nothing_of_the_url_is_printed() -> None:
    said = {
        "json://127.0.0.1:1/SECRET": "cannot be reached",
        "json://user:SECRET@127.0.0.1:1/": "cannot be reached",
        "nonsense://SECRET": UNKNOWN,
        "https://127.0.0.1/SECRET": UNKNOWN,
        "mailto://SECRET": UNKNOWN,
        "tgram://SECRET": UNKNOWN,
        "json://[SECRET": UNKNOWN,
    }
    code = (
        "import logging; logging.basicConfig(level=0)\n"
        "from borgctl.pull.notify.services import send; from borgctl.pull.notify.messages import Message\n"
        f"for url in {list(said)!r}: print(send(url, Message('a', 'b', 'info')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == list(said.values()) and "SECRET" not in done.stderr


def test_where_apprise_is_missing_the_line_that_installs_it_is_said(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    assert send("json://127.0.0.1/", MESSAGE) == NOT_INSTALLED
    assert NOT_INSTALLED.endswith("-m pip install 'borgctl-gatekeeper[notify]'")
