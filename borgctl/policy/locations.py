"""Where a client's files are unless its policy says otherwise: below /etc and /var for root, at home for others.

It knows names only, and looks at no file.

    policy_directory() == "/etc/borgctl"     state_directory() == "/var/lib/borgctl"
"""

import os
import pwd


def home() -> str:
    """Return our home directory from the password database, as the peer may have set $HOME."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return "/"


def policy_directory() -> str:
    """Return the usual directory of policies."""
    return "/etc/borgctl" if os.geteuid() == 0 else f"{home().rstrip('/')}/.config/borgctl"


def state_directory() -> str:
    """Return the directory of a base or log that the policy does not name."""
    return "/var/lib/borgctl" if os.geteuid() == 0 else f"{home().rstrip('/')}/.local/state/borgctl"


def default_log() -> str:
    """Return the path of the audit log where the policy names none."""
    return "/var/log/borgctl/audit.jsonl" if os.geteuid() == 0 else f"{state_directory()}/audit.jsonl"
