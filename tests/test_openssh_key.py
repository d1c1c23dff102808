"""Public keys: what OpenSSH takes is read, what it does not take is refused; ssh-keygen is the judge."""

import base64
import contextlib
import re
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgctl.errors import BadValue
from borgctl.openssh_key import HostKey, PublicKey, fingerprint, kind_inside


def blob(*fields: bytes) -> str:
    """Return fields as a key's base64."""
    return base64.b64encode(b"".join(struct.pack(">I", len(field)) + field for field in fields)).decode()


ED25519 = blob(b"ssh-ed25519", b"k" * 32)
RSA = blob(b"ssh-rsa", b"\1\0\1", b"\0" + b"\xc1" * 256)
SK = blob(b"sk-ssh-ed25519@openssh.com", b"k" * 32, b"ssh:")
SK_ECDSA = blob(b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", b"\4" + b"k" * 64, b"ssh:")
GOOD = [
    f"ssh-ed25519 {ED25519}",
    f"ssh-ed25519 {ED25519} borgpull-web1",
    f"ssh-ed25519 {ED25519}\n",
    f"ssh-rsa {RSA} a@b",
    f"sk-ssh-ed25519@openssh.com {SK} c",
]
CUT = [  # the last field is not whole, one is missing, one is too many, a key is too short
    base64.b64encode(base64.b64decode(ED25519)[:-1]).decode(),
    blob(b"ssh-ed25519"),
    blob(b"ssh-ed25519", b"k" * 32, b"more"),
    blob(b"ssh-ed25519", b"k" * 31),
    base64.b64encode(base64.b64decode(ED25519) + b"x").decode(),
]
BAD = [
    "ssh-ed25519",
    "ssh-ed25519 AAAA",
    "ssh-ed25519 !!!!",
    "ssh-ed25519 A",
    f"ssh-rsa {ED25519} the type is another",
    f"ssh-rsa {ED25519}",
    f"ssh-ed25519 {ED25519[:-5]}* x",
    f"ssh-ed25519 {ED25519} x\nssh-ed25519 {ED25519} y",
    f'command="/bin/sh" ssh-ed25519 {ED25519}',
    f"ssh-dss {blob(b'ssh-dss', b'1', b'2', b'3', b'4')} x",
    f"ssh-ed25519-cert-v01@openssh.com {ED25519} x",
    f"SSH-ED25519 {ED25519} x",
    f"ssh-rsa {blob(b'ssh-rsa', b'1', b'x' * 20000)}",
    *(f"ssh-ed25519 {cut}" for cut in CUT),
]
BAD_FOR_A_USER = [
    f"ssh-ed25519 {ED25519} two words",
    f"ssh-ed25519 {ED25519} $(id)",
    f'ssh-ed25519 {ED25519} "x',
    "-----BEGIN OPENSSH PRIVATE KEY-----",
    "/no/such/file",
    "/dev/null",
    "",
    "\0",
]


def keygen(tmp_path, text):
    """Return what ssh-keygen -l says of a key, None where that is none for it."""
    (tmp_path / "key.pub").write_text(f"{text}\n")
    argv = ["ssh-keygen", "-l", "-f", str(tmp_path / "key.pub")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.split()[1] if done.returncode == 0 else None


@pytest.mark.parametrize("text", GOOD)
def test_a_public_key_is_read_and_written_as_one_line(text, tmp_path):
    key = PublicKey.read(text)
    assert str(key) == text.rstrip("\n") and PublicKey.read(str(key)) == key
    assert key.fingerprint == fingerprint(key.blob) == keygen(tmp_path, key)


@pytest.mark.parametrize(("kind", "bits"), [("ed25519", 256), ("rsa", 1024), ("ecdsa", 384), ("ecdsa", 521)])
def test_what_ssh_keygen_makes_is_read(kind, bits, tmp_path):
    made = str(tmp_path / "made")
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-b", str(bits), "-N", "", "-C", "me@home", "-f", made], check=True)
    text = (tmp_path / "made.pub").read_text().strip()
    assert PublicKey.read(text).fingerprint == keygen(tmp_path, text)
    assert HostKey.read(text).text == " ".join(text.split()[:2])


def test_the_largest_key_of_openssh_is_read(tmp_path):
    text = f"ssh-rsa {blob(b'ssh-rsa', bytes([1, 0, 1]), bytes(1) + bytes([193]) * 2048)}"  # 16384 bits
    assert PublicKey.read(text).fingerprint == keygen(tmp_path, text)


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_key_is_refused_for_users_and_for_hosts(text):
    for kind in (PublicKey, HostKey):
        with pytest.raises(BadValue):
            kind.read(text)


@pytest.mark.parametrize("text", BAD_FOR_A_USER)
def test_what_cannot_stand_in_authorized_keys_is_refused(text):
    with pytest.raises(BadValue):
        PublicKey.read(text)


@pytest.mark.parametrize("cut", CUT)
def test_ssh_keygen_takes_no_key_that_is_not_whole_either(cut, tmp_path):
    assert keygen(tmp_path, f"ssh-ed25519 {cut}") is None


def test_a_host_key_loses_its_comment_whatever_that_is(tmp_path):
    (tmp_path / "key.pub").write_text(f"ssh-ed25519 {ED25519} root@web1 (the old one)\n")
    assert HostKey.from_file(str(tmp_path / "key.pub")).text == f"ssh-ed25519 {ED25519}"
    with pytest.raises(BadValue, match="kind 'sk-ssh"):
        HostKey.read(f"sk-ssh-ed25519@openssh.com {SK}")


def test_a_public_key_may_be_in_a_file(tmp_path):
    (tmp_path / "key.pub").write_text(f"{GOOD[1]}\n")
    assert PublicKey.read(str(tmp_path / "key.pub")) == PublicKey.read(GOOD[1])


def test_a_key_of_any_kind_has_a_kind_and_a_fingerprint():
    assert kind_inside(SK_ECDSA) == "sk-ecdsa-sha2-nistp256@openssh.com"
    assert re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}", fingerprint(SK_ECDSA))
    with pytest.raises(BadValue, match="damaged"):
        fingerprint("A")


@given(st.one_of(st.text(max_size=60), st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode())))
def test_reading_is_total(text):
    for read in (kind_inside, fingerprint, HostKey.read, lambda text: PublicKey.read(f"ssh-ed25519 {text}")):
        with contextlib.suppress(BadValue):
            read(text)
