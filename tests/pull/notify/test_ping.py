"""A ping: the convention, and each way in which it can fail, without a word of the URL."""

import socket

from borgctl.pull.notify.ping import FAIL, LONGEST, START, SUCCESS, send, url


def test_the_three_signals_are_posts_to_three_urls_with_the_summary_as_body(receiver) -> None:
    for signal in (START, SUCCESS, FAIL):
        assert send(receiver.url("/ok/KEY/web1?create=1"), signal, "web1 default: é", 5) is None
    assert [(one.method, one.path, one.body) for one in receiver.requests] == [
        ("POST", "/ok/KEY/web1/start?create=1", "web1 default: é"),
        ("POST", "/ok/KEY/web1?create=1", "web1 default: é"),
        ("POST", "/ok/KEY/web1/fail?create=1", "web1 default: é"),
    ]


def test_a_final_slash_makes_no_second_one() -> None:
    assert (url("https://h/k/", START), url("https://h", FAIL), url("https://h/k/", SUCCESS)) == (
        "https://h/k/start",
        "https://h/fail",
        "https://h/k/",
    )


def test_a_body_is_capped(receiver) -> None:
    assert send(receiver.url("/ok"), FAIL, "x" * (LONGEST + 1), 5) is None
    assert len(receiver.requests[0].body) == LONGEST


def test_what_fails_is_said_without_the_url(receiver) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/SECRET"
        found = {
            name: send(base, SUCCESS, "", seconds)
            for name, base, seconds in (
                ("refused", receiver.url("/refuse/SECRET"), 5),
                ("silent", receiver.url("/hang/SECRET"), 0.1),
                ("nobody", nobody, 5),
                ("no host", "http://[::1%SECRET]/", 5),
                ("away", receiver.url("/away/SECRET"), 5),
            )
        }
    assert found == {
        "refused": "answered with status 403",
        "silent": "cannot be reached: no answer in time",
        "nobody": "cannot be reached: Connection refused",
        "no host": found["no host"],
        "away": "answered with status 302",
    }
    assert found["no host"].startswith("cannot be reached") and "SECRET" not in found["no host"]


def test_a_redirect_is_not_followed(receiver) -> None:
    """The body would be lost on the way; and it may lead to another host, or to what only this machine reaches."""
    for path in ("/redirect", "/away"):
        assert send(receiver.url(path), FAIL, "text", 5) == "answered with status 302"
    assert [one.path for one in receiver.requests] == ["/redirect/fail", "/away/fail"]


def test_the_proxy_of_the_environment_is_asked(receiver, monkeypatch) -> None:
    monkeypatch.setenv("http_proxy", receiver.url(""))
    monkeypatch.setenv("no_proxy", "")
    assert send("http://check.example.org/ok/KEY", START, "", 5) is None
    assert receiver.requests[0].path == "http://check.example.org/ok/KEY/start"
