"""doctor's findings about the machine: its kernel's Landlock, its clock, the sshd that runs. It knows no policy.

list(findings("/etc/ssh/sshd_config"))
"""

import ctypes
import getopt
import glob
import os
import re
from collections.abc import Iterator

from borgctl.cli.doctor.findings import Finding
from borgctl.sandbox import landlock

_TIMEX = 512  # bytes; struct timex has 208
_UNSYNCHRONISED = 5  # TIME_ERROR (adjtimex(2))
_SSHD_CONFIG = "/etc/ssh/sshd_config"
_SSHD_OPTIONS = "C:E:b:c:f:g:h:k:o:p:u:46DGQRTdeiqrtV"  # of OpenSSH 9.2, and -G of 9.3


def findings(config: str) -> Iterator[Finding]:
    """Yield the findings; `config` is the configuration that sshd was asked about."""
    yield kernel(landlock.abi())
    yield _clock()
    yield from _running(config)


def kernel(abi: int) -> Finding:
    """Return a finding about the kernel, by the version of its Landlock (0: none)."""
    release = os.uname().release
    if abi:
        return Finding("ok", "kernel", f"Linux {release} has Landlock, ABI {abi}")
    text = f"Linux {release} has no Landlock: no sandbox can keep borg to its files"
    change = "boot a kernel with CONFIG_SECURITY_LANDLOCK and lsm=…,landlock; until then 'sandbox: prefer' or 'off'"
    return Finding("warn", "kernel", text, ("landlock_create_ruleset(2) says so",), change)


def _clock() -> Finding:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.adjtimex(ctypes.create_string_buffer(_TIMEX)) == _UNSYNCHRONISED:
        text = "the clock is not synchronised: names of archives, and pruning, depend on it"
        return Finding("warn", "clock", text, ("adjtimex(2) says so",), "systemctl enable --now systemd-timesyncd")
    return Finding("ok", "clock", "the kernel says that it is synchronised")


def _running(config: str) -> Iterator[Finding]:
    """Compare with the arguments of the sshd that runs: its title has them ('sshd: /usr/sbin/sshd -D [listener] …')."""
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            if os.stat(path).st_uid != 0:
                continue
            with open(path, encoding="utf-8", errors="replace") as file:
                title = file.read(4096).replace("\0", " ").strip()
        except OSError:
            continue
        if has_settings(title, config):
            text = "the sshd that runs has settings on its command line, which this report leaves out"
            yield Finding("unseen", "sshd", text, (title[:300],))


def has_settings(title: str, config: str) -> bool:
    """Say whether `title` is of an sshd that listens, reads `config` and has settings besides; in doubt, it has."""
    match = re.match(r"sshd: \S*sshd (.*)\[listener\]", title)
    if match is None:
        return False
    try:
        options, _ = getopt.getopt(match[1].split(), _SSHD_OPTIONS)
    except getopt.GetoptError:
        return True  # an sshd newer than this list
    return dict(options).get("-f", _SSHD_CONFIG) == config and any(option == "-o" for option, _ in options)
