"""Units: the files by which systemd or cron start borgpull, as texts. It writes none, and looks at nothing.

What a unit takes away no run needs. What it leaves is here because a run does, and the comments say why.

    files(Installation.default())["borgpull.timer"]
"""

from borgctl.pull.targets.paths import CREDENTIAL
from borgctl.pull.units.installation import Installation
from borgctl.pull.units.unit_syntax import command, crontab_command, value, words

CRON = "borgpull.cron"
NAMES = ("borgpull.service", "borgpull.timer", "borgpull@.service", CRON)
_HOMES = ("/home", "/root", "/run/user")
_TEMPORARY = ("/tmp", "/var/tmp")
# CAP_SYS_PTRACE: to see that another borgpull of root's, with all capabilities, is alive (ptrace(2), access check).
# Nothing is hidden from root, to whom a hidden directory looks like an empty one.
_CAPABILITIES = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_SYS_PTRACE"
_LESS = "SystemCallFilter=~@privileged @resources\n"

_TIMER = """\
[Unit]
Description=Back up the clients of borgpull whose time has come

[Timer]
# one timer for all rhythms: 'every' in a target, or once a day; a laptop is pulled when it is there
OnCalendar=hourly
# servers that pull one client, or share a disk, do not all begin at the full hour; each has the same delay
RandomizedDelaySec=15min
FixedRandomDelay=true
# an hour in which this machine was off is made up for at its next start
Persistent=true

[Install]
WantedBy=timers.target
"""

_ALL = """\
Type=oneshot
{user}\
ExecStart={command}
# 1 is success with warnings; 'borgpull status' tells them, and each alert
SuccessExitStatus=1
# borgpull ends ssh and borg in order, within this time
KillMode=mixed
TimeoutStopSec=3min
# where memory runs out for one client's borg, the other clients are still backed up
OOMPolicy=continue
UMask=0077
Nice=10
IOSchedulingClass=best-effort
IOSchedulingPriority=7
"""

_KEYS = """\

# ssh's keys that belong to root, and that {user} can read here alone (docs/targets.md); without that folder, nothing
LoadCredential={credential}
SetCredential={nothing}
"""

_FILES = """\

# the whole disk is read-only but these; '-': a disk that is missing fails in its own clients' runs alone
ProtectSystem=strict
ReadWritePaths={paths}
"""

# without a namespace of its own, so an ordinary user's systemd can do it, too
_PROCESS = """\

NoNewPrivileges=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
{less}\
SystemCallErrorNumber=EPERM
"""

# No PrivateUsers=, ProcSubset=pid: a run must see whether another borg of its user lives, and which ciphers are fast.
_MACHINE = """\

PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
"""


def files(installation: Installation) -> dict[str, str]:
    """Return each file's text by its name."""
    return {
        "borgpull.service": _service(
            installation, "Back up the clients of borgpull whose time has come", "--all --due"
        ),
        "borgpull.timer": _TIMER,
        "borgpull@.service": _service(installation, "Back up the client %i of borgpull", None),
        CRON: _cron(installation),
    }


def _service(installation: Installation, description: str, what: str | None) -> str:
    network = "" if installation.own else "Wants=network-online.target\nAfter=network-online.target\n"
    start = f"{command(installation.argv('run'))} {what or '%i'}"
    user = "" if installation.own or installation.root else f"User={value(installation.user)}\n"
    return (
        f"[Unit]\nDescription={description}\n{network}\n[Service]\n"
        f"{_ALL.format(command=start, user=user)}{_restrictions(installation)}"
    )


def _restrictions(installation: Installation) -> str:
    """Return what the service cannot do.

    The gate of this machine itself reads all data, and confines borg with what is forbidden here: it gets no less.
    """
    keys = _keys(installation)
    if installation.local:
        return (
            f"{keys}\n# nothing is taken away or hidden: a target is this machine itself, and its gate confines borg\n"
        )
    if installation.own:
        return _PROCESS.format(less="")
    paths = [f"-{path}" for path in dict.fromkeys((installation.folders.state, *installation.writable))]
    text = _FILES.format(paths=words(paths))
    if installation.root:
        text += f"ProtectHome=read-only\nCapabilityBoundingSet={_CAPABILITIES}\n"
        return f"{text}{_PROCESS.format(less='')}{_MACHINE}"
    text += f"ProtectHome={'read-only' if installation.needs(*_HOMES) else 'yes'}\n"
    text += "" if installation.needs(*_TEMPORARY) else "PrivateTmp=yes\n"
    text += "CapabilityBoundingSet=\nRemoveIPC=yes\n"
    return f"{keys}{text}{_PROCESS.format(less=_LESS)}{_MACHINE}"


def _keys(installation: Installation) -> str:
    """Return what hands root's keys over; root reads them itself, and no other user's systemd can."""
    if installation.own or installation.root or not installation.keys:
        return ""
    credential, nothing = value(f"{CREDENTIAL}:{installation.folders.root_keys}"), f"{CREDENTIAL}:none"
    return _KEYS.format(user=installation.user, credential=credential, nothing=nothing)


def _cron(installation: Installation) -> str:
    run, status = (
        crontab_command(installation.argv("run", "--all", "--due")),
        crontab_command(installation.argv("status")),
    )
    user = "" if installation.own else f"{installation.user} "
    mail = "" if installation.own else "MAILTO=root\n"
    return (
        "# Instead of the timer: only a bad hour sends mail, with what 'borgpull status' says of it.\n"
        f"{mail}30 * * * * {user}{run} 2>/dev/null || {status}\n"
    )
