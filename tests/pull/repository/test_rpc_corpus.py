"""What both borgs really sent (tests/corpora/rpc): it passes in its kind of session and in no narrower one."""

import base64

import pytest
from stage import CORPORA

from borgctl.pull.repository.rpc_rules import Judge
from borgctl.pull.repository.rpc_screen import RpcScreen
from borgctl.pull.repository.rpc_sessions import SESSIONS, SessionLimits

CORPUS = CORPORA / "rpc"
LIMITS = SessionLimits(b"/tmp/borgctl-rpc/repo", quota=1 << 20, puts=100, commits=10, deletes=None)
WINDOWS = {"window-read", "window-write", "window-passphrase", "window-delete"}
READS = WINDOWS | {"read", "create", "prune"}
CREATES = {"create", "prune", "window-write", "window-delete"}
DELETES = {"prune", "window-delete"}
# In which kinds of session a command may say all that it says.
MAY = {
    "init": {"init"},
    **dict.fromkeys(("create-first", "create-unchanged", "create-cache-lost", "create-interrupted"), CREATES),
    **dict.fromkeys(("list", "info", "extract"), READS),
    **dict.fromkeys(("check", "check-data", "check-repository"), READS - {"prune"}),
    **dict.fromkeys(("prune-dry-run", "wrong-passphrase"), READS),
    **dict.fromkeys(("prune", "rename", "recreate", "delete-archive"), DELETES),
    "with-lock": CREATES,
    "key-export": WINDOWS,
    **{name: {"window-passphrase"} for name in ("key-import", "key-change-passphrase")},
}
NEVER = {"compact": "compact", "break-lock": "never", "check-repair": "repair", "delete-repository": "never"}
FILES = sorted(path.name for path in CORPUS.iterdir() if path.suffix != ".py" and path.is_file())


def screened(name, session, step):
    """Return the screen after a recorded stream, given in pieces, and whether all of it passed."""
    data = base64.b64decode((CORPUS / name).read_bytes())
    assert data
    screen, held, free, passed = RpcScreen(Judge(SESSIONS[session], LIMITS, lambda: True, lambda _: False)), b"", 0, 0
    for at in range(0, len(data), step):
        piece = data[at : at + step]
        through = min(free, len(piece))
        free, passed, held = free - through, passed + through, held + piece[through:]
        passing = screen.measure(held)
        free += max(0, passing - len(held))
        passed += min(passing, len(held))
        held = held[passing:]
    return screen, passed == len(data)


def test_there_is_a_recording_of_each_command_by_both_borgs():
    assert {f"{series}-{name}" for series in ("1.2", "1.4") for name in MAY | NEVER} == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_what_borg_said_passes_in_its_kind_of_session_and_in_no_narrower_one(name):
    for session in SESSIONS:
        for step in (7, 1 << 20):
            screen, whole = screened(name, session, step)
            may = session in MAY.get(name[4:], ())
            assert whole == (screen.refusal is None) == may, (session, step)


@pytest.mark.parametrize("name", [name for name in FILES if name[4:] in NEVER])
def test_what_no_session_may_say_is_refused_by_its_rule_in_the_widest(name):
    screen, _ = screened(name, "window-delete", 1 << 20)
    assert screen.refusal.rule == NEVER[name[4:]]


@pytest.mark.parametrize("name", [name for name in FILES if "create" in name])
def test_a_backup_is_known_by_its_committed_manifest(name):
    facts = screened(name, "create", 1 << 20)[0].judge.facts
    assert facts.committed_manifests == facts.manifests >= 1
    assert facts.puts >= 2
