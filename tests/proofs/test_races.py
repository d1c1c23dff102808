"""Names that change hands while they are looked at: only what was pinned is ever used.

One process flips a name between what is ours and what an attacker would put there, as fast as it can; another does what
the gate does, again and again. What the gate then holds must be ours, however the two interleave.
"""

import contextlib
import multiprocessing
import os
import socket
import struct
import time
from collections import deque

import pytest
import stage

from borgctl.errors import BorgctlError
from borgctl.fs import secure_path
from borgctl.fs.secure_path import InsecurePath
from borgctl.gate import transport
from borgctl.policy import load
from borgctl.state import source_paths
from borgctl.values import SocketPath

OTHER = 64201
only_root = pytest.mark.skipif(not stage.ROOT, reason="only root can make what is another user's")
SPAWN = multiprocessing.get_context("fork")


@contextlib.contextmanager
def flipping(least, *steps):
    """Run the steps in turn in another process until the block has ended and `least` are done; yield how many are."""
    done, end = SPAWN.Value("L", 0), SPAWN.Event()

    def flip():
        deadline = time.monotonic() + 600
        while not (end.is_set() and done.value >= least) and time.monotonic() < deadline:
            for step in steps:
                with contextlib.suppress(FileNotFoundError):  # the gate has removed it
                    step()
                done.value += 1

    process = SPAWN.Process(target=flip)
    process.start()
    try:
        yield lambda: done.value
    finally:
        end.set()
        process.join(620)
        assert process.exitcode == 0


def until(least, flips, act, *, both=True):
    """Act again and again until so many flips were done; return how often it was accepted and refused.

    And until each has happened, if `both` can: on a busy machine all the flips may be done between two looks.
    """
    found = {True: 0, False: 0}
    deadline = time.monotonic() + 600
    while (flips() < least or (both and not all(found.values()))) and time.monotonic() < deadline:
        found[act()] += 1
    assert flips() >= least
    return found[True], found[False]


POLICY = "version: 1\nrepositories: {{/srv/{word}: {{encryption: none}}}}\njobs: {{default: {{paths: [/etc]}}}}\n"


@only_root
def test_a_policy_that_changes_hands_is_ours_or_refused(proof, tmp_path):
    """Whole files trade places under one name: root's, another user's, one that others may write, a link to another."""
    tmp_path.chmod(0o755)
    for word in ("ours", "theirs", "open"):
        (tmp_path / word).write_text(POLICY.format(word=word))
        (tmp_path / word).chmod(0o666 if word == "open" else 0o644)
    os.chown(tmp_path / "theirs", OTHER, OTHER)
    (tmp_path / "link").symlink_to("theirs")
    name = tmp_path / "policy.yaml"

    def put(word):
        def step():
            os.link(tmp_path / word, tmp_path / "next", follow_symlinks=False)
            os.rename(tmp_path / "next", name)

        return step

    def read():
        policy = stage.outcome(BorgctlError, load.read, str(name))
        if isinstance(policy, BorgctlError):
            assert policy.reason.code in ("policy-unsafe", "policy-unreadable"), policy.detail
            return False
        assert [repository.path.text for repository in policy.repositories] == ["/srv/ours"]
        return True

    put("ours")()
    least = proof.size(600, 10_000)
    with flipping(least, *map(put, ("theirs", "ours", "open", "ours", "link", "ours"))) as flips:
        taken, refused = until(least, flips, read)
    assert taken and refused
    proof.say("races for a policy", flips=flips(), read_as_ours=taken, refused=refused)


@only_root
@pytest.mark.parametrize("kind", ["parent", "grandparent"])
def test_a_path_below_what_another_user_can_flip_is_never_taken(proof, tmp_path, kind):
    """Whoever owns a directory above may change it for a link to anywhere, before, while and after we look."""
    tmp_path.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    for name in ("real", "theirs"):
        (home / name / "sub").mkdir(parents=True)
        (home / name / "sub/file").write_text("x")
    os.chown(home, OTHER, OTHER)
    path = f"{home}/name/{'file' if kind == 'parent' else 'sub/file'}"

    def real():
        os.rename(home / "real", home / "name")

    def link():
        os.rename(home / "name", home / "real")
        os.symlink("/root", home / "name")

    def gone():
        os.unlink(home / "name")

    def take():
        try:
            source_paths.check([path])
        except BorgctlError:
            return False
        return True

    least = proof.size(600, 10_000)
    with flipping(least, real, link, gone) as flips:
        taken, refused = until(least, flips, take, both=False)
    assert (taken, refused > 0) == (0, True)
    proof.say(f"races for a source's {kind}", flips=flips(), refused=refused)


@only_root
def test_a_source_is_taken_only_as_it_was_looked_at(proof, tmp_path):
    """Root itself changes a parent: what is pinned is the directory that was checked, or it is refused."""
    tmp_path.chmod(0o755)
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "of").write_text(name)
    os.chown(tmp_path / "theirs", OTHER, OTHER)
    (tmp_path / "link").symlink_to("theirs")
    name = tmp_path / "name"

    there = []

    def put(word):
        def step():
            if there:
                os.rename(name, tmp_path / there.pop())
            os.rename(tmp_path / word, name)
            there.append(word)

        return step

    def take():
        try:
            with secure_path.directory(str(name), follow=False) as held:
                fd = os.open("of", os.O_RDONLY, dir_fd=held.fd)
        except (InsecurePath, OSError):
            return False
        with os.fdopen(fd) as file:
            assert file.read() == "ours"
        return True

    least = proof.size(600, 10_000)
    with flipping(least, *map(put, ("ours", "theirs", "ours", "link"))) as flips:
        taken, refused = until(least, flips, take)
    assert taken and refused
    proof.say("races for a directory", flips=flips(), held_as_ours=taken, refused=refused)


@only_root
def test_a_socket_that_changes_hands_is_the_one_that_was_looked_at(proof, tmp_path_factory):
    """Sockets, links and files trade places under the announced name; a wrong one is neither used nor removed."""
    room = tmp_path_factory.mktemp("r")
    aside = tmp_path_factory.mktemp("a")
    room.chmod(0o700)
    others = [listening(aside / "theirs", 0o600), listening(aside / "open", 0o666)]
    os.chown(aside / "theirs", OTHER, OTHER)
    (aside / "link").symlink_to("theirs")
    (aside / "file").write_text("precious")
    name, announced = room / "s", SocketPath(str(room / "s"))
    alive = deque(maxlen=100)

    def put(word):
        def step():
            os.link(aside / word, room / "next", follow_symlinks=False)
            os.rename(room / "next", name)

        return step

    def ours():
        if len(alive) == alive.maxlen:
            alive[0].close()
        alive.append(listening(room / "next", 0o600))
        os.rename(room / "next", name)

    def take():
        fd = stage.outcome(BorgctlError, transport.pin, announced, str(room))
        if isinstance(fd, BorgctlError):
            assert fd.reason.code == "socket-refused", fd.detail
            return False
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"/proc/self/fd/{fd}")
            pid, _, _ = struct.unpack("iii", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        os.close(fd)
        assert pid != os.getpid(), "that was another's"
        return True

    least = proof.size(600, 10_000)
    steps = [step for word in ("theirs", "open", "link", "file") for step in (put(word), ours)]
    with flipping(least, *steps) as flips:
        taken, refused = until(least, flips, take)
    for one in others:
        one.close()
    assert taken and refused
    proof.say("races for a socket", flips=flips(), pinned_as_ours=taken, refused=refused)


def listening(path, mode):
    one = socket.socket(socket.AF_UNIX)
    one.bind(str(path))
    os.chmod(path, mode)
    one.listen(1)
    return one
