"""Build the environment of borg from nothing.

It does not know where the values come from; `policy` has checked them.

    borg_environment("/var/lib/borgctl/web1/borg", "/run/…/tmp", "borgctl@3f…")["BORG_EXIT_CODES"] == "modern"
"""

import shlex
from collections.abc import Iterable

from borgctl.borg.command_line import HOST
from borgctl.process.hook_environment import PATH


def borg_environment(
    base: str,
    temporary: str,
    host_id: str,
    chosen: Iterable[tuple[str, str]] = (),
    *,
    relocated: bool = False,
) -> dict[str, str]:
    """Return borg's environment without transport and passphrase; the policy sets and checks `chosen`.

    `base` is where borg keeps cache, keys and its security database. `temporary` must be writable (borg's selftest).
    `relocated`: the admin has confirmed that the repository moved.
    """
    standard = {
        "PATH": PATH,
        "HOME": base,
        "LOGNAME": HOST,  # borg writes it into the archive; the user that borg runs as may have no name
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "TMPDIR": temporary,
        "BORG_HOST_ID": host_id,
    }
    fixed = {
        "BORG_BASE_DIR": base,
        "BORG_EXIT_CODES": "modern",
        "BORG_SHOW_SYSINFO": "no",
        "BORG_JSON_INDENT": "none",
        "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes" if relocated else "no",
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "no",
        "PYTHONNOUSERSITE": "1",
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return {**standard, **dict(chosen), **fixed}


def with_transport(env: dict[str, str], relay: Iterable[str], passphrase_fd: int | None) -> dict[str, str]:
    """Add the command that reaches the repository (borg splits BORG_RSH as a shell does), and the passphrase's fd."""
    secret = {} if passphrase_fd is None else {"BORG_PASSPHRASE_FD": str(passphrase_fd)}
    return {**env, "BORG_RSH": shlex.join(relay), **secret}
