"""Masks: what looks like a secret goes, what does not stays, and no text takes long."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgctl.masks import masked
from borgctl.records import render

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
    ],
)
def test_what_looks_like_a_secret_is_masked(text):
    assert SECRET not in masked(text) and "***" in masked(text)
    for field in ("request", "detail", "said", "argv", "anything"):
        for value in (text, [text], {"x": text}):
            assert SECRET not in render({"type": "refuse", field: value})


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
    "piece", ["password=", "://a:", "bearer ", "-----BEGIN PRIVATE KEY-----", "--pass", 'token="', "a"]
)
def test_a_text_made_to_be_slow_is_not(piece):
    begun = time.process_time()
    masked(piece * (200_000 // len(piece)))
    assert time.process_time() - begun < 2
