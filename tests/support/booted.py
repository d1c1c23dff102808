"""A real systemd for one unit: PID 1 of namespaces of its own, with a control group and a /run of its own.

It sees this machine's files and network, but no unit of it, none of its processes, and its settings read-only.

    journal = booted.start(directory, {"borgpull.service": text}, "borgpull.service")     # …result: success 0
"""

import contextlib
import os
import subprocess
from pathlib import Path

import machines

SYSTEMD = "/lib/systemd/systemd"
_STUBS = ("sysinit.target", "basic.target", "network-online.target", "shutdown.target")
_SETTINGS = """\
[Unit]
SuccessAction=exit-force
FailureAction=exit-force
[Service]
StandardOutput=append:{journal}
StandardError=append:{journal}
ExecStopPost=/bin/echo result: $SERVICE_RESULT $EXIT_STATUS
"""
# the control groups that a systemd needs, as a part of a shell's program
CONTROL_GROUPS = """\
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    umount /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
    umount -R /sys/fs/cgroup
    mount -t tmpfs tmpfs /sys/fs/cgroup
    mkdir /sys/fs/cgroup/systemd /sys/fs/cgroup/unified
    mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
    mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
fi
"""
_BOOT = f"""\
set -e
mount --make-rprivate /
mount --make-rshared /
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount --bind /etc /etc
mount -o remount,bind,ro /etc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/systemd/system
cp -r "$1"/. /run/systemd/system
{CONTROL_GROUPS}
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/run/systemd/system \\
    "$2" --system --unit=first.target --log-target=console --log-level=info --show-status=no
"""


def start(directory: Path, units: dict[str, str], service: str, settings: str = "", timeout: float = 200) -> str:
    """Start a service, wait for its end, and return what it has said; `settings` are lines of its section."""
    place, journal = Path(directory, "units"), Path(directory, "journal")
    journal.unlink(missing_ok=True)
    journal.touch(mode=0o666)
    for unit, text in {**dict.fromkeys(_STUBS, "[Unit]\n"), **units}.items():
        place.mkdir(exist_ok=True)
        (place / unit).write_text(text)
    (place / "first.target").write_text(f"[Unit]\nDefaultDependencies=no\nWants={service}\n")
    drop_in = place / f"{service}.d/test.conf"
    drop_in.parent.mkdir(exist_ok=True)
    drop_in.write_text(_SETTINGS.format(journal=journal) + settings)
    namespaces = ("--mount", "--pid", "--uts", "--ipc", "--cgroup")
    argv = ["unshare", "--fork", "--kill-child", *namespaces, "sh", "-c", _BOOT, "sh", place, SYSTEMD]
    with control_group(f"borgctl-test-{os.getpid()}") as join:
        done = machines.run(["sh", "-c", f'{join}exec "$@"', "sh", *argv], timeout=timeout)
    return f"{done.stdout}{done.stderr}{journal.read_text()}"


@contextlib.contextmanager
def control_group(name: str):
    """Give shell commands that move a process into a control group of its own, in each hierarchy that systemd wants."""
    tops = [Path("/sys/fs/cgroup", part) for part in ("systemd", "unified")]
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        tops = [Path("/sys/fs/cgroup")]
    groups = [top / name for top in tops]
    for group in groups:
        group.mkdir()
    try:
        yield "".join(f'echo $$ >"{group}/cgroup.procs"; ' for group in groups)
    finally:
        for group in groups:
            # its processes have ended with their PID 1
            subprocess.run(["find", group, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"], check=True)
