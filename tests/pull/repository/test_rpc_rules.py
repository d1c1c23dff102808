"""What each kind of session may say: the table row by row, and every rule from both sides."""

import pytest
import rpc

from borgctl.borg import nonces
from borgctl.pull.repository import rpc_rules
from borgctl.pull.repository.rpc_messages import METHODS, NEVER
from borgctl.pull.repository.rpc_rules import ENTRY, FARTHEST_JUMP, FILE, LARGEST_NONCE, LONGEST_STEP, REMEMBERED, Judge
from borgctl.pull.repository.rpc_screen import RpcScreen
from borgctl.pull.repository.rpc_sessions import RULES, SESSIONS, SessionLimits

PATH = "/srv/borg/web1"
ONE, OTHER = b"1" * 32, b"2" * 32
LIMITS = SessionLimits(PATH.encode(), quota=1 << 30, puts=1000, commits=10)
READING = {"negotiate", "open", "load_key", "get", "list", "scan", "__len__", "check", "rollback"}
READING |= {"get_free_nonce", "commit_nonce_reservation"}
MAY = {
    "read": READING,
    "create": READING | {"put", "commit", "delete"},
    "prune": READING - {"check"} | {"put", "commit", "delete"},
    "init": READING - {"check"} | {"put", "commit", "save_key"},
    "window-read": READING,
    "window-write": READING | {"put", "commit", "delete"},
    "window-passphrase": READING | {"save_key"},
    "window-delete": READING | {"put", "commit", "delete"},
}
WRITING = [name for name in SESSIONS if "put" in MAY[name] and name != "init"]
SAID = {  # one of each, as the third message of a session
    "load_key": rpc.call(3, "load_key"),
    "save_key": rpc.call(3, "save_key", keydata=b"aGVsbG8h\naGVsbG8="),
    "get": rpc.call(3, "get", id=ONE),
    "put": rpc.put(3, ONE, b"data"),
    "delete": rpc.call(3, "delete", id=ONE),
    "list": rpc.call(3, "list", limit=1, marker=None),
    "scan": rpc.call(3, "scan", limit=1, marker=None),
    "__len__": rpc.call(3, "__len__"),
    "check": rpc.call(3, "check", repair=False, save_space=False, max_duration=0),
    "commit": rpc.commit(3),
    "rollback": rpc.call(3, "rollback"),
    "get_free_nonce": rpc.call(3, "get_free_nonce"),
    "commit_nonce_reservation": rpc.call(3, "commit_nonce_reservation", next_unreserved=9, start_nonce=None),
}


def talk(session, *messages, limits=LIMITS, opening=None, vacant=True, known=()):
    """Say it all; return the rule that refused, or the facts."""
    create = SESSIONS[session].create
    opened = opening or rpc.opening(PATH, create=create)
    screen = RpcScreen(Judge(SESSIONS[session], limits, lambda: vacant, lambda id_: id_ in known))
    data = b"".join((rpc.negotiate(), opened, *messages))
    passing = screen.measure(data)
    if screen.refusal is not None:
        assert screen.refusal.rule in RULES
        return screen.refusal.rule
    assert passing == len(data)
    return screen.judge.facts


def numbered(*messages):
    """Return messages from (method, arguments), numbered from 3."""
    return [
        rpc.commit(number) if method == "commit" else rpc.call(number, method, **arguments)
        for number, (method, arguments) in enumerate(messages, 3)
    ]


def putting(id_, data=b"data"):
    return ("put", {"id": id_, "data": data})


def deleting(id_):
    return ("delete", {"id": id_})


COMMIT = ("commit", {})
LISTED = {"limit": 1, "marker": None}


def test_the_table_is_the_one_of_the_interface():
    assert {name: set(session.methods) for name, session in SESSIONS.items()} == MAY
    assert set(SAID) | {"negotiate", "open"} | set(NEVER) == set(METHODS)
    assert [name for name, session in SESSIONS.items() if session.create] == ["init"]
    assert [name for name, session in SESSIONS.items() if session.unlocked] == [n for n in MAY if n[:6] == "window"]
    assert [name for name, session in SESSIONS.items() if session.granted] == ["prune"]
    assert [name for name, session in SESSIONS.items() if session.any_delete] == ["window-delete"]


@pytest.mark.parametrize("session", SESSIONS)
@pytest.mark.parametrize("method", SAID)
def test_a_session_says_what_its_row_says_and_nothing_else(session, method):
    said = talk(session, SAID[method])
    if method not in MAY[session]:
        assert said == "session"
    elif method == "delete" and session != "window-delete":
        assert said == "delete"
    elif method == "commit":
        assert said == "empty"
    else:
        assert said.messages == 3


@pytest.mark.parametrize("session", SESSIONS)
@pytest.mark.parametrize("method", NEVER)
def test_no_session_says_what_none_may(session, method):
    assert talk(session, rpc.call(3, method)) == "never"


@pytest.mark.parametrize("session", SESSIONS)
def test_open_names_the_targets_repository_alone(session):
    create = SESSIONS[session].create
    for path in ("/srv/borg/web2", PATH + "/", "/srv/borg//web1", "/srv/borg/../borg/web1", "web1", "", "/./srv", "~"):
        assert talk(session, opening=rpc.opening(path, create=create)) == "path"


@pytest.mark.parametrize("session", SESSIONS)
def test_a_session_is_opened_once_and_in_turn(session):
    opened = rpc.opening(PATH, create=SESSIONS[session].create)
    again = rpc.opening(PATH, create=SESSIONS[session].create).replace(b"\xa1i\x02", b"\xa1i\x03")
    assert talk(session, again) == "order"
    assert talk(session, rpc.negotiate()) == "order"
    assert talk(session, rpc.call(4, "load_key")) == "order"
    assert talk(session, rpc.call(2, "load_key")) == "order"
    assert talk(session, opening=rpc.call(2, "load_key")) == "order"
    assert talk(session, opening=rpc.negotiate()) == "order"
    assert talk(session, opening=opened.replace(b"\xa1i\x02", b"\xa1i\x03")) == "order"


def test_open_comes_after_negotiate():
    for first in (rpc.opening(PATH), rpc.opening(PATH).replace(b"\xa1i\x02", b"\xa1i\x01"), rpc.call(1, "load_key")):
        screen = RpcScreen(Judge(SESSIONS["create"], LIMITS, lambda: False, lambda _: False))
        assert screen.measure(first) == 0
        assert screen.refusal.rule == "order"


@pytest.mark.parametrize("session", SESSIONS)
def test_a_repository_begins_only_in_init_and_where_nothing_is(session):
    begun = talk(session, opening=rpc.opening(PATH, create=True))
    assert begun == "create" if session != "init" else begun.messages == 2
    assert talk(session, opening=rpc.opening(PATH, create=True), vacant=False) == "create"
    if session == "init":
        assert talk(session, opening=rpc.opening(PATH)) == "create"
        assert talk(session, opening=rpc.opening(PATH, create=True, exclusive=False)) == "create"


@pytest.mark.parametrize("session", SESSIONS)
def test_nobody_opens_append_only_or_makes_parents(session):
    create = SESSIONS[session].create
    for option in ("append_only", "make_parent_dirs"):
        assert talk(session, opening=rpc.opening(PATH, create=create, **{option: True})) == "options"


@pytest.mark.parametrize("session", SESSIONS)
def test_only_a_window_reads_without_a_lock_and_nobody_writes_so(session):
    create = SESSIONS[session].create
    for exclusive in (True, False):
        opened = rpc.opening(PATH, create=create, lock=False, exclusive=exclusive)
        if not session.startswith("window"):
            assert talk(session, opening=opened) == "lock"
            continue
        assert talk(session, SAID["get"], opening=opened).messages == 3
        for method in {"put", "commit", "delete", "check", "commit_nonce_reservation"} & MAY[session]:
            assert talk(session, SAID[method], opening=opened) == "lock"


@pytest.mark.parametrize("session", [name for name in SESSIONS if name != "init"])
def test_what_writes_needs_the_exclusive_lock(session):
    opened = rpc.opening(PATH, exclusive=False)
    for method in MAY[session] - {"negotiate", "open"}:
        needs = method in {"put", "commit", "delete", "check", "get_free_nonce", "commit_nonce_reservation"}
        said = talk(session, SAID[method], opening=opened)
        assert said == "lock" if needs else said.messages == 3


@pytest.mark.parametrize("session", SESSIONS)
def test_nobody_repairs_or_compacts(session):
    repair = rpc.call(3, "check", repair=True, save_space=False, max_duration=0)
    assert talk(session, repair) == ("repair" if "check" in MAY[session] else "session")
    if "commit" in MAY[session]:
        assert talk(session, rpc.commit(3, compact=True)) == "compact"
        assert talk(session, rpc.commit(3, cleanup_commits=True)) == "compact"
        assert talk(session, rpc.put(3, ONE, b"data"), rpc.commit(4, save_space=True)).commits == 1


def test_a_client_that_begins_anew_many_times_stays_where_its_server_lets_it_begin():
    """Each lost base, and each new passphrase, has it count on from a random number above the last."""
    assert nonces.HIGHEST + 60 * (nonces.LEAP + nonces.STEP + (1 << 40)) < FARTHEST_JUMP < nonces.FARTHEST


@pytest.mark.parametrize("session", SESSIONS)
def test_nonces_stay_below_2_to_the_63rd_and_nobody_uses_them_up(session):
    def reserve(end, start):
        return talk(session, rpc.call(3, "commit_nonce_reservation", next_unreserved=end, start_nonce=start))

    for start in (None, 0, FARTHEST_JUMP, LARGEST_NONCE):
        assert reserve(FARTHEST_JUMP, start).messages == 3
        assert reserve(LARGEST_NONCE + 1, start) == reserve((1 << 64) - 1, start) == "nonce"
    assert reserve(1, LARGEST_NONCE + 1) == "nonce"
    for end in (FARTHEST_JUMP + 1, FARTHEST_JUMP + (1 << 40), LARGEST_NONCE):
        assert reserve(end, end - LONGEST_STEP).messages == 3
        assert reserve(end, end - LONGEST_STEP - 1) == reserve(end, 0) == reserve(end, None) == "nonce"


@pytest.mark.parametrize("session", ["init", "window-passphrase"])
@pytest.mark.parametrize(
    "key",
    [b"", b"\n", b"a\rb", b"a\n\nb", b"a\n[repository]", b"a b", b"a=b", b"%(id)s", b"a\0", b"a===", "ä".encode()],
)
def test_a_key_is_base64_and_nothing_that_a_config_could_misread(session, key):
    assert talk(session, rpc.call(3, "save_key", keydata=key)) == "key"


@pytest.mark.parametrize("session", WRITING)
def test_a_session_deletes_what_it_put(session):
    facts = talk(session, *numbered(putting(ONE), COMMIT, deleting(ONE), deleting(ONE)))
    assert (facts.puts, facts.put_bytes, facts.commits, facts.deletes) == (1, 4, 1, 2)


@pytest.mark.parametrize("session", ["create", "prune", "window-write"])
def test_a_session_deletes_nothing_else(session):
    assert talk(session, *numbered(putting(ONE), deleting(OTHER))) == "delete"


def test_only_prune_deletes_what_the_servers_file_allows():
    three = LIMITS._replace(deletes=3)
    own = [putting(OTHER), deleting(OTHER)]
    assert talk("prune", *numbered(*own, *[deleting(ONE)] * 3), limits=three).deletes == 4
    assert talk("prune", *numbered(*own, *[deleting(ONE)] * 4), limits=three) == "delete"
    assert talk("prune", *numbered(*[deleting(ONE)] * 100), limits=LIMITS._replace(deletes=None)).deletes == 100
    for session in ("create", "window-write"):
        assert talk(session, *numbered(deleting(ONE)), limits=LIMITS._replace(deletes=None)) == "delete"
    assert talk("window-delete", *numbered(*[deleting(ONE)] * 100)).deletes == 100


@pytest.mark.parametrize("session", WRITING)
def test_nobody_deletes_the_manifest(session):
    limits = LIMITS._replace(deletes=None)
    assert talk(session, *numbered(putting(rpc.MANIFEST), deleting(rpc.MANIFEST)), limits=limits) == "delete"


def test_the_latest_puts_are_remembered_and_memory_is_bounded():
    recent = rpc_rules._Recent()
    ids = [number.to_bytes(32, "big") for number in range(5 * REMEMBERED)]
    for id_ in ids:
        recent.add(id_)
        assert len(recent.younger) + len(recent.older) <= 2 * REMEMBERED
    assert all(id_ in recent for id_ in ids[-REMEMBERED:])
    assert ids[0] not in recent


def test_bytes_count_against_the_quota_as_they_pass():
    two = LIMITS._replace(quota=8 + 2 * ENTRY)
    assert talk("create", *numbered(putting(ONE), putting(ONE)), limits=two).put_bytes == 8
    assert talk("create", *numbered(putting(ONE), putting(ONE, b"12345")), limits=two) == "quota"
    assert talk("create", *numbered(putting(ONE), putting(ONE), ("rollback", {}), putting(ONE)), limits=two) == "quota"
    assert talk("create", *numbered(putting(ONE)), limits=LIMITS._replace(quota=0)) == "quota"


def test_what_serve_writes_beside_the_data_counts_as_well():
    nothing = [putting(ONE, b"")] * 4
    assert talk("create", *numbered(*nothing[1:]), limits=LIMITS._replace(quota=3 * ENTRY)).puts == 3
    assert talk("create", *numbered(*nothing), limits=LIMITS._replace(quota=3 * ENTRY)) == "quota"
    files = [putting(rpc.MANIFEST, b""), COMMIT]
    for quota, said in ((2 * FILE + ENTRY, "passes"), (2 * FILE + ENTRY - 1, "quota")):
        facts = talk("create", *numbered(*files), limits=LIMITS._replace(quota=quota))
        assert facts == said if said == "quota" else facts.commits == 1


def test_a_manifest_is_for_a_commit():
    three = [putting(rpc.MANIFEST), ("rollback", {})] * 3
    assert talk("create", *numbered(*three), limits=LIMITS._replace(commits=3)).manifests == 3
    assert talk("create", *numbered(*three), limits=LIMITS._replace(commits=2)) == "manifests"


@pytest.mark.parametrize("session", ["create", "window-write"])
def test_an_object_of_an_earlier_session_stays_one_when_it_is_put_again(session):
    again = [putting(ONE), putting(ONE), putting(rpc.MANIFEST)]
    facts = talk(session, *numbered(*again), known=(ONE, rpc.MANIFEST))
    assert (facts.puts, facts.overwrites) == (3, 2)
    assert talk(session, *numbered(*again, deleting(ONE)), known=(ONE,)) == "delete"


def test_an_object_of_an_earlier_session_counts_against_the_deletes_of_a_prune():
    again = [putting(ONE), deleting(ONE)]
    assert talk("prune", *numbered(*again), limits=LIMITS._replace(deletes=1), known=(ONE,)).deletes == 1
    assert talk("prune", *numbered(*again, *again), limits=LIMITS._replace(deletes=1), known=(ONE,)) == "delete"


def test_puts_and_commits_are_counted():
    two = LIMITS._replace(puts=2, commits=2)
    assert talk("create", *numbered(putting(ONE), COMMIT, putting(ONE), COMMIT), limits=two).commits == 2
    assert talk("create", *numbered(putting(ONE), putting(ONE), putting(ONE)), limits=two) == "puts"
    assert talk("create", *numbered(*[putting(ONE), COMMIT] * 2, deleting(ONE), COMMIT), limits=two) == "commits"


def test_nothing_is_allowed_that_the_launcher_did_not_say():
    bare = SessionLimits(PATH.encode())
    assert talk("create", *numbered(putting(ONE, b"")), limits=bare) == "puts"
    assert talk("create", *numbered(COMMIT), limits=bare) == "commits"
    assert talk("prune", *numbered(deleting(ONE)), limits=bare) == "delete"


def test_a_committed_manifest_is_one_put_since_the_last_commit_and_not_rolled_back():
    manifest, back = putting(rpc.MANIFEST), ("rollback", {})

    def committed(*messages):
        facts = talk("create", *numbered(*messages))
        return facts.manifests, facts.commits, facts.committed_manifests

    assert committed(manifest, COMMIT) == (1, 1, 1)
    assert committed(manifest, COMMIT, putting(ONE), COMMIT) == (1, 2, 1)
    assert committed(putting(ONE), COMMIT, manifest) == (1, 1, 0)
    assert committed(manifest, putting(ONE), COMMIT, manifest, COMMIT) == (2, 2, 2)
    assert committed(manifest, back, putting(ONE), COMMIT) == (1, 1, 0)
    assert committed(putting(ONE), COMMIT) == (0, 1, 0)


@pytest.mark.parametrize("session", [name for name in SESSIONS if "commit" in MAY[name]])
def test_a_commit_is_of_what_was_put_or_deleted_since_the_last(session):
    """serve would write down counts that it does not have: of the quota, and of what may be compacted."""
    back = ("rollback", {})
    for before in ([], [putting(ONE), COMMIT], [putting(ONE), back], [putting(ONE), back, ("list", LISTED)]):
        assert talk(session, *numbered(*before, COMMIT)) == "empty"
    if "delete" in MAY[session]:
        assert talk(session, *numbered(putting(ONE), COMMIT, deleting(ONE), COMMIT)).commits == 2


@pytest.mark.parametrize("session", [name for name in SESSIONS if {"commit", "check"} <= MAY[name]])
def test_no_session_both_checks_and_writes(session):
    check = ("check", {"repair": False, "save_space": False, "max_duration": 1})
    assert talk(session, *numbered(check, check, ("list", LISTED))).messages == 5
    for change in (putting(ONE), deleting(ONE)):
        assert talk(session, *numbered(check, change)) == "mixed"
    for before in ([putting(ONE)], [putting(ONE), COMMIT], [putting(ONE), ("rollback", {})]):
        assert talk(session, *numbered(*before, check)) == "mixed"


def test_after_a_refusal_nothing_passes():
    screen = RpcScreen(Judge(SESSIONS["create"], LIMITS, lambda: False, lambda _: False))
    before = rpc.negotiate() + rpc.opening(PATH) + rpc.call(3, "load_key")
    assert screen.measure(before + rpc.call(4, "destroy") + rpc.call(5, "load_key")) == len(before)
    assert screen.measure(rpc.call(4, "load_key")) == screen.measure(rpc.call(5, "load_key")) == 0
    assert screen.judge.facts.messages == 3


@pytest.mark.parametrize(
    "tail", [b"\xa4wait\xc2", b"\xa4wait\xc0", b"\xa4want\xc3", b"\x83\xa1i\x04\xa1m", b"\xc3", b"\0"]
)
def test_a_put_that_is_waited_for_ends_as_borg_ends_it(tail):
    screen = RpcScreen(Judge(SESSIONS["create"], LIMITS, lambda: False, lambda _: False))
    whole = rpc.put(3, rpc.MANIFEST, b"data", wait=True)
    data = rpc.negotiate() + rpc.opening(PATH) + whole[:-6]
    assert screen.measure(data + tail) == len(data)
    assert (screen.refusal.method, screen.refusal.rule) == ("put", "encoding")


def test_a_word_behind_the_data_may_come_piece_by_piece():
    screen = RpcScreen(Judge(SESSIONS["create"], LIMITS, lambda: False, lambda _: False))
    whole = rpc.put(3, rpc.MANIFEST, b"data", wait=True)
    data = rpc.negotiate() + rpc.opening(PATH) + whole[:-6]
    assert screen.measure(data) == len(data)
    assert [screen.measure(whole[-6:][:end]) for end in range(6)] == [0] * 6
    assert screen.measure(whole[-6:]) == 6
    assert screen.tail == b""
