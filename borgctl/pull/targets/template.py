"""Template: the text of a new target file, with a word about each line, and without what the defaults say already.

text(TargetName("web1"), {"host": "root@web1", "quota": "500G", …}, said=())
"""

from collections.abc import Collection, Mapping

from borgctl.pull.targets.paths import TargetName

_HEAD = "# A client of borgpull: 'borgpull run {name}' backs it up. 'borgpull targets {name}' checks this file."
_HOST_KEY = "#host_key: ssh-ed25519 AAAA…     # written by: borgpull trust {name} 'ssh-ed25519 AAAA…'"
_WHY = {
    "repository": "   # on this server; the client's policy names the same path",
    "quota": "                        # borg's storage quota: what this client may fill",
}
_JOBS = """\
#jobs: [default]                    # left out: every job with command create that the client offers
#jobs: {prune: {deletes: 5000, run: no}}   # how many objects a prune may delete; 'run: no': with --job prune only"""
_EXPECT = "expect: 26h                         # older than this is overdue, says 'borgpull status'"
_TAIL = """\
#timeout: 12h
#borg: /usr/bin/borg                # this server's borg
"""


def text(name: TargetName, words: Mapping[str, str | int | None], said: Collection[str], *, local: bool) -> str:
    """Return the text of a target file with these words, but None; `said` are the keys that the defaults have."""
    lines = [_HEAD.format(name=name)]
    for key in ("host", "port", "transport", "policy", "host_key", "repository", "quota"):
        if key == "host_key" and not local:
            lines.append(_HOST_KEY.format(name=name))
        elif words.get(key) is not None:
            lines.append(f"{key}: {words[key]}{_WHY.get(key, '')}")
    lines += [] if "jobs" in said else [_JOBS]
    lines += [] if "expect" in said else [_EXPECT]
    return "\n".join([*lines, _TAIL])
