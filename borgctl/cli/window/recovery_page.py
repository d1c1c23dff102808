"""`borgctl recovery`: one page for the safe, with all that one needs after this machine, or the server, is lost.

It is at most 76 columns wide, except for long names and passphrases, which must not be split. It is printed and never
stored. The base notes that it was printed, and for which key (`borgctl.state.recovery`).

    recovery_page(policy, RepositoryPath("/srv/borg/web1"), wait=15)
"""

import os
import re
from datetime import datetime

from borgctl.cli.window import paper_key, window_session
from borgctl.cli.window.known_server import known_server
from borgctl.errors import BadValue
from borgctl.policy import locations, sent_environment
from borgctl.policy.model import Policy
from borgctl.state import pins, recovery, window_protocol
from borgctl.state.state_dir import StateDir
from borgctl.state.window_protocol import WindowRequest
from borgctl.values import RepositoryPath

_EXPORT = ("key", "export")
_KEY = re.compile(rb"BORG_KEY [0-9a-f]{64}\n[A-Za-z0-9+/=\n]+")  # a hostile server, or a hostile borg, may have made it

_BLANK = "__________"  # to fill in by hand

_PAGE = """\
BORG RECOVERY PAGE                                            KEEP IT SECRET
machine     {host}, printed {today}
policy      {policy}
server      {server}
repository  {path} on the server
id          {identity}
passphrase  {passphrase}

key, for the questions of 'borg key import --paper'. After the '-' of a
line comes its checksum: borg tells at once which line is mistyped:
{key}

RESTORE ON THIS MACHINE, with the server's help
  server:  borgpull window {target} --for 30m
  here:    borgctl window -- borg list
           cd "$(mktemp -d)"
           borgctl window -- borg extract ::NAME etc/fstab

RESTORE ON A NEW MACHINE
  1. install borgctl and borg; make {directory} (0700);
     write the passphrase into {directory}/passphrase (0600)
  2. borgctl sample --repository {path} \\
       > {policy}
  3. borgctl authorize KEY {policy}
     (KEY: on the server, borgpull's {target}.pub), and on the server:
     borgpull trust --replace {target} 'THE NEW HOST KEY'
  4. compare the id above with what 'borgctl window -- borg info' shows;
     then restore as above. The log is new, so the server raises the alert
     'audit-broken': borgpull accept {target} --reason 'a new machine'
{keyfile}
RESTORE WITH THE SERVER ALONE
(its admin then knows the passphrase and can read all of it)
  on it, as root, with the passphrase typed in. If another user than
  borgpull owns the repository, name that one. Without runuser, borg would
  write to where a link of that user's leads, with root's rights:{with_key}
     runuser -u borgpull -- borg list {path}
     cd "$(runuser -u borgpull -- mktemp -d)"
     runuser -u borgpull -- borg extract {path}::NAME etc/fstab
  All of it then belongs to that user: owners are not restored.
If the server's copy of the key is lost:
     runuser -u borgpull -- borg key import --paper {path}
"""
_KEYFILE = """\
  5. the key is not in the repository, so before the first 'borg list':
     borgctl window -- borg key import --paper ::
"""


def recovery_page(policy: Policy, path: RepositoryPath, wait: float) -> str:
    """Return the page for one repository, and note that it was printed."""
    base = StateDir.open(policy.base)
    try:
        key = recovery.keyfile(base, path)
        keyfile = key is not None
        if key is None or pins.pin(base, "key", path) is not None:  # the gate has pinned that one, and compares
            key = _exported(policy, path, wait)
        if not _KEY.fullmatch(key):
            raise BadValue("the exported key has characters that no key has: nothing is printed")
        identity = pins.pin(base, "repository", path)
        if identity is None:
            raise BadValue(f"the id of {path.text!r} is not known yet: run a job first")
        secret = window_session.secret_of(policy)
        typed = paper_key.lines(key)
        recovery.note(base, path)
    finally:
        os.close(base.fd)
    server = known_server(policy)
    target = server.target or _BLANK
    return _PAGE.format(
        host=sent_environment.hostname(),
        today=datetime.now().astimezone().strftime("%Y-%m-%d"),
        directory=locations.policy_directory(),
        policy=policy.file,
        path=path.text,
        identity=identity,
        passphrase="(none)" if secret is None else secret.decode("utf-8", "backslashreplace"),
        key="\n".join(typed),
        server=f"{server.address or _BLANK}, where this machine is the target {target}",
        target=target,
        keyfile=_KEYFILE if keyfile else "",
        with_key=f"\n     runuser -u borgpull -- borg key import --paper {path.text}" if keyfile else "",
    )


def _exported(policy: Policy, path: RepositoryPath, wait: float) -> bytes:
    """Return the key in the repository, still locked by the passphrase; the gate compares its hash."""
    what = WindowRequest(("borg", *_EXPORT), window_protocol.login_uid(), path.text)
    with window_session.enter(policy, what, wait) as session, window_session.memory() as output:
        status = session.step(_EXPORT, None, stdout=output)
        output.seek(0)
        key = output.read()
    if status != 0 or not key.startswith(b"BORG_KEY "):
        raise BadValue(f"borg did not export the key: status {status}")
    return key
