"""The keys of a target file: form, default, example, purpose and schema of each.

Docs and schema are made from this table. A test compares its keys with those that `borgctl.pull.targets` reads.
"""

from schemas import DURATION, YES_NO, Key, numbers

_PLAIN_PATH = {"type": "string", "pattern": "^/[A-Za-z0-9_./+@=-]+$"}
_TARGET_JOB = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "kind": {"enum": ["create", "prune", "read"]},
        "deletes": {"type": ["string", "integer"], "pattern": "^(?:[0-9]{1,12}|any)$", "minimum": 0, "maximum": 10**12},
        "run": YES_NO,
    },
    "if": {"required": ["deletes"]},
    "then": {"properties": {"kind": {"const": "prune"}}},
    "else": {"properties": {"kind": {"enum": ["create", "read"]}}},
}

TARGET = (
    Key("host", "user@host or host", "none", "host: root@web1.example.org", "The client.", {"type": "string"}),
    Key("port", "1 to 65535", "ssh's own", "port: 2222", "The port of the client's sshd.", numbers(1, 65535)),
    Key(
        "identity",
        "path",
        "the key that `borgpull add` made, or [systemd's copy](#keys-that-belong-to-root)",
        "identity: /etc/borgpull/keys/web1",
        "The private key for ssh.",
        _PLAIN_PATH,
    ),
    Key(
        *("host_key", "public key", "none", "host_key: ssh-ed25519 AAAA..."),
        "The client's host key, which `borgpull trust` writes. Without it nothing runs.",
        {"type": "string"},
    ),
    Key("repository", "path", None, "repository: /srv/borg/web1", "The repository, on this machine.", _PLAIN_PATH),
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
        *("quota", "size", None, "quota: 500G"),
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
)
