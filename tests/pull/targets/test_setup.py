"""add, trust and targets: what they write, refuse and leave."""

import os
import resource
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from borgctl.openssh_key import HostKey
from borgctl.pull.targets import setup
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import TargetName
from borgctl.pull.targets.targets import load

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
NAME = TargetName("web1")


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_add_makes_a_key_a_target_and_a_directory_and_says_what_comes_next(world, borgpull) -> None:
    where = world.root / "srv" / "borg" / "web1"
    status, out, err = borgpull("add", "web1", "root@web1.example.org", "--repository", str(where), "--port", "2222")
    assert (status, err) == (0, "")
    public = Path(world.folders.key(NAME) + ".pub").read_text().strip()
    (line,) = (line for line in out.splitlines() if "borgctl authorize" in line)
    assert shlex.split(line) == ["borgctl", "authorize", public, "/etc/borgctl/web1.yaml"]
    assert public.startswith("ssh-ed25519 AAAA")
    assert public.endswith(" borgpull-web1")
    assert "borgpull trust web1" in out
    assert "borgpull run web1" in out
    target = load(world.folders, NAME)
    assert (target.host, target.port, str(target.repository)) == ("root@web1.example.org", 2222, str(where))
    assert oct(os.stat(where.parent).st_mode & 0o777) == "0o700"
    assert not where.exists()
    assert oct(os.stat(world.folders.key(NAME)).st_mode & 0o777) == "0o600"
    subprocess.run(
        ["/usr/bin/ssh-keygen", "-y", "-P", "", "-f", world.folders.key(NAME)], check=True, capture_output=True
    )


def test_a_keygen_that_fails_is_noticed_where_the_starter_ignored_the_ends_of_children(world) -> None:
    room = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (0, room[1])
    )  # as on a full disk: ssh-keygen makes a file and cannot write
    try:
        adding = world.start("add", "web1", "root@web1", "--repository", f"{world.root}/r/web1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, room)
        signal.signal(signal.SIGCHLD, before)
    _, err = adding.communicate(timeout=60)
    assert adding.returncode == 2
    assert b"ssh-keygen failed" in err
    assert not os.path.lexists(world.folders.key(NAME))


def test_the_line_for_the_client_names_its_policy_and_transport(world, borgpull) -> None:
    words = ("--transport", "socket", "--client-policy", "/etc/b/p.yaml", "--repository", f"{world.root}/r/web1")
    _, out, _ = borgpull("add", "web1", "h", *words)
    (line,) = (line for line in out.splitlines() if "borgctl authorize" in line)
    assert shlex.split(line)[3:] == ["/etc/b/p.yaml", "--transport", "socket"]
    assert load(world.folders, NAME).transport == "socket"


@pytest.mark.parametrize("host", ["me@laptop", "root@web1", "borgctl@web1", "web1"])
def test_the_line_for_an_ordinary_user_names_a_policy_of_their_own(world, borgpull, host) -> None:
    _, out, _ = borgpull("add", "web1", host, "--repository", f"{world.root}/r/web1")
    (line,) = (line for line in out.splitlines() if "borgctl authorize" in line)
    assert line.split()[-1] == ("~/.config" if host.startswith("me@") else "/etc") + "/borgctl/web1.yaml"


def test_add_leaves_out_what_the_defaults_say(world, borgpull) -> None:
    os.makedirs(world.folders.config)
    below = f"repository: {world.root}/r/{{target}}\nquota: 2T\nexpect: 3d\ntransport: socket\n"
    Path(world.folders.defaults).write_text(below)
    _, out, err = borgpull("add", "web1", "h")
    assert err == "" and "--transport socket" in out
    target = load(world.folders, NAME)
    assert (str(target.repository), target.quota) == (f"{world.root}/r/web1", "2T")
    assert (target.expect, target.transport) == (3 * 86400, "socket") and (world.root / "r").is_dir()
    words = ("--quota", "1T", "--transport", "stdio", "--repository", f"{world.root}/q/web2")
    assert borgpull("add", "web2", "h", *words)[0] == 0
    other = load(world.folders, TargetName("web2"))
    assert (str(other.repository), other.quota, other.transport) == (f"{world.root}/q/web2", "1T", "stdio")


def test_trust_takes_a_file_that_is_whole_only_with_the_defaults(world, borgpull) -> None:
    os.makedirs(world.folders.config)
    Path(world.folders.defaults).write_text(f"repository: {world.root}/r/{{target}}\nquota: 2T\n")
    assert borgpull("add", "web1", "h")[0] == 0
    assert borgpull("trust", "web1", KEY)[0] == 0
    assert load(world.folders, NAME).host_key == HostKey(KEY)


def test_add_never_overwrites(world, borgpull) -> None:
    assert borgpull("add", "web1", "h", "--repository", f"{world.root}/r/web1")[0] == 0
    before = {path: path.read_bytes() for path in world.root.rglob("*") if path.is_file()}
    status, _, err = borgpull("add", "web1", "other", "--repository", f"{world.root}/q/web1")
    assert status == 2
    assert "error: " in err
    assert "exists already" in err
    assert {path: path.read_bytes() for path in world.root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("web1", "-oProxyCommand=x"), ""),
        (("web1", "a b"), "bad host 'a b'"),
        (("web1",), "hint: borgpull add web1 root@HOST"),
        (("../x", "h"), "bad target name '../x'"),
        (("web1", "h", "--quota", "5"), "borg wants at least 10M"),
        (("web1", "h", "--repository", "srv"), "bad repository path 'srv'"),
        (("web1", "h", "--transport", "local"), "hint: borgpull add web1 --transport local --policy PATH"),
        (("web1", "h\nborg: /tmp/evil"), "bad host"),
        (("web1", "h", "--quota", "1G\nborg: /tmp/evil"), "bad quota"),
        (("web1", "h", "--transport", "local", "--policy", "/p # x"), "bad path"),
    ],
)
def test_a_refused_add_leaves_nothing(world, borgpull, words: tuple[str, ...], text: str) -> None:
    before = everything(world.root)
    extra = () if "--repository" in words else ("--repository", f"{world.root}/r/web1")
    status, _, err = borgpull("add", *words, *extra)
    assert status == 2
    assert text in err
    assert everything(world.root) == before


def test_a_failing_ssh_keygen_leaves_nothing(world, fp) -> None:
    before = everything(world.root)
    fp.register([setup.KEYGEN, fp.any()], returncode=1, stderr=b"no entropy")
    repository = f"{world.root}/new/repo/web1"
    keys = {"host": "h", "port": None, "quota": "1G", "transport": "stdio", "policy": None}
    with pytest.raises(PullError, match="no entropy"):
        setup.add(world.folders, NAME, repository=repository, **keys)
    argv = list(fp.calls[0])
    assert argv[:-1] == [setup.KEYGEN, "-q", "-t", "ed25519", "-N", "", "-C", "borgpull-web1", "-f"]
    assert everything(world.root) == before


def test_a_local_target_needs_no_key(world, borgpull) -> None:
    words = ("--transport", "local", "--policy", "/etc/borgctl/me.yaml", "--repository", f"{world.root}/r/me")
    status, out, _ = borgpull("add", "me", *words)
    assert status == 0
    assert "authorize" not in out
    assert load(world.folders, TargetName("me")).policy == "/etc/borgctl/me.yaml"
    assert not os.path.exists(world.folders.key(TargetName("me")))


def test_trust_changes_one_line_and_keeps_the_rest(world, borgpull) -> None:
    world.target(host="h")
    path = Path(world.folders.target(NAME))
    path.write_text("# mine\nhost: h   # the web\n\nrepository: /r/x  # there\nquota: 1G\n")
    path.chmod(0o640)
    assert borgpull("trust", "web1", f"{KEY} root@web1")[0] == 0
    text = f"# mine\nhost: h   # the web\nhost_key: {KEY}\n\nrepository: /r/x  # there\nquota: 1G\n"
    assert path.read_text() == text
    assert oct(path.stat().st_mode & 0o777) == "0o640"
    status, out, _ = borgpull("trust", "web1", *KEY.split())  # without quotes, again
    assert (status, "already" in out, path.read_text()) == (0, True, text)
    status, _, err = borgpull("trust", "web1", OTHER)
    assert (status, path.read_text()) == (2, text)
    assert "has another host key" in err
    assert "hint: " in err
    assert "--replace" in err
    assert borgpull("trust", "web1", OTHER, "--replace")[0] == 0
    assert path.read_text() == text.replace(KEY, OTHER)
    assert sorted(os.listdir(path.parent)) == ["web1.yaml"]


def test_trust_takes_the_commented_line_that_add_wrote(world, borgpull) -> None:
    borgpull("add", "web1", "h", "--repository", f"{world.root}/r/web1")
    path = Path(world.folders.target(NAME))
    before = path.read_text().splitlines()
    borgpull("trust", "web1", KEY)
    changed = [(old, new) for old, new in zip(before, path.read_text().splitlines(), strict=True) if old != new]
    assert [new for _, new in changed] == [f"host_key: {KEY}"]


def test_trust_says_so_where_it_cannot_edit(world, borgpull) -> None:
    world.target(host="h")
    path = Path(world.folders.target(NAME))
    path.write_text("{host: h, repository: /r/x, quota: 1G}\n")
    status, _, err = borgpull("trust", "web1", KEY)
    assert (status, path.read_text()) == (2, "{host: h, repository: /r/x, quota: 1G}\n")
    assert f"write this line yourself: host_key: {KEY}" in err


def test_no_key_can_bring_a_second_line_into_the_file(world) -> None:
    world.target(host="h")
    with pytest.raises(ValueError, match="bad host key"):
        setup.trust(world.folders, NAME, HostKey.read(f"{KEY} a\nborg: /tmp/evil"), replace=True)


def test_a_bad_host_key_is_refused_in_words(world, borgpull) -> None:
    world.target(host="h")
    status, _, err = borgpull("trust", "web1", "ssh-dss AAAA")
    assert status == 2
    assert err.startswith("error: bad host key: kind 'ssh-dss'")


def test_targets_lists_the_good_and_names_every_mistake_of_the_bad(world, borgpull) -> None:
    world.target(host="root@web1")
    bad = Path(world.folders.target(TargetName("web2")))
    bad.write_text("host: h\nrepository: r\nquota: 1\nfoo: bar\n")
    status, out, _ = borgpull("targets")
    assert status == 2
    assert "web1: root@web1, stdio," in out
    assert "web1: not ready: host-key-missing" in out
    assert f"web2: error: {bad}:2:13: bad repository path 'r'" in out
    assert f"web2: error: {bad}:4:1: unknown key 'foo'" in out


def test_a_run_without_host_key_says_how_to_trust(world, borgpull) -> None:
    world.target(host="h")
    status, _, err = borgpull("run", "web1")
    assert status == 2
    assert "host-key-missing" in err
    assert "borgpull trust web1 'ssh-ed25519" in err
