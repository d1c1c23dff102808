"""The Ansible roles: two hosts that systemd has booted are set up, pull and are taken down; and what needs no host."""

import json
import os
import re
import shutil
import zipfile

import machines
import people
import pytest
from booted_host import BootedHost
from controller import Controller, programs
from machines import run
from stage import TOP

import borgctl

ROOT = pytest.mark.skipif(
    os.geteuid() != 0 or not machines.may(21), reason="only root starts a systemd in namespaces of its own"
)
LONG = pytest.mark.skipif(os.environ.get("BORGCTL_PROVE") != "1", reason="takes minutes: a part of 'make prove'")
SECRET = machines.PASSPHRASE
TOKEN = "t0ken-of-a-hook"
POLICY = "/etc/borgctl/web1.yaml"
DROP_IN = "/etc/ssh/sshd_config.d/50-borgctl.conf"
KEYS = "/root/.ssh/authorized_keys"
TARGET = "/etc/borgpull/targets/web1.yaml"
TIMER = "/etc/systemd/system/borgpull.timer"
REPOSITORY = "/srv/borg/web1"


@pytest.fixture
def fleet(scratch):
    """A client, a server, and where Ansible is typed; the package is there already."""
    scratch.chmod(0o755)  # the user borgpull starts what is in it
    people.install(scratch / "programs")
    key = machines.keypair(scratch)
    with BootedHost(scratch, "web1", key) as web1, BootedHost(scratch, "backup1", key) as backup1:
        known = scratch / "known_hosts"
        known.write_text("".join(f"[127.0.0.1]:{host.port} {host.host_key}\n" for host in (web1, backup1)))
        ssh = f"-F none -o UserKnownHostsFile={known} -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes"
        everywhere = {
            "ansible_host": "127.0.0.1",
            "ansible_user": "root",
            "ansible_become": False,
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_pipelining": True,
            "ansible_ssh_private_key_file": str(key.path),
            "ansible_ssh_common_args": ssh,
            "borgctl_venv": str(scratch / "programs"),
            "client_borgctl_paths": ["/etc/ssh"],
            "server_borgpull_metrics": "/var/lib/metrics",
            "server_borgpull_defaults": {"quota": "500G", "expect": "26h", "on_failure": ["/bin/true", f"{TOKEN}1"]},
            "client_borgctl_settings": {"on_failure": ["/bin/true", f"{TOKEN}2"]},
        }
        groups = {
            "borgctl_clients": {"hosts": {"web1": {"ansible_port": web1.port}}},
            "borgpull_servers": {"hosts": {"backup1": {"ansible_port": backup1.port}}},
            # another server, which web1's machine plays
            "both": {"hosts": {"backup1": {}, "backup2": {"ansible_port": web1.port}}},
        }
        yield web1, backup1, Controller(scratch, {"all": {"vars": everywhere, "children": groups}})


def borgpull(host, scratch, *words):
    return host.run("runuser", "-u", "borgpull", "--", scratch / "programs/bin/borgpull", *words)


def good(played):
    assert (played.status, played.failed) == (0, set()), played.output
    return played


def listening(host):
    return host.log.read_text().count("Server listening")


@ROOT
@LONG
def test_two_hosts_are_set_up_pull_and_are_taken_down(scratch, fleet):
    web1, backup1, controller = fleet
    nothing = web1.written(), backup1.written()

    tried = good(controller.play("--check", "--diff", "-vvv"))
    assert tried.changed["web1"] > 5 and tried.changed["backup1"] > 2
    assert "+  default:" in tried.output, "the difference is shown"
    assert TOKEN not in tried.output, "but for what may hold the secrets of URLs"
    assert (web1.written(), backup1.written()) == nothing

    # a mistake of somebody else's in sshd's settings: nothing of ours is left there, and sshd is not asked to read them
    mistake = web1.path("/etc/ssh/sshd_config.d/99-mistake.conf")
    mistake.write_text("NoSuchKeyword yes\n")
    starts = listening(web1)
    broken = controller.play()
    assert broken.failed == {"web1"} and "sshd goes on with its earlier settings" in broken.output, broken.output
    assert not web1.path(DROP_IN).exists() and listening(web1) == starts
    assert web1.run("systemctl", "is-active", "ssh").stdout == "active\n"
    mistake.unlink()

    good(controller.play("--limit", "web1"))
    assert listening(web1) == starts + 1
    effective = web1.run("sshd", "-T", "-C", "user=root,host=x,addr=127.0.0.1").stdout
    assert "acceptenv NO_SUCH_VARIABLE" in effective and "clientaliveinterval 30" in effective
    assert len(re.findall("(?m)^restrict,command=.* borgpull-web1$", web1.path(KEYS).read_text())) == 1
    target = backup1.path(TARGET)
    assert web1.host_key.rsplit(" ", 1)[0] in target.read_text() and f"{TOKEN}2" in target.read_text()
    defaults = backup1.path("/etc/borgpull/defaults.yaml")
    borgpulls = backup1.path("/var/lib/borgpull").stat().st_uid
    assert f"{TOKEN}1" in defaults.read_text() and borgpulls != 0
    assert {(one.stat().st_uid, one.stat().st_mode & 0o777) for one in (target, defaults)} == {(borgpulls, 0o600)}
    assert backup1.run("systemctl", "is-active", "borgpull.timer").stdout == "active\n"
    assert backup1.run("systemctl", "is-enabled", "borgpull.timer").stdout == "enabled\n"
    shown = backup1.run("systemctl", "show", "--property=ExecStopPost,ReadWritePaths", "borgpull.service").stdout
    assert "metrics --textfile /var/lib/metrics" in shown and "-/var/lib/metrics" in shown and "-/srv/borg" in shown
    passphrase = web1.path("/etc/borgctl/passphrase").read_text()
    assert len(passphrase) > 40 and web1.path("/etc/borgctl/passphrase").stat().st_mode & 0o777 == 0o600

    # a second time, and with a passphrase that comes too late
    before = web1.written(), backup1.written()
    secret = controller.file("secret.yaml", {"client_borgctl_passphrase": SECRET})
    again = good(controller.play("--diff", "-vvv", "-e", f"@{secret}"))
    assert set(again.changed.values()) == {0}, again.output
    assert (web1.written(), backup1.written()) == before
    assert not any(secret in again.output for secret in (SECRET, passphrase.strip(), TOKEN))

    # a mistake in a target's keys is told, and nothing is written; what user borgpull links to root does not read
    wrong = controller.play("--limit", "web1", "-e", json.dumps({"client_borgctl_settings": {"quota": "much"}}))
    assert wrong.failed == {"web1"} and "bad quota 'much'" in wrong.output, wrong.output
    assert f"{TOKEN}2" in target.read_text()
    public = backup1.path("/etc/borgpull/keys/web1.pub")
    backup1.path("/root/other.pub").write_bytes(public.read_bytes())
    backup1.path("/root/other.pub").chmod(0o600)
    public.rename(f"{public}.away")
    link = ("ln", "-s", "/root/other.pub", "/etc/borgpull/keys/web1.pub")
    assert backup1.run("runuser", "-u", "borgpull", "--", *link).returncode == 0
    linked = controller.play("--limit", "web1")
    assert linked.failed == {"web1"} and "Permission denied" in linked.output, linked.output
    public.unlink()
    backup1.path("/etc/borgpull/keys/web1.pub.away").rename(public)

    pulled = borgpull(backup1, scratch, "run", "web1")
    assert pulled.returncode == 0, pulled.stderr
    assert "web1 default: ok" in pulled.stderr

    other = ("--limit", "web1", "-e", "client_borgctl_servers=both", "-e", "client_borgctl_server=backup2")
    moved = controller.play(*other)
    assert moved.failed == {"web1"} and "web1 is a target of backup1, not of backup2" in moved.output, moved.output

    gone = good(controller.play("--limit", "web1", "-e", "client_borgctl_state=absent"))
    assert gone.changed["web1"] > 3
    assert "borgpull-web1" not in web1.path(KEYS).read_text() and not web1.path(POLICY).exists()
    assert not web1.path(DROP_IN).exists() and listening(web1) == starts + 2
    assert not backup1.path(TARGET).exists() and not backup1.path("/etc/borgpull/keys/web1").exists()
    assert backup1.path(f"{REPOSITORY}/config").exists()
    assert web1.path("/etc/borgctl/passphrase").read_text() == passphrase

    stray = borgpull(backup1, scratch, "add", "stray", "root@stray.example.org")
    assert stray.returncode == 0, stray.stderr
    destroyed = {"client_borgctl_state": "absent", "server_borgpull_state": "absent"}
    destroyed |= {"client_borgctl_destroy": ["repository", "passphrase"]}
    ended = good(controller.play("-e", json.dumps(destroyed)))
    assert ended.changed["web1"] == 2, "all else was absent"
    assert not any(backup1.path("/etc/borgpull/targets").iterdir()) and not backup1.path(TIMER).exists()
    assert not any(backup1.path("/etc/borgpull/keys").iterdir())
    assert backup1.run("systemctl", "is-active", "borgpull.timer").stdout == "inactive\n"
    assert not backup1.path(REPOSITORY).exists() and backup1.path("/srv/borg").exists()
    assert not web1.path("/etc/borgctl/passphrase").exists() and not any(web1.path("/var/lib/borgctl").iterdir())


def wheel(directory):
    """Write the package as pip takes it, without what it needs; return its path."""
    version = borgctl.__version__
    info = f"borgctl_gatekeeper-{version}.dist-info"
    path = directory / f"borgctl_gatekeeper-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        for source in sorted((TOP / "borgctl").rglob("*.py")):
            file.write(source, source.relative_to(TOP))
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        names = f"Name: borgctl-gatekeeper\nVersion: {version}\nProvides-Extra: cli\n"
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\n{names}")
        file.writestr(f"{info}/entry_points.txt", "[console_scripts]\nborgctl = borgctl.cli.app:main\n")
        file.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in [*file.namelist(), f"{info}/RECORD"]))
    return path


@ROOT
@LONG
def test_the_package_is_installed_once_from_a_wheel_with_requirements_that_have_hashes(scratch):
    requirements = scratch / "requirements.lock"
    requirements.write_text("# nothing: what it needs is fetched in no test\n")
    here = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "/usr/bin/python3",
        "borgctl_venv": str(scratch / "opt/borgctl"),
        "borgctl_package": str(wheel(scratch)),
        "borgctl_requirements": str(requirements),
    }
    controller = Controller(scratch, {"all": {"hosts": {"here": here}}})
    roles = [{"role": "borgctl.pull_backup.borgctl"}]
    playbook = controller.file("play.yaml", [{"hosts": "here", "gather_facts": False, "roles": roles}])
    program = scratch / "opt/borgctl/bin/borgctl"
    assert good(controller.play("--check", playbook=playbook)).changed["here"] > 3 and not program.exists()
    assert good(controller.play(playbook=playbook)).changed["here"] > 3
    assert "borgctl.cli.app" in program.read_text()
    (module,) = scratch.glob("opt/borgctl/lib/python3*/site-packages/borgctl/__init__.py")
    assert module.stat().st_mode & 0o022 == 0
    assert good(controller.play(playbook=playbook)).changed["here"] == 0
    requirements.write_text("PyYAML>=6\n")
    refused = controller.play(playbook=playbook)
    assert refused.failed == {"here"} and "--require-hashes" in refused.output
    assert not (scratch / "opt/borgctl/package/installed").exists()


BORGPULL = 64123
HOST = """#!/bin/sh
exec unshare --mount -- sh -c 'for at in etc var/lib srv; do mount --bind "$0/$at" "/$at" || exit; done
exec /usr/bin/python3 "$@"' {place} "$@"
"""


def host_of_folders(place):
    """Make a host of this machine's own programs, with nothing but a user borgpull; return its python."""
    for folder in ("etc", "var/lib", "srv/disk"):
        (place / folder).mkdir(parents=True)
    (place / "srv/disk").chmod(0o751)
    for name, line in (("passwd", "{0}:x:{1}:{1}::/:/bin/sh\n"), ("group", "{0}:x:{1}:\n")):
        (place / "etc" / name).write_text(line.format("root", 0) + line.format("borgpull", BORGPULL))
    python = place / "python"
    python.write_text(HOST.format(place=place))
    python.chmod(0o755)
    return str(python)


def owned(path):
    status = path.lstat()
    return status.st_uid, status.st_mode & 0o7777


@ROOT
def test_a_folder_of_repositories_leads_root_nowhere_else_and_its_parents_stay_roots(scratch):
    names = {"fresh": "/srv/new/borg", "link": "/srv/disk/borg", "left": "/srv/open/link/old/borg"}
    places = {host: scratch / host for host in names}
    hosts = {
        host: {
            "ansible_connection": "local",
            "ansible_python_interpreter": host_of_folders(place),
            "server_borgpull_repositories": names[host],
        }
        for host, place in places.items()
    }
    link, left = places["link"] / "srv", places["left"] / "srv"
    (left / "open").mkdir()
    (left / "open").chmod(0o777)
    (left / "open/link").symlink_to("../own")
    (left / "own/old").mkdir(parents=True)
    os.chown(left / "own/old", BORGPULL, BORGPULL)
    for place, gone in ((link, link / "disk/borg"), (left, left / "own/old/borg")):
        (place / "victim").mkdir(mode=0o711)
        gone.symlink_to("/srv/victim")

    controller = Controller(scratch, {"all": {"hosts": hosts}})
    role = {"ansible.builtin.import_role": {"name": "borgctl.pull_backup.server", "tasks_from": "folders"}}
    played = controller.play(
        playbook=controller.file("play.yaml", [{"hosts": "all", "gather_facts": False, "tasks": [role]}])
    )
    assert played.failed == {"link", "left"}, played.output
    assert [owned(place / "victim") for place in (link, left)] == [(0, 0o711)] * 2
    for path in ("/srv/open", "/srv/open/link/old"):
        assert f"chown root:root {path} && chmod 0755 {path}" in played.output
    assert "/srv/open/link is no folder" in played.output and "already exists as a link" in played.output
    assert owned(link / "disk") == (0, 0o751), "a folder that is there stays as it is"
    assert owned(places["fresh"] / "srv/new") == (0, 0o755)
    for path in ("srv/new/borg", "etc/borgpull", "var/lib/borgpull"):
        assert owned(places["fresh"] / path) == (BORGPULL, 0o700)


def test_clients_are_dealt_out_and_another_server_takes_clients_from_the_others_alone(tmp_path):
    clients, two, three = [f"web{number}" for number in range(12)], ["a", "b"], ["c", "b", "a"]
    groups = {name: {"hosts": dict.fromkeys(hosts)} for name, hosts in {"two": two, "three": three}.items()}
    groups["clients"] = {"hosts": dict.fromkeys(clients)}
    controller = Controller(tmp_path, {"all": {"children": groups}})
    tasks = [
        {"ansible.builtin.import_role": {"name": "borgctl.pull_backup.client", "tasks_from": "settle"}},
        {"ansible.builtin.debug": {"msg": "{{ client_borgctl_servers }} {{ _client_said.server }}."}},
    ]
    plays = [
        {"hosts": "clients", "gather_facts": False, "vars": {"client_borgctl_servers": group}, "tasks": tasks}
        for group in ("two", "three")
    ]
    output = good(controller.play(playbook=controller.file("play.yaml", plays))).output
    before, after = (
        dict(re.findall(rf'ok: \[(\w+)\] => {{\s+"msg": "{group} (\w)\."', output)) for group in ("two", "three")
    )
    assert before.keys() == after.keys() == set(clients)
    assert set(before.values()) == set(two) and set(after.values()) == set(three)
    assert {after[client] for client in clients if after[client] != before[client]} == {"c"}


def test_no_host_speaks_into_what_the_inventory_says_of_a_client(tmp_path):
    """A module's answer may set variables of the host that its task is for: here a server's, of a client."""
    liar = tmp_path / "python"
    facts = '"ansible_facts": {"client_borgctl_repository": "\\/srv\\/borg\\/other"}'
    liar.write_text(f"#!/bin/sh\n/usr/bin/python3 \"$@\" | sed 's/^{{/{{{facts}, /'\n")
    liar.chmod(0o755)
    server = {"ansible_connection": "local", "ansible_python_interpreter": str(liar)}
    groups = {"borgpull_servers": {"hosts": {"backup1": server}}, "clients": {"hosts": {"web1": {}}}}
    controller = Controller(tmp_path, {"all": {"children": groups}})
    settle = {"ansible.builtin.import_role": {"name": "borgctl.pull_backup.client", "tasks_from": "settle"}}
    asked = {"ansible.builtin.stat": {"path": "/"}, "delegate_to": "backup1"}
    said = {"ansible.builtin.debug": {"msg": "{{ client_borgctl_repository }} {{ _client_said.repository }}"}}
    plays = [{"hosts": "clients", "gather_facts": False, "tasks": tasks} for tasks in ([settle, asked, said], [settle])]
    played = controller.play(playbook=controller.file("play.yaml", plays))
    assert '"msg": "/srv/borg/other /srv/borg/web1"' in played.output, played.output
    assert played.failed == {"web1"} and "somebody has put them there" in played.output


def test_ansible_lint_finds_nothing_by_the_rules_for_production(tmp_path):
    place = tmp_path / "ansible_collections/borgctl/pull_backup"
    shutil.copytree(TOP / "contrib/ansible", place)
    env = {"PATH": f"{programs()}:/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8", "NO_COLOR": "1"}
    env |= {"ANSIBLE_HOME": str(tmp_path / "home"), "ANSIBLE_COLLECTIONS_PATH": str(tmp_path)}
    argv = [programs() / "ansible-lint", "--offline", "--strict", "--profile", "production"]
    done = run(argv, env=env, cwd=place, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Passed: 0 failure\(s\), 0 warning\(s\) in [1-9]\d files", done.stdout + done.stderr)
