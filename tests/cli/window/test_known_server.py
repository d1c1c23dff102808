"""The server that pulls this machine: by our own records and key lines, never by its own words."""

import base64
import json

import pytest
import stage

from borgctl import openssh_key
from borgctl.cli.window.known_server import Server, known_server
from borgctl.openssh_key import PublicKey
from borgctl.policy import locations

BLOBS = [base64.b64encode(b"\0\0\0\x0bssh-ed25519" + bytes([0, 0, 0, 32]) + bytes([n]) * 32).decode() for n in (1, 2)]
KEYS = [PublicKey.read(f"ssh-ed25519 {blob}").fingerprint for blob in BLOBS]


@pytest.fixture
def policy(tmp_path, monkeypatch):
    monkeypatch.setattr(locations, "home", lambda: str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    text = f"repositories: {{/srv/a: {{encryption: none}}}}\njobs: {{}}\naudit: {{file: {tmp_path}/log}}\n"
    return stage.written(tmp_path, f"version: 1\n{text}")


def told(policy, *records):
    with open(policy.audit.file, "w") as file:
        file.writelines(json.dumps({"policy": policy.file} | record) + "\n" for record in records)


def lines(policy, *comments):
    with open(f"{locations.home()}/.ssh/authorized_keys", "w") as file:
        for blob, comment in zip(BLOBS, comments, strict=False):
            file.write(f'# a comment\nrestrict,command="x" ssh-ed25519 {blob} {comment}\n')


def accepted(number, peer="192.0.2.7"):
    return {"type": "accept", "peer": peer, "key": KEYS[number]}


def test_it_is_the_last_whose_request_was_accepted_and_the_name_is_of_its_key(policy):
    lines(policy, "borgpull-old", "borgpull-web1")
    other = {"policy": "/etc/borgctl/other.yaml", "type": "accept", "peer": "192.0.2.9", "key": KEYS[0]}
    told(policy, accepted(0, "192.0.2.1"), accepted(1), other, {"type": "refuse", "peer": "192.0.2.8", "key": KEYS[0]})
    assert known_server(policy) == Server("192.0.2.7", "web1")


def test_a_key_of_whatever_kind_has_a_name(policy):
    parts = (b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", b"\4" + b"k" * 64, b"ssh:")
    blob = base64.b64encode(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).decode()
    with open(f"{locations.home()}/.ssh/authorized_keys", "w") as file:
        file.write(f"{parts[0].decode()} {blob} borgpull-web1\n")
    told(policy, accepted(0) | {"key": openssh_key.fingerprint(blob)})
    assert known_server(policy) == Server("192.0.2.7", "web1")


@pytest.mark.parametrize(
    "comment", ["", "me@laptop", "borgpull-", "borgpull-a b", "borgpull-\x1b[2J", "borgpull-" + "x" * 65]
)
def test_a_key_without_such_a_comment_has_no_name(policy, comment):
    lines(policy, comment)
    told(policy, accepted(0))
    assert known_server(policy) == Server("192.0.2.7", None)


@pytest.mark.parametrize("peer", [None, "UNKNOWN", "192.0.2.7\x1b", 7.5])
def test_what_is_no_address_is_none(policy, peer):
    lines(policy, "borgpull-web1")
    told(policy, accepted(0, peer))
    assert known_server(policy) == Server(None, "web1")


def test_nothing_is_known_where_nothing_came(policy):
    assert known_server(policy) == Server()
    told(policy, accepted(1))
    assert known_server(policy) == Server("192.0.2.7", None)  # and no authorized_keys
