"""The machine: its kernel's Landlock, its clock, and the sshd that runs. It knows no policy."""

import ctypes
import glob
import os
import re
from collections.abc import Iterator

from borgctl.cli.doctor.findings import Finding
from borgctl.sandbox import landlock

_TIMEX = 512  # bytes; struct timex has 208
_UNSYNCHRONISED = 5  # TIME_ERROR (adjtimex(2))


def findings(config: str) -> Iterator[Finding]:
    """Yield what is to be said of the machine; `config` is the configuration that sshd was asked about."""
    yield kernel(landlock.abi())
    yield _clock()
    yield from _running(config)


def kernel(abi: int) -> Finding:
    """Say what the kernel can do for the sandbox."""
    release = os.uname().release
    if abi:
        return Finding("ok", "kernel", f"Linux {release} has Landlock, ABI {abi}")
    text = f"Linux {release} has no Landlock: no sandbox can hold borg to its files"
    change = "boot a kernel with CONFIG_SECURITY_LANDLOCK and lsm=…,landlock; until then 'sandbox: prefer' or 'off'"
    return Finding("warn", "kernel", text, ("landlock_create_ruleset(2) says so",), change)


def _clock() -> Finding:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.adjtimex(ctypes.create_string_buffer(_TIMEX)) == _UNSYNCHRONISED:
        text = "the clock is not synchronised: archives are named, and pruned, by it"
        return Finding("warn", "clock", text, ("adjtimex(2) says so",), "systemctl enable --now systemd-timesyncd")
    return Finding("ok", "clock", "the kernel says that it is synchronised")


def _running(config: str) -> Iterator[Finding]:
    """Compare with what sshd was started with: its title has its arguments ('sshd: /usr/sbin/sshd -D [listener] …')."""
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            if os.stat(path).st_uid != 0:
                continue
            with open(path, encoding="utf-8", errors="replace") as file:
                title = file.read(4096).replace("\0", " ").strip()
        except OSError:
            continue
        match = re.match(r"sshd: \S*sshd (.*)\[listener\]", title)
        if match is None:
            continue
        named = re.search(r"-f ?(\S+)", match[1])
        own = named[1] if named else "/etc/ssh/sshd_config"
        if own == config and "-o" in match[1]:
            text = "the sshd that runs has settings on its command line, which were not asked about"
            yield Finding("unseen", "sshd", text, (title[:300],))
