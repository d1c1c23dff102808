"""What to do about a run that failed, from the messages of ssh and borg."""

import pytest

from borgctl.pull.client.transcript import Message
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.report import hints
from borgctl.pull.report.hints import ADVICE, advice, advice_for, advice_on_lost_connection, ssh_failure
from borgctl.pull.repository import space
from borgctl.pull.repository.space import full

SSH = Verdict("failed", "ssh", 255, "ssh-failed")
BORG = Verdict("failed", "borg", 2)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        (["@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @", "Host key verification failed."], "host-key"),
        (["No ED25519 host key is known for borgpull-web1"], "host-key"),
        (["root@web1: Permission denied (publickey,password)."], "key"),
        (["Error: remote port forwarding failed for listen path /run/x"], "socket"),
        (["ssh: connect to host web1 port 22: Connection refused"], "ssh"),
        ([], "ssh"),
    ],
)
def test_the_words_of_ssh_say_what_failed_and_the_hint_what_to_do(said, name) -> None:
    assert ssh_failure(said) == name
    messages = [Message("unframed", "WARNING", text) for text in said]
    assert advice(SSH, messages, "web1") == advice_for(name, "web1")


@pytest.mark.parametrize(
    ("msgid", "word"),
    [
        ("Repository.DoesNotExist", "borgpull run web1 --job init"),
        ("StorageQuotaExceeded", "borgpull compact web1"),
        ("Cache.RepositoryAccessAborted", "borgctl moved POLICY --from OLD-PATH"),
        ("Cache.RepositoryReplay", "borgctl moved POLICY --earlier"),
        ("PassphraseWrong", "passphrase"),
        (
            "KeyfileNotFoundError",
            "web1 --for 30m, and there: borgctl window -- borg key import :: FILE",
        ),
        (
            "ArchiveTAMInvalid",
            "borgpull window web1 --for 30m --allow delete, and there: borgctl window -- borg",
        ),
        ("ArchiveTAMRequiredError", "borg upgrade --archives-tam ::"),
    ],
)
def test_the_names_of_borgs_messages_lead_to_a_sentence_of_our_own(msgid, word) -> None:
    said = [Message("borg", "ERROR", "text", "OSError"), Message("borg", "ERROR", "evil", msgid)]
    hint = advice(BORG, said, "web1")
    assert hint is not None and word in hint and "evil" not in hint
    assert advice(Verdict("ok", "borg", 0), said, "web1") is None
    assert advice(BORG, said[:1], "web1") is None
    assert advice(BORG, [Message("serve", "ERROR", "text", msgid)], "web1") is None


def test_no_hint_speaks_of_a_target_by_another_name() -> None:
    for name in (*hints.SSH, *ADVICE):
        assert "TARGET" not in advice_for(name, "web1")
    assert advice(Verdict("failed", "launcher", None, "host-key-missing"), (), "web1") == advice_for(
        "host-key-missing", "web1"
    )


@pytest.mark.parametrize(
    "said",
    [
        "Timeout, server web1 not responding.",
        "Connection to web1 closed by remote host.",
        "client_loop: send disconnect: Broken pipe",
        "Read from remote host web1: Connection reset by peer",
    ],
)
def test_a_connection_that_was_lost_is_told_from_a_gate_that_says_nothing_more(said) -> None:
    hint = advice_on_lost_connection([Message("unframed", "ERROR", said)], 4.2, window=False)
    assert hint == "connection lost after 4 s; what borg had committed is kept, run again"
    assert advice_on_lost_connection([Message("borg", "ERROR", said)], 4.2, window=True).startswith(
        "connection lost after 4 s, or the gate was killed; open"
    )


def test_a_file_system_without_room_is_told_and_one_that_cannot_be_asked_is_not(tmp_path, monkeypatch) -> None:
    assert full(str(tmp_path / "nowhere")) is None
    monkeypatch.setattr(space, "_FULL", 1 << 62)
    assert f"free at {tmp_path}" in (full(str(tmp_path)) or "")
