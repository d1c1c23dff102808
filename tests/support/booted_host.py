"""A host that systemd has booted, with an sshd on loopback: namespaces of this machine, as root alone makes them.

It sees this machine's files. What it writes of them, in the directories of OWN, is its own, and goes with it.

    with scratch() as directory, BootedHost(directory, "web1", key) as host:
        host.run("systemctl", "is-active", "ssh")       host.path("/etc/hostname").read_text()
"""

import hashlib
import os
import stat
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import booted
import machines
from machines import Key, descendants, free_port, run, wait_for

OWN = ("/etc", "/root", "/opt", "/srv", "/var/lib", "/var/log", "/usr/local")
# what earlier runs of ours may have left on this machine
_HIDDEN = ("/etc/borgctl", "/etc/borgpull", "/var/lib/borgctl", "/var/lib/borgpull", "/var/log/borgctl", "/srv/borg")
_TARGETS = ("sysinit", "basic", "network-online", "shutdown", "timers")
_FIRST = "[Unit]\nDefaultDependencies=no\nWants=ssh.service\n"
_SSH = """\
[Unit]
DefaultDependencies=no
[Service]
Type=notify
ExecStart=/usr/sbin/sshd -D -e
ExecReload=/usr/sbin/sshd -t
ExecReload=/bin/kill -HUP $MAINPID
StandardOutput=append:{log}
StandardError=append:{log}
"""
_SSHD_CONFIG = """\
Include /etc/ssh/sshd_config.d/*.conf
Port {port}
ListenAddress 127.0.0.1
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
LogLevel VERBOSE
Subsystem sftp internal-sftp
"""
# $1 is the host's directory, $2 its name, $3 systemd; the other words are OWN
_BOOT = f"""\
set -e
place=$1 name=$2 systemd=$3
shift 3
mount --make-rprivate /
mount --make-rshared /
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount -t tmpfs -o mode=700 tmpfs "$place/own"
for path; do
    layers=$place/own$path
    mkdir -p "$layers/upper" "$layers/work"
    mount -t overlay overlay -o "lowerdir=$path,upperdir=$layers/upper,workdir=$layers/work" "$path"
    [ "$(stat -f -c %T "$path")" = overlayfs ]
done
for path in {" ".join(_HIDDEN)}; do
    [ ! -e "$path" ] || mount -t tmpfs -o mode=755 tmpfs "$path"
done
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/sshd /run/systemd/system
cp "$place"/units/* /run/systemd/system
echo "$name" >/etc/hostname
usermod -p '*' root
rm -f /root/.bashrc /root/.profile /root/.bash_profile /etc/ssh/ssh_host_* /etc/ssh/sshd_config.d/*
cp "$place/sshd_config" /etc/ssh/sshd_config
cp "$place"/host_key /etc/ssh/ssh_host_ed25519_key
cp "$place"/host_key.pub /etc/ssh/ssh_host_ed25519_key.pub
mkdir -p -m 700 /root/.ssh
cp "$place/authorized_keys" /root/.ssh/authorized_keys
chown -R root:root /root/.ssh /etc/ssh
{booted.CONTROL_GROUPS}
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
    SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/systemd/system \\
    "$systemd" --system --unit=first.target --log-target=console --log-level=info --show-status=no
"""


class BootedHost:
    """A host with a name; `key` lets in as root, `port` is that of its sshd, `host_key` what its sshd shows."""

    def __init__(self, directory: Path, name: str, key: Key) -> None:
        self.name = name
        self.port = free_port()
        self.log = directory / f"{name}.sshd.log"
        self._directory = directory / name
        self._stack = ExitStack()
        units = self._directory / "units"
        units.mkdir(parents=True)
        (self._directory / "own").mkdir()
        for target in _TARGETS:
            (units / f"{target}.target").write_text("[Unit]\n")
        (units / "first.target").write_text(_FIRST)
        (units / "ssh.service").write_text(_SSH.format(log=self.log))
        (self._directory / "sshd_config").write_text(_SSHD_CONFIG.format(port=self.port))
        (self._directory / "authorized_keys").write_text(f"{key.public}\n")
        self.host_key = machines.keypair(self._directory, "host_key").public
        self.log.touch()

    def __enter__(self) -> "BootedHost":
        namespaces = ("--mount", "--pid", "--uts", "--ipc", "--cgroup")
        words = ("sh", self._directory, self.name, booted.SYSTEMD, *OWN)
        argv = ["unshare", "--fork", "--kill-child", *namespaces, "sh", "-c", _BOOT, *words]
        console = self._stack.enter_context((self._directory / "console").open("wb"))
        join = self._stack.enter_context(booted.control_group(f"borgctl-test-{os.getpid()}-{self.name}"))
        keeper = subprocess.Popen(
            [sys.executable, "-I", machines.__file__, "keep", "sh", "-c", f'{join}exec "$@"', "sh", *map(str, argv)],
            stdin=subprocess.PIPE,
            stdout=console,
            stderr=console,
            start_new_session=True,
        )
        self._stack.callback(self._end, keeper)
        try:
            wait_for(lambda: "Server listening on" in self.log.read_text() or keeper.poll() is not None, 30, self.name)
            assert keeper.poll() is None, (self._directory / "console").read_text()
        except BaseException:
            self._stack.close()
            raise
        self._pid = next(one.pid for one in descendants(keeper.pid) if one.command.startswith(booted.SYSTEMD))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @staticmethod
    def _end(keeper: subprocess.Popen[bytes]) -> None:
        keeper.communicate(timeout=30)  # the end of its stdin is its word to end all that is below it

    def run(self, *argv: object, **options: object) -> subprocess.CompletedProcess[str]:
        """Run a command there as root, to its end."""
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
        return run(["nsenter", f"--target={self._pid}", "--all", "--wdns=/", "--", *argv], env=env, **options)

    def path(self, path: str) -> Path:
        """Return where this host's file is."""
        return Path(f"/proc/{self._pid}/root{path}")

    def written(self) -> dict[str, tuple[int, int, str]]:
        """Return all that was written since the boot: each path with mode, owner and a hash of what is there.

        But for logs, what Ansible brings for the time of a task, and systemd's own notes.
        """
        found = {}
        for own in OWN:
            upper = self.path(f"{self._directory}/own{own}/upper")
            for top, names, files in os.walk(upper):
                for name in names + files:
                    path = Path(top, name)
                    place = f"{own}/{path.relative_to(upper)}"
                    if place.startswith(("/var/log/", "/root/.ansible", "/root/.cache", "/var/lib/systemd")):
                        continue
                    entry = path.lstat()
                    content = b""
                    if stat.S_ISREG(entry.st_mode):
                        content = path.read_bytes()
                    elif stat.S_ISLNK(entry.st_mode):
                        content = os.readlink(path).encode()
                    found[place] = (entry.st_mode, entry.st_uid, hashlib.sha256(content).hexdigest())
        return found
