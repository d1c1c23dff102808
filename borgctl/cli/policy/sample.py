"""`borgctl sample`: a policy to start from, commented and usable as it is, with the facts of this machine filled in.

Nothing is written: `render("/srv/borg/{hostname}", ["/etc", "/home"])`.
"""

import os
import shutil
import stat

from borgctl.errors import BadValue
from borgctl.fs.secure_path import InsecurePath, SecurePath
from borgctl.policy import locations
from borgctl.policy.keys import repository_template
from borgctl.process import namespaces
from borgctl.sandbox import landlock, privileges
from borgctl.values import SourcePath

_TEXT = """\
# A policy of borgctl: what one backup server may make happen on this machine. Nothing else is possible.
# Keep it in {directory}/NAME.yaml, owned by {owner} and writable by nobody else.
#
# Once, make the passphrase. It never leaves this machine; without it the backup cannot be read: keep a copy elsewhere.
#   install -d -m 0700 {directory}
#   (umask 077; head -c 33 /dev/urandom | base64 > {directory}/passphrase)
{account}
version: 1

# Where on the server the repository is; the server must ask for exactly this path.
repositories:
  {repository}: {{encryption: required}}

passphrase: {{file: {directory}/passphrase}}

# What the server may ask for, by name. It chooses a job, never a path or an option.
jobs:
  # The backup. Archives are called HOST-default-TIME.
  default:
    paths: [{paths}]
    exclude: [{excluded}]
    options: {{compression: zstd, one-file-system: true}}
    # before: [[/usr/local/bin/dump-databases]]   # run first; if one fails, there is no backup
    # after: [[/usr/local/bin/thaw]]              # run last, always
  # Makes the repository; the server asks for it once.
  init: {{command: init, options: {{encryption: repokey-blake2}}}}
  # Shows the names, sizes and times of archives.
  list: {{command: list}}
  # Marks old archives as deleted; only the server's own 'borgpull compact' frees the space.
  prune:
    command: prune
    options: {{keep-daily: 7, keep-weekly: 4, keep-monthly: 12, glob-archives: "{{hostname}}-default-*"}}

# ---- You may leave out everything below. The values shown are the defaults unless a comment says otherwise.
borg: {borg}
# transports: [stdio]           # socket: as the published scripts, see the README; local: the server is this machine
# disclose: counts              # names: the server's progress display may show names of files
# commands: {{}}                  # what the server may spell out itself, e.g. {{list: {{options: [json]}}}}
window: 30m                     # how long a restore window may be open; the default is no
# limits: {{runtime: 12h, hook: 1h, sessions: 8, nice: 10, ionice: idle, memory: 8G}}
{sandbox}
{audit}
"""

_ACCOUNT = """\
#
# Once, make the user that borg runs as. It may read every file, and has no other right of root's.
#   useradd --system --shell /usr/sbin/nologin _borgctl
"""


def render(repository: str, paths: list[str]) -> str:
    """Return the policy's text; raise BadValue for a repository or path that no policy could hold.

    Without a path, it backs up /etc and /home for root, and the home directory for an ordinary user.
    """
    repository_template(repository)
    paths = paths or (["/etc", "/home"] if os.geteuid() == 0 else [os.path.realpath(locations.home())])
    directory = locations.policy_directory()
    for path in paths:
        SourcePath(path)
    return _TEXT.format(
        directory=directory,
        owner="root" if os.geteuid() == 0 else "you",
        repository=repository,
        paths=", ".join(_quoted(path) for path in paths),
        excluded=", ".join(['"*/.cache"', '"*.tmp"', *_own(directory)]),
        borg=_borg(),
        account=_account(),
        sandbox=_sandbox(),
        audit=_audit(),
    )


def _own(directory: str) -> list[str]:
    """Return what the gate keeps and the backup leaves out; an ordinary user's state is in their home."""
    if os.geteuid() == 0:
        return [f"{directory}/passphrase"]
    # borg compares the paths that it walks, and saves a symlink as a link
    return [
        _quoted(f"{os.path.realpath(directory)}/passphrase"),
        _quoted(os.path.realpath(locations.state_directory())),
    ]


def _account() -> str:
    """Return how to make the user that borg runs as, where the gate runs as root and there is none yet."""
    if os.geteuid() != 0:
        return ""
    try:
        privileges.account("_borgctl")
    except BadValue:
        return _ACCOUNT
    return ""


def _sandbox() -> str:
    """Return the default, or what this kernel supports."""
    if os.geteuid() == 0 and not namespaces.possible(namespaces.ALL):
        return "sandbox: prefer               # no namespaces here (a container?): 'require' would refuse every run"
    if landlock.abi():
        return "# sandbox: require            # prefer: as much of it as the kernel has; off: none"
    return "sandbox: prefer               # this kernel has no Landlock: 'require' would refuse every run"


def _quoted(path: str) -> str:
    plain = all(c.isalnum() or c in "/._-+@" for c in path)
    if not plain and ('"' in path or "\\" in path):
        raise BadValue(f"bad path {path!r}: write it into the policy by hand")
    return path if plain else f'"{path}"'


def _borg() -> str:
    """Return the borg that a login here would run."""
    return shutil.which("borg", path="/usr/local/bin:/usr/bin:/bin") or "/usr/bin/borg"


def _audit() -> str:
    """Return the default log, or one with the state where others may write to /var/log (Ubuntu)."""
    default = locations.default_log()
    try:
        with SecurePath.at(os.path.dirname(os.path.dirname(default))) as above:
            above.require(stat.S_IFDIR)
    except FileNotFoundError:
        pass  # the gate makes it
    except (OSError, InsecurePath):
        return (
            f"audit: {{file: {locations.state_directory()}/audit.jsonl, syslog: yes}}   # others may write to /var/log"
        )
    return f"# audit: {{file: {default}, syslog: yes}}"
