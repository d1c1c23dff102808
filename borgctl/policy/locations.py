"""Where a client's files lie unless its policy says otherwise: below /etc and /var for root, at home for others.

policy_directory() == "/etc/borgctl"     state_directory() == "/var/lib/borgctl"
"""

import os
import pwd


def home() -> str:
    """Return our home directory from the password database, as a peer may choose the environment."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return "/"


def policy_directory() -> str:
    """Return where policies are usually kept."""
    return "/etc/borgctl" if os.geteuid() == 0 else f"{home().rstrip('/')}/.config/borgctl"


def state_directory() -> str:
    """Return where an unnamed base and log lie."""
    return "/var/lib/borgctl" if os.geteuid() == 0 else f"{home().rstrip('/')}/.local/state/borgctl"


def default_log() -> str:
    """Return the audit log of a policy that names none."""
    return "/var/log/borgctl/audit.jsonl" if os.geteuid() == 0 else f"{state_directory()}/audit.jsonl"
