"""What looks like a secret is masked, all else stays, in work that grows with the text and no faster."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from regex_steps import steps

from borgctl.audit import redact
from borgctl.audit.record import render
from borgctl.audit.redact import masked, without

SECRET = "hunter2-secret-hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"BORG_PASSPHRASE={SECRET} borg list",
        f"export PGPASSWORD='{SECRET} and more'",
        f'{{"password": "{SECRET}"}}',
        f"password: {SECRET}",
        f"mysql --password {SECRET} -u x",
        f"mysql --password={SECRET}",
        f"curl https://me:{SECRET}@example.org/",
        f"Authorization: Bearer {SECRET}",
        f"AWS_SECRET={SECRET}&x=1",
        f"api_key={SECRET}",
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n-----END OPENSSH PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}",
        f"BORG_PASSCOMMAND=cat\t{SECRET}".replace("cat\t", ""),
        f"run 'BORG_PASSPHRASE={SECRET}'",
        f'{{"password": "a\\"{SECRET} {SECRET}"}}',
        f"password='a\\'{SECRET} {SECRET}'",
        f"PGPASSWORD='a b'\\''{SECRET} {SECRET}'",
        f'{{\\"password\\": \\"a {SECRET}\\"}}',
        f'{{\\"password\\": \\"a\\\\\\" {SECRET}\\"}}',
        f'password="without an end {SECRET}',
        f'password="without an end {SECRET}\\',
        f"PGPASSWORD=a,b;c&{SECRET}",
        f"https://me:a@{SECRET}@example.org/",
        f"ftp://{'m' * 200}:{SECRET}@example.org/",
        f"AWS_SECRET_ACCESS_KEY={SECRET}",
        f"private-key: {SECRET}",
        f"passphrase-old: {SECRET}",
    ],
)
def test_what_looks_like_a_secret_is_masked(text):
    assert SECRET not in masked(text) and "***" in masked(text)
    for field in ("detail", "said", "found", "anything"):
        for value in (text, [text], {"x": text}):
            assert SECRET not in render({"type": "refuse", field: value})


def test_a_word_after_a_telling_option_and_a_value_of_a_telling_key_are_masked():
    for value in (["mysql", "--password", SECRET, "-u"], {"password": SECRET}, [{"api_key": SECRET}]):
        line = render({"type": "exit", "said": value})
        assert SECRET not in line and "***" in line
    line = render({"type": "accept", "environment": ["BORG_PASSPHRASE_FD", "BORG_RELOCATED_REPO_ACCESS_IS_OK"]})
    assert "***" not in line


@pytest.mark.parametrize("field", ["request", "argv", "rule", "repository", "policy", "reading"])
@pytest.mark.parametrize(
    "word",
    [
        *(
            "::api-key:name",
            "::token=x",
            "--comment=password: x",
            "/etc/borgctl/my-token:12",
            "/srv/secret=x",
            "--pass",
        ),
        f"-----BEGIN PRIVATE KEY-----{SECRET}",
    ],
)
def test_no_word_that_was_asked_for_or_run_is_hidden(field, word):
    """A peer must not be able to hide its request from the log."""
    assert json.loads(render({"type": "accept", field: ["borg", word, "after"]}))[field] == ["borg", word, "after"]
    assert json.loads(render({"type": "refuse", field: f"borg create {word} /etc"}))[field].endswith(f" {word} /etc")


@pytest.mark.parametrize(
    "text",
    [
        "'/etc/borgctl/passphrase': No such file or directory",
        '"/etc/borgctl/passphrase": No such file or directory',
        "'/home/a b/my secret': Permission denied: it must be root's",
        "/etc/borgctl/passphrase: No such file or directory",
        "cannot open /root/.vault-token: Permission denied",
        "hook: cat: /srv/api_key: Is a directory",
    ],
)
def test_what_is_wrong_with_a_file_whose_name_tells_stays(text):
    assert masked(text) == text


@pytest.mark.parametrize(
    "text",
    [
        f"'/etc/passphrase': password={SECRET}",
        f"/x: token: {SECRET}",
        f"/token={SECRET}",
        f"https://example.org/token:{SECRET}",
        f"'/a' token: {SECRET} '/b': x",
        f"/etc/passwd: https://me:{SECRET}@example.org/",
        f"password='/x {SECRET}': y",
    ],
)
def test_a_files_name_hides_no_secret_that_follows(text):
    assert SECRET not in masked(text)


def test_what_is_after_a_quoted_secret_stays():
    assert masked('{"password": "a\\"b", "user": "me"}') == '{"password": ***, "user": "me"}'
    assert masked(r"{\"password\": \"a b\", \"user\": 1}") == r"{\"password\": ***, \"user\": 1}"


def test_a_known_secret_is_masked_wherever_it_stands_unless_it_is_a_part_of_words():
    assert without(f"a{SECRET}b{SECRET}", SECRET) == "a***b***"
    assert without("a line", None) == without("a line", "") == without("a line", "line") == "a line"


@pytest.mark.parametrize(
    "text",
    [
        "run default --repository=/srv/borg/web1 --log=json",
        "/etc/borgctl/passphrase",
        "ssh://borgctl/srv/borg/web1::name",
        "https://example.org:8080/path",
        "BORG_PASSPHRASE_FD",
        "missing key 'passphrase'",
    ],
)
def test_what_is_no_secret_stays(text):
    assert masked(text) == text


@given(st.text("pas:=/-@ \"'\nkey", max_size=300))
def test_masking_again_changes_no_length_much(text):
    assert len(masked(text)) <= len(text) + 3 * (len(text) + 1)


@pytest.mark.parametrize(
    "piece",
    [
        "password=",
        "://a:",
        "bearer ",
        "-----BEGIN PRIVATE KEY-----",
        "--pass",
        'token="',
        "a",
        "pass",
        "\\",
        'pass=\\"',
        "pass='\\'",
        "://",
        "/",
        "'/",
        "/a: ",
        "token:/a",
    ],
)
def test_twice_the_text_is_twice_the_work(piece):
    """Else a hook that prints a text made for that could hold up the gate."""

    def work(pattern, length):
        return steps(pattern, piece * (length // len(piece)))

    for pattern, _ in redact._patterns():
        assert work(pattern, 800) <= 2.2 * work(pattern, 400)
