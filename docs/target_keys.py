"""The keys of a target file, and of the defaults of all: form, default, example, purpose and schema of each.

Docs and schema are made from this table. A test compares its keys with those that `borgctl.pull.targets` reads.
"""

from dataclasses import replace

from schemas import DURATION, YES_NO, Key, closed, numbers

from borgctl.pull.targets import defaults, telling

_REQUIRED = "required, here or in `defaults.yaml`"
_TAG = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"}
_DAY, _HOUR = "2[0-9]{3}-[0-9]{2}-[0-9]{2}", "[0-9]{2}:[0-9]{2}"
_TIME = {"type": "string", "pattern": f"^{_DAY}(?:[T ]{_HOUR}(?::[0-9]{{2}})?(?:Z|[+-]{_HOUR})?)?$"}
_PAUSE = ["until", "reason"]
_PLAIN_PATH = {"type": "string", "pattern": "^/[A-Za-z0-9_./+@=-]+$"}
_SERVICE = {"type": "string", "maxLength": 2000, "pattern": r"^[A-Za-z][A-Za-z0-9+.-]{0,31}://\S+$"}
_EVENTS = {"type": "array", "items": {"enum": list(telling.KINDS)}, "minItems": 1}
_HTTP = r"https?://(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:]{2,45}\])(?::[0-9]{1,5})?"
_IN_URL = "[A-Za-z0-9._~!$&'()*+,;=:@%/?-]"
_TARGET_JOB = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "kind": {"enum": ["create", "prune", "read"]},
        "deletes": {"type": ["string", "integer"], "pattern": "^(?:[0-9]{1,12}|any)$", "minimum": 0, "maximum": 10**12},
        "run": YES_NO,
        "every": DURATION,
        "expect": DURATION,
    },
    "if": {"required": ["deletes"]},
    "then": {"properties": {"kind": {"const": "prune"}}},
}

TARGET = (
    Key("host", "user@host or host", "none", "host: root@web1.example.org", "The client.", {"type": "string"}),
    Key("port", "1 to 65535", "ssh's own", "port: 2222", "The port of the client's sshd.", numbers(1, 65535)),
    Key(
        "identity",
        "path",
        "the key that `borgpull add` made, or [the copy of systemd](#keys-that-belong-to-root)",
        "identity: /etc/borgpull/keys/web1",
        "The private key for ssh.",
        _PLAIN_PATH,
    ),
    Key(
        *("host_key", "public key", "none", "host_key: ssh-ed25519 AAAA..."),
        "The client's host key, which `borgpull trust` writes. Without it nothing runs.",
        {"type": "string"},
    ),
    Key(
        *("repository", "path", _REQUIRED, "repository: /srv/borg/web1"),
        "The repository, on this machine.",
        _PLAIN_PATH,
    ),
    Key(
        *("jobs", "list of names, or mapping", "every job for create that the client offers", "jobs: [default]"),
        "What `borgpull run` asks for. A mapping also says [what each job may do](#what-a-job-may-do).",
        {
            "anyOf": [
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
                {"type": "object", "additionalProperties": _TARGET_JOB, "minProperties": 1},
            ]
        },
    ),
    Key(
        *("tags", "list of names", "none", "tags: [web, berlin]"),
        "Words by which commands choose several targets: `borgpull run @web`.",
        {"type": "array", "items": _TAG, "uniqueItems": True},
    ),
    Key(
        *("paused", "`until` and `reason`", "none", "paused: {until: 2026-12-24, reason: moves to another house}"),
        "Not to be run [until then](#a-pause).",
        {**closed(until=_TIME, reason={"type": "string", "pattern": r"\S", "maxLength": 200}), "required": _PAUSE},
    ),
    Key(
        *("expect", "duration", "26h", "expect: 26h"),
        "How old a job's last good run may be before `borgpull status` calls it overdue.",
        DURATION,
    ),
    Key(
        *("accept_warnings", "list of changed, vanished, unreadable", "none", "accept_warnings: [changed, vanished]"),
        "Files that borg may warn of here. The run still reports and counts them, and is `ok` if borg warned of "
        "no others.",
        {"type": "array", "items": {"enum": ["changed", "vanished", "unreadable"]}},
    ),
    Key(
        *("quota", "size", _REQUIRED, "quota: 500G"),
        "How much the client may fill: a number with K, M, G, T or P, at least 10M.",
        {"type": ["string", "integer"], "pattern": r"^[0-9]{1,15}(\.[0-9]{1,3})?[KMGTP]?$"},
    ),
    Key("timeout", "duration", "12h", "timeout: 4h", "The longest time of a run; then both sides end.", DURATION),
    Key(
        *("transport", "stdio, socket or local", "stdio", "transport: stdio"),
        "How borg's protocol travels; the client's policy must offer it.",
        {"enum": ["stdio", "socket", "local"]},
    ),
    Key(
        *("socket_directory", "path", "/run/borgctl", "socket_directory: /run/borgctl"),
        "For transport `socket`: the socket directory of the client's policy.",
        _PLAIN_PATH,
    ),
    Key(
        *("policy", "path", "none", "policy: /etc/borgctl/self.yaml"),
        "For transport `local`: the policy of this machine.",
        _PLAIN_PATH,
    ),
    Key("borg", "path", "/usr/bin/borg", "borg: /usr/local/bin/borg", "This machine's borg.", _PLAIN_PATH),
    Key(
        *("notify", "list of URLs, or of `url` and `on`", "none", 'notify: ["ntfys://ntfy.example.org/backup"]'),
        "Who [is told](#being-told) of runs that fail and recover, of overdue jobs, and of alerts.",
        {
            "type": "array",
            "maxItems": 50,
            "items": {"anyOf": [_SERVICE, {**closed(url=_SERVICE, on=_EVENTS), "required": ["url"]}]},
        },
    ),
    Key(
        *("ping", "URL", "none", "ping: https://hc-ping.com/KEY/web1"),
        "A check, as of healthchecks.io, that each run [pings](#a-check-that-is-pinged).",
        {"type": "string", "maxLength": 2000, "pattern": f"^{_HTTP}(?:[/?]{_IN_URL}*)?$"},
    ),
    Key(
        *("on_failure", "program and its words", "none", "on_failure: [/usr/local/bin/page, --urgent]"),
        "A command to [start](#a-command-of-your-own) after each run that failed.",
        {
            "type": "array",
            "maxItems": 50,
            "prefixItems": [_PLAIN_PATH],
            "items": {"type": "string", "maxLength": 2000},
        },
    ),
)

_NAMED = rf"(?:{_IN_URL}|\{{target\}})*"
_OF_ALL = {
    "repository": {"type": "string", "pattern": r"^/(?:[A-Za-z0-9_./+@=-]|\{target\})*\{target\}[A-Za-z0-9_./+@=-]*$"},
    "ping": {"type": "string", "maxLength": 2000, "pattern": rf"^{_HTTP}/{_NAMED}\{{target\}}{_NAMED}$"},
}
DEFAULTS = tuple(replace(key, schema=_OF_ALL.get(key.name, key.schema)) for key in TARGET if key.name in defaults.KEYS)
