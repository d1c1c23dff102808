"""What a server shows, against what is known: ids, keys, nonces."""

import os

import pytest

from borgctl.borg import nonces, relay
from borgctl.errors import BorgctlError
from borgctl.state import pins
from borgctl.state.repository_identity import RENEWED, Identity
from borgctl.state.state_dir import StateDir
from borgctl.values import RepositoryPath

A, B = RepositoryPath("/srv/a"), RepositoryPath("/srv/b")
ID, KEY, OTHER = b"i" * 32, b"k" * 32, b"o" * 32


@pytest.fixture
def base(tmp_path):
    tmp_path.chmod(0o700)
    base = StateDir.open(str(tmp_path / "base"))
    base.host_id()
    yield base
    os.close(base.fd)


def number(value):
    return value.to_bytes(8, "big").ljust(32, b"\0")


def reason(identity, kind, shown):
    with pytest.raises(BorgctlError) as caught:
        identity.agree(kind, shown)
    return caught.value.reason.code


def test_the_first_id_and_key_are_kept_and_others_refused(base):
    first = Identity(base, A, "create")
    assert first.agree(relay.REPOSITORY, ID) and first.agree(relay.KEY, KEY)
    later = Identity(base, A, "create")
    assert not later.agree(relay.REPOSITORY, OTHER)
    assert later.agree(relay.REPOSITORY, ID) and not later.agree(relay.REPOSITORY, OTHER)
    assert not later.agree(relay.KEY, OTHER)
    assert (pins.pin(base, "repository", A), pins.pin(base, "key", A)) == (ID.hex(), KEY.hex())


def test_a_new_repository_and_its_key_are_known_once_it_is_made(base):
    made = Identity(base, A, "init")
    assert made.agree(relay.REPOSITORY, ID) and made.agree(relay.SAVED_KEY, KEY) and made.agree(relay.WRITES, bytes(32))
    assert pins.pin(base, "repository", A) is None and pins.pin(base, "key", A) is None
    made.settle()
    assert (pins.pin(base, "repository", A), pins.pin(base, "key", A)) == (ID.hex(), KEY.hex())
    assert nonces.local(base.fd, ID.hex()) is None
    with pytest.raises(BorgctlError):
        Identity(base, A, "init").require_new()


@pytest.mark.parametrize("command", ["init", "create", "window"])
def test_an_id_that_changes_in_the_middle_is_refused(base, command):
    """Of one that is being made nothing is kept yet to compare with."""
    identity = Identity(base, A, command)
    assert identity.agree(relay.REPOSITORY, ID) and identity.agree(relay.REPOSITORY, ID)
    assert not identity.agree(relay.REPOSITORY, OTHER)


def test_a_key_that_borg_itself_has_just_saved_is_shown_back_to_it(base):
    """`borg key change-passphrase` loads the new one; it is known when a second borg has opened the repository."""
    Identity(base, A, "create").agree(relay.KEY, KEY)
    window = Identity(base, A, "window")
    assert window.agree(relay.KEY, KEY) and not window.agree(relay.KEY, OTHER)
    assert window.agree(relay.SAVED_KEY, OTHER) and window.agree(relay.KEY, OTHER) and window.agree(relay.KEY, KEY)
    window.settle()
    assert pins.pin(base, "key", A) == KEY.hex()


def test_a_key_is_saved_by_init_and_in_windows_alone(base):
    assert Identity(base, A, "window").agree(relay.SAVED_KEY, KEY)
    assert reason(Identity(base, A, "create"), relay.SAVED_KEY, KEY) == "transport-failed"
    assert pins.pin(base, "key", A) is None


def test_nothing_is_written_without_the_key_that_is_known(base):
    assert Identity(base, A, "create").agree(relay.WRITES, bytes(32))  # a keyfile: none is known
    pins.set_pin(base, "key", A, KEY.hex())
    later = Identity(base, A, "create")
    assert reason(later, relay.WRITES, bytes(32)) == "repository-replaced"
    assert later.agree(relay.KEY, KEY) and later.agree(relay.WRITES, bytes(32))


def test_where_no_nonce_was_counted_it_is_a_random_one_and_else_the_one_there_was(base):
    Identity(base, A, "create").agree(relay.REPOSITORY, ID)
    first = nonces.local(base.fd, ID.hex())
    assert nonces.LOWEST <= first < nonces.HIGHEST
    Identity(base, B, "create").agree(relay.REPOSITORY, ID)
    assert nonces.local(base.fd, ID.hex()) == first
    Identity(base, RepositoryPath("/srv/c"), "window").agree(relay.REPOSITORY, OTHER)
    assert nonces.local(base.fd, OTHER.hex()) not in (None, first)


@pytest.mark.parametrize("damage", ["", "x" * 16, "1" * 15, "1" * 17, "link", "fifo", "-000000000000001"])
def test_a_count_that_borg_could_not_read_is_none(base, tmp_path, damage):
    nonces.seed(base.fd, ID.hex())
    file = tmp_path / f"base/borg/.config/borg/security/{ID.hex()}/nonce"
    first = file.read_text()
    file.unlink()
    if damage == "link":
        (tmp_path / "other").write_text("0" * 16)
        file.symlink_to(tmp_path / "other")
    elif damage == "fifo":
        os.mkfifo(file)
    else:
        file.write_text(damage)
    nonces.seed(base.fd, ID.hex())
    assert file.read_text() != first and nonces.local(base.fd, ID.hex()) >= nonces.LOWEST
    assert not file.is_symlink() and file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["nonce"]


@pytest.mark.parametrize("step", [".config", ".config/borg", ".config/borg/security"])
def test_no_link_is_followed_to_where_nonces_are_counted(base, tmp_path, step):
    (tmp_path / "elsewhere").mkdir()
    place = tmp_path / "base/borg" / step
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(tmp_path / "elsewhere")
    assert reason(Identity(base, A, "create"), relay.REPOSITORY, ID) == "base-unusable"
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_random_start_is_its_to_count_on_from_whom_borg_runs_as(base, tmp_path):
    base.give_borg(64101, 64102)
    nonces.seed(base.fd, ID.hex())
    place = tmp_path / "base/borg/.config/borg/security" / ID.hex() / "nonce"
    for path in (place, place.parent, place.parents[1], place.parents[2], place.parents[3]):
        assert (path.stat().st_uid, path.stat().st_gid) == (64101, 64102), path


@pytest.mark.parametrize(
    ("answer", "own", "agreed"),
    [
        (0, 5, True),
        (nonces.HIGHEST, 5, True),
        (nonces.FARTHEST - 1, 5, True),
        (nonces.FARTHEST, 5, False),
        (nonces.END - 1, 5, False),
        (nonces.END, 5, False),
        ((1 << 64) - 1, 5, False),
        (nonces.FARTHEST + 9, nonces.FARTHEST + 9, True),  # what we counted ourselves
        (nonces.FARTHEST + 10, nonces.FARTHEST + 9, False),
        (nonces.END, nonces.END + 9, False),
    ],
)
def test_an_answer_of_the_server_leaves_room_to_count_on(base, tmp_path, answer, own, agreed):
    identity = Identity(base, A, "create")
    identity.agree(relay.REPOSITORY, ID)
    (tmp_path / f"base/borg/.config/borg/security/{ID.hex()}/nonce").write_text(f"{own:016x}")
    if agreed:
        assert identity.agree(relay.NONCE, number(answer))
    else:
        assert reason(identity, relay.NONCE, number(answer)) == "nonce-refused"


def test_borg_commits_no_nonce_behind_the_end(base, tmp_path):
    identity = Identity(base, A, "create")
    identity.agree(relay.REPOSITORY, ID)
    (tmp_path / f"base/borg/.config/borg/security/{ID.hex()}/nonce").write_text(f"{nonces.END - 5:016x}")
    assert identity.agree(relay.RESERVED, number(nonces.END - 1))
    assert reason(identity, relay.RESERVED, number(nonces.END)) == "nonce-refused"


def test_the_server_does_not_choose_from_where_borg_counts_on(base):
    """It could name a number that another base, or another repository with the same key, has used."""
    identity = Identity(base, A, "create")
    identity.agree(relay.REPOSITORY, ID)
    leaps = set()
    for answer in range(1 << 62, nonces.FARTHEST, 1 << 58):
        before = nonces.local(base.fd, ID.hex())
        assert identity.agree(relay.NONCE, number(answer))
        after = nonces.local(base.fd, ID.hex())
        assert after == before if answer <= before else answer + nonces.STEP <= after < nonces.END
        leaps.add(after - answer)
    assert max(leaps) > 1 << 40


def test_no_number_of_answers_uses_the_range_up(base, tmp_path):
    identity = Identity(base, A, "create")
    identity.agree(relay.REPOSITORY, ID)
    near = nonces.FARTHEST - 20 * nonces.LEAP
    (tmp_path / f"base/borg/.config/borg/security/{ID.hex()}/nonce").write_text(f"{near:016x}")
    while (answer := nonces.local(base.fd, ID.hex()) + nonces.STEP) < nonces.FARTHEST:
        assert identity.agree(relay.NONCE, number(answer))
    assert reason(identity, relay.NONCE, number(answer)) == "nonce-refused"
    assert nonces.END - nonces.local(base.fd, ID.hex()) > 1 << 59


@pytest.mark.parametrize("object_says", [1 << 50, nonces.FARTHEST - 1, nonces.FARTHEST, nonces.END - 1])
def test_what_an_object_of_the_servers_says_is_no_count_of_ours(base, tmp_path, object_says):
    identity = Identity(base, A, "check")
    identity.agree(relay.REPOSITORY, ID)
    (tmp_path / f"base/borg/.config/borg/security/{ID.hex()}/nonce").write_text(f"{1 << 41:016x}")
    assert identity.agree(relay.RESERVED, number((1 << 41) + (1 << 28) + 9))
    assert reason(identity, relay.RESERVED, number(object_says)) == "nonce-refused"
    own = nonces.local(base.fd, ID.hex())
    assert own > object_says if object_says < nonces.FARTHEST else own == 1 << 41


@pytest.mark.parametrize("kind", [relay.KEY, RENEWED])
def test_with_a_key_that_is_new_here_borg_begins_elsewhere(base, tmp_path, kind):
    """A server can show the key of another repository of this policy under an id that is known."""
    Identity(base, A, "create").agree(relay.REPOSITORY, ID)
    (tmp_path / f"base/borg/.config/borg/security/{ID.hex()}/nonce").write_text(f"{3 << 28:016x}")
    identity = Identity(base, B, "window")
    assert identity.agree(relay.REPOSITORY, ID) and identity.agree(kind, KEY)
    first = nonces.local(base.fd, ID.hex())
    assert first > nonces.LOWEST
    if kind == relay.KEY:
        assert Identity(base, B, "create").agree(relay.KEY, KEY) and nonces.local(base.fd, ID.hex()) == first


def test_only_a_window_renews_a_key(base):
    assert not Identity(base, A, "create").agree(RENEWED, KEY)


def test_what_is_not_understood_is_not_agreed_to(base):
    assert not Identity(base, A, "create").agree(b"?", ID)


def test_a_second_base_beside_this_one_is_refused_and_keeps_nothing(base, tmp_path):
    Identity(base, A, "create").agree(relay.REPOSITORY, ID)
    second = StateDir.open(str(tmp_path / "second"))
    second.host_id()
    assert reason(Identity(second, B, "create"), relay.REPOSITORY, ID) == "repository-elsewhere"
    assert pins.pin(second, "repository", B) is None and nonces.local(second.fd, ID.hex()) is None
    assert Identity(second, B, "create").agree(relay.REPOSITORY, OTHER)
    pins.delete(base, "repository", A)
    assert Identity(second, A, "create").agree(relay.REPOSITORY, ID)
    os.close(second.fd)
