"""A ping: the convention, and each way in which it can fail, without a word of the URL."""

import socket

import pytest

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
        "away": "cannot be reached: the address is of no kind that is spoken",
    }
    assert found["no host"].startswith("cannot be reached") and "SECRET" not in found["no host"]


def test_a_redirect_is_followed_and_never_to_another_scheme(receiver) -> None:
    assert send(receiver.url("/redirect"), SUCCESS, "text", 5) is None
    assert [one.path for one in receiver.requests] == ["/redirect", "/ok/after"]
    with socket.create_server(("127.0.0.1", 0)) as ftp:
        ftp.setblocking(False)
        receiver.port = ftp.getsockname()[1]  # where /away leads to
        away = f"http://127.0.0.1:{receiver.server_port}/away"
        assert send(away, SUCCESS, "text", 5) is not None
        with pytest.raises(BlockingIOError):
            ftp.accept()


def test_the_proxy_of_the_environment_is_asked(receiver, monkeypatch) -> None:
    monkeypatch.setenv("http_proxy", receiver.url(""))
    monkeypatch.setenv("no_proxy", "")
    assert send("http://check.example.org/ok/KEY", START, "", 5) is None
    assert receiver.requests[0].path == "http://check.example.org/ok/KEY/start"
