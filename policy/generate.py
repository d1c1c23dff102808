"""Write the schemas and the pages that are made from the program's own tables: `make documents`.

    policy/policy.schema.json   policy/target.schema.json   docs/policy.md   docs/targets.md
    docs/reasons.md         docs/guards.md              SECURITY.md (the links to tests in it)

The words of borg, their kinds and bounds come from `borgctl.borg.options`, the reasons from `borgctl.errors`; what a key is
for is said here, and a test holds that the keys here are the keys that the readers take, with the defaults they have.
"""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from borgctl.borg import forbidden
from borgctl.borg.options import ACCEPTABLE, COMMANDS, FLAG, SETTABLE, Command, Kind
from borgctl.errors import REASONS
from borgctl.pull.report.hints import ADVICE

TOP = Path(__file__).parents[1]
sys.path.insert(0, str(TOP / "tests/proofs"))

import guards  # noqa: E402 - the table of guards is a proof's

_YES_NO: dict[str, Any] = {"enum": ["yes", "no", "true", "false", True, False]}
_DURATION: dict[str, Any] = {"type": "string", "pattern": "^[0-9]{1,8}[smhdw]$"}
_ABSOLUTE: dict[str, Any] = {"type": "string", "pattern": "^/."}
_PROGRAM: dict[str, Any] = {"type": "array", "items": {"type": "string"}, "minItems": 1}
_PROGRAMS: dict[str, Any] = {"type": "array", "items": _PROGRAM}
_PATHS: dict[str, Any] = {"type": "array", "items": _ABSOLUTE}
_REPOSITORY: dict[str, Any] = {
    "type": "object",
    "properties": {"encryption": {"enum": ["required", "none"]}},
    "required": ["encryption"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Key:
    """One key: what it is for, its default as text (None: required), an example, the reason for it, and its schema."""

    name: str
    type: str
    default: str | None
    example: str
    text: str
    schema: dict[str, Any] = field(default_factory=dict)


def numbers(low: int, high: int) -> dict[str, Any]:
    """Return the schema of a number, which a reader of ours takes as text too."""
    return {"type": ["integer", "string"], "minimum": low, "maximum": high, "pattern": "^-?[0-9]+$"}


def of_kind(kind: Kind, *, template: bool = False) -> dict[str, Any]:
    """Return the schema of a value of borg's; `template`: placeholders of the gate's may stand in it."""
    if kind is FLAG:
        return _YES_NO
    pattern = f"^(?:{kind.pattern})$".replace(r"\Z", "$")
    if kind.low is not None and kind.high is not None:
        return {**numbers(kind.low, kind.high), "pattern": pattern, "description": kind.expected}
    found = {"type": ["string", "number"], "pattern": pattern, "maxLength": kind.longest, "description": kind.expected}
    return {"anyOf": [found, {"type": "string", "pattern": r"\{(hostname|job|now)[:}]"}]} if template else found


def job_options(command: Command) -> dict[str, Any]:
    """Return the schema of a job's options for one subcommand."""
    properties = {}
    for name, option in sorted(command.options.items()):
        one = of_kind(option.job, template=True)
        properties[name] = {"anyOf": [one, {"type": "array", "items": one}]} if option.repeats else one
    return {"type": "object", "properties": properties, "additionalProperties": False}


def job() -> dict[str, Any]:
    """Return the schema of a job; which options it may have depends on its command."""
    rules: list[dict[str, Any]] = []
    for name, command in COMMANDS.items():
        said = {"properties": {"command": {"const": name}}, "required": ["command"]}
        condition = {"anyOf": [said, {"not": {"required": ["command"]}}]} if name == "create" else said
        properties: dict[str, Any] = {"options": job_options(command)}
        then: dict[str, Any] = {"properties": properties, "required": ["paths"] if command.paths else []}
        if not command.paths:
            properties |= {"paths": False, "archive": False, "exclude": False}
        if name == "init":
            properties["options"] = {**properties["options"], "required": ["encryption"]}
            then["required"] = ["options"]
        if name == "prune":
            properties["options"] = {**properties["options"], "required": ["glob-archives"]}
            then["required"] = ["options"]
        rules.append({"if": condition, "then": then})
    return {
        "type": "object",
        "properties": {
            "command": {"enum": list(COMMANDS)},
            "paths": _PATHS,
            "archive": {"type": "string"},
            "exclude": {"type": "array", "items": {"type": "string"}},
            "options": {"type": "object"},
            "before": _PROGRAMS,
            "after": _PROGRAMS,
        },
        "additionalProperties": False,
        "allOf": rules,
    }


def commands() -> dict[str, Any]:
    """Return the schema of what a server may spell out."""
    offers = {}
    for name, command in COMMANDS.items():
        known = sorted(option for option, kinds in command.options.items() if kinds.request)
        properties: dict[str, Any] = {"options": {"type": "array", "items": {"enum": known}}}
        if command.paths:
            properties["paths"] = _PATHS
        required = ["options", "paths"] if command.paths else ["options"]
        offers[name] = {"type": "object", "properties": properties, "additionalProperties": False, "required": required}
    return {"type": "object", "properties": offers, "additionalProperties": False}


def closed(**properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a mapping with these keys and no others."""
    return {"type": "object", "properties": properties, "additionalProperties": False}


POLICY = (
    Key(
        *("version", "1", None, "version: 1"),
        "The version of this language, so that a later one cannot be misread.",
        {"enum": ["1", 1]},
    ),
    Key(
        *("repositories", "mapping of path to {encryption: required or none}", None),
        "repositories:\n  /srv/borg/{hostname}: {encryption: required}",
        "The repositories on the server that requests may use, by absolute path; `{hostname}` is this host's name. "
        "`required` admits repokey and keyfile modes only: with `none` or `authenticated` the server can read the data, "
        "so `none` has to be said.",
        {"type": "object", "minProperties": 1, "additionalProperties": _REPOSITORY},
    ),
    Key(
        *("passphrase", "{file: path} or {program: list}", "none, where no repository is encrypted"),
        "passphrase: {file: /etc/borgctl/passphrase}",
        "Where the passphrase comes from: a file of one line that nobody else can read, or the one line that a program "
        "prints within 60 s; of that program's words, each absolute path must be in safe hands, too. It reaches borg "
        "through a pipe. The server never learns it: who knows it can read a repokey "
        "repository, and can put one of his own in its place.",
        closed(file=_ABSOLUTE, program=_PROGRAM) | {"minProperties": 1, "maxProperties": 1},
    ),
    Key(
        *("jobs", "mapping of name to job", None),
        "jobs:\n  default: {paths: [/etc, /home]}",
        "What the server may ask for by name. A job is the admin's own, so it may use more words than a server can. "
        "See [Jobs](#jobs).",
        {"type": "object", "propertyNames": {"pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]*$", "maxLength": 64}}
        | {"additionalProperties": {"$ref": "#/$defs/job"}},
    ),
    Key(
        *("borg", "path", "/usr/bin/borg", "borg: /usr/local/bin/borg"),
        "The borg to run, of series 1.2 or 1.4. Only root or the gate's user may own or write it, the interpreter that its first line names, that Python's modules to the last file (what `.pth` files and symlinks add, too), and the directories above. A wrapper in another language is taken with `sandbox: prefer`, without Landlock; what it starts in turn is its author's.",
        _ABSOLUTE,
    ),
    Key(
        *("base", "path", "/var/lib/borgctl/NAME", "base: /var/lib/borgctl/web1"),
        "Where borg's cache, keys and security database live, and the gate's locks. One repository has one base: borg counts its nonces there. NAME is the policy's file name without "
        "`.yaml`; an ordinary user's default is `~/.local/state/borgctl/NAME`. It is made with mode 0700.",
        _ABSOLUTE,
    ),
    Key(
        *("user", "name or number", "_borgctl", "user: _borgctl"),
        "Whom borg runs as where the gate is root: a user of its own, who owns nothing. It may read every file "
        "(`CAP_DAC_READ_SEARCH`) and has no other right of root's. Where the gate is an ordinary user, borg runs as that user.",
        {"type": "string", "pattern": "^(?:[a-z_][a-z0-9_-]{0,31}|[1-9][0-9]{0,8})$"},
    ),
    Key(
        *("commands", "mapping of subcommand to {options, paths}", "{}", "commands:\n  list: {options: [json]}"),
        "What the server may spell out itself, beyond naming jobs: a subcommand, the options it may give to it (`[]` for none), and for "
        "`create` the paths that it must stay in. See [Words of a request](#words-of-a-request).",
        commands(),
    ),
    Key(
        *("environment", "{set: mapping, accept: list}", "{}", "environment: {set: {TZ: Europe/Berlin}}"),
        "Variables for borg. `set` gives them values here; `accept` names those that the server may send, whose values are "
        "checked. Everything else in borg's environment is fixed, and nothing else that the server sends is read. "
        "`BORG_PASSPHRASE` can be in neither.",
        closed(
            set={
                "type": "object",
                "properties": {name: of_kind(kind) for name, kind in sorted(SETTABLE.items())},
                "additionalProperties": False,
            },
            accept={"type": "array", "items": {"enum": sorted(ACCEPTABLE)}},
        ),
    ),
    Key(
        *("transports", "list of stdio, socket, local", "[stdio]", "transports: [stdio]"),
        "How the server may carry borg's protocol. `stdio` needs no forwarding at all and is always among them: it gives a "
        "server nothing besides. `socket` is the published scripts' way; `local` is for a server that backs itself up.",
        {"type": "array", "items": {"enum": ["stdio", "socket", "local"]}, "contains": {"const": "stdio"}},
    ),
    Key(
        *("socket", "{directory: path}", "{directory: /run/borgctl}", "socket: {directory: /run/borgctl}"),
        "Where forwarded sockets must be: a directory of the login user's with mode 0700 and no symlink on the way. "
        "An ordinary user's default is `/run/user/UID/borgctl`.",
        closed(directory=_ABSOLUTE),
    ),
    Key(
        *("published", "yes or no", "no", "published: yes"),
        "Whether the published scripts' way is understood: `BORG_SOCKET`, `BORG_REPOPATH` and an empty command, which runs "
        "the job `default`.",
        _YES_NO,
    ),
    Key(
        *("disclose", "counts or names", "counts", "disclose: names"),
        "What the server learns beyond numbers. With `counts`, names of files, command lines and local paths stay here; "
        "warnings are told by their kind, or are one of a few sentences of borg's in which no name has a place. Names of archives are told with either.",
        {"enum": ["counts", "names"]},
    ),
    Key(
        *("window", "no or duration", "no", "window: 30m"),
        "Whether the server may open a window, through which this machine's own admin uses the repository (`borgctl window`, "
        "see [restore.md](restore.md)), and the longest time that one may be open: a day at most. The server cannot use it for anything.",
        {"anyOf": [{"enum": ["no", "false", False]}, _DURATION]},
    ),
    Key(
        *("limits", "{runtime, hook, sessions, nice, ionice, memory}"),
        "{runtime: 12h, hook: 1h, sessions: 8, nice: 10, ionice: idle, memory: 8G}",
        "limits: {runtime: 4h}",
        "`runtime`: the longest time of a run with its first hooks (`90s`, `30m`, `12h`, `14d`). `hook`: the longest time of "
        "each hook. `sessions`: gates at work at once. `nice` (0 to 19) and `ionice` (idle, best-effort, none): borg's priority. "
        "`memory` (`512M`, `8G`): the address space of borg and of each process that it starts; the default has room for a backup of 30 TB. "
        "A borg that needs more ends with the reason `memory-limit`.",
        closed(
            runtime=_DURATION,
            hook=_DURATION,
            sessions=numbers(1, 100),
            nice=numbers(0, 19),
            ionice={"enum": ["idle", "best-effort", "none"]},
            memory={"type": "string", "pattern": "^[0-9]{1,5}[MGT]$"},
        ),
    ),
    Key(
        *("sandbox", "require, prefer or off", "require", "sandbox: prefer"),
        "Whether the kernel must hold borg, too: Landlock (Linux 5.13 or later) leaves it the paths of the job, its own "
        "programs and one place to write, a filter leaves it the system calls that it needs, and where the gate is root borg runs "
        "as `user`, in namespaces of its own (no network, no process but its own). `prefer` takes as much of that as there is. See [sandbox.md](sandbox.md).",
        {"enum": ["require", "prefer", "off"]},
    ),
    Key(
        *("audit", "{file: path, syslog: yes or no}", "{file: /var/log/borgctl/audit.jsonl, syslog: yes}"),
        "audit: {file: /var/log/borgctl/audit.jsonl}",
        "Where records go. Without a record on disk nothing runs. An ordinary user's default is "
        "`~/.local/state/borgctl/audit.jsonl`.",
        closed(file=_ABSOLUTE, syslog=_YES_NO),
    ),
)

_PLAIN_PATH = {"type": "string", "pattern": "^/[A-Za-z0-9_./+@=-]+$"}
_TARGET_JOB = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "kind": {"enum": ["create", "prune", "read"]},
        "deletes": {"type": ["string", "integer"], "pattern": "^(?:[0-9]{1,12}|any)$", "minimum": 0, "maximum": 10**12},
        "run": _YES_NO,
    },
    "if": {"required": ["deletes"]},
    "then": {"properties": {"kind": {"const": "prune"}}},
    "else": {"properties": {"kind": {"enum": ["create", "read"]}}},
}

TARGET = (
    Key("host", "user@host or host", "none", "host: root@web1.example.org", "The client.", {"type": "string"}),
    Key("port", "1 to 65535", "ssh's own", "port: 2222", "ssh's port.", numbers(1, 65535)),
    Key("identity", "path", "the key that 'add' made", "identity: /etc/borgpull/keys/web1", "ssh's key.", _PLAIN_PATH),
    Key(
        *("host_key", "public key", "none", "host_key: ssh-ed25519 AAAA..."),
        "The client's host key, which 'borgpull trust' writes; without it nothing is run.",
        {"type": "string"},
    ),
    Key("repository", "path", None, "repository: /srv/borg/web1", "The repository, on this machine.", _PLAIN_PATH),
    Key(
        *("jobs", "list of names, or mapping", "every job for create that the client offers", "jobs: [default]"),
        "What 'borgpull run' asks for; as a mapping, also what each job may do, see below.",
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
        _DURATION,
    ),
    Key(
        *("accept_warnings", "list of changed, vanished, unreadable", "none", "accept_warnings: [changed, vanished]"),
        "Files that borg warns of and that are all right here: told and counted, and no warning if there were no others.",
        {"type": "array", "items": {"enum": ["changed", "vanished", "unreadable"]}},
    ),
    Key(
        *("quota", "size", None, "quota: 500G"),
        "What the client may fill: a number and K, M, G, T or P, at least 10M.",
        {"type": ["string", "integer"], "pattern": r"^[0-9]{1,15}(\.[0-9]{1,3})?[KMGTP]?$"},
    ),
    Key("timeout", "duration", "12h", "timeout: 4h", "The longest time of a run; it ends both sides.", _DURATION),
    Key(
        *("transport", "stdio, socket or local", "stdio", "transport: stdio"),
        "How borg's protocol travels; the client's policy must offer it.",
        {"enum": ["stdio", "socket", "local"]},
    ),
    Key(
        *("socket_directory", "path", "/run/borgctl", "socket_directory: /run/borgctl"),
        "transport socket: the policy's socket directory on the client.",
        _PLAIN_PATH,
    ),
    Key(
        *("policy", "path", "none", "policy: /etc/borgctl/self.yaml"),
        "transport local: the policy of this machine.",
        _PLAIN_PATH,
    ),
    Key("borg", "path", "/usr/bin/borg", "borg: /usr/local/bin/borg", "This machine's borg.", _PLAIN_PATH),
)


def schema(title: str, keys: tuple[Key, ...], **more: Any) -> str:
    """Return a JSON Schema (draft 2020-12) for a file with these keys."""
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        "properties": {key.name: {"description": key.text, **key.schema} for key in keys},
        "required": [key.name for key in keys if key.default is None],
        "additionalProperties": False,
        **more,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def policy_page() -> str:
    """Return docs/policy.md."""
    parts = [
        "# The policy",
        "",
        "One YAML file for each server key, named in the key's forced command. Four keys are required; every other has the",
        "value shown. Unknown and duplicate keys, tags, anchors, aliases, a second document and text that goes on over the end",
        "of its line without quotes are errors; every scalar is read as text and then checked by its key's type. Owned by",
        "root or the gate's user, writable by nobody else, and so are the directories above it. `borgctl lint` shows all mistakes of a file, `borgctl explain` what it allows.",
        "Editors that know JSON Schema complete and check it: `# yaml-language-server: $schema=policy.schema.json` "
        "([policy.schema.json](../policy/policy.schema.json)).",
        "",
        "This page is made from the program's own tables (`make documents`).",
    ]
    for key in POLICY:
        required = "required" if key.default is None else f"default: `{key.default}`"
        parts += ["", f"## {key.name}", "", f"{key.type}; {required}.", "", key.text, "", "```yaml", key.example, "```"]
    parts += ["", *_jobs_page(), "", *_requests_page(), "", *_variables_page(), "", *_floor_page()]
    return "\n".join(parts) + "\n"


def target_page() -> str:
    """Return docs/targets.md."""
    parts = [
        "# Targets",
        "",
        "What `borgpull` knows about one client: a file `targets/NAME.yaml` in its configuration directory, which",
        "`borgpull add` makes. For root and a user called borgpull that is `/etc/borgpull`, for others",
        "`~/.config/borgpull`; locks, caches and states are in `/var/lib/borgpull` or `~/.local/state/borgpull`. Unknown keys are",
        "errors, and `borgpull targets` shows all of a file's. Schema: [target.schema.json](../policy/target.schema.json).",
        "",
        "However a `borgpull` ends, ssh and `borg serve` end with it. What one that was killed could not put in order, the",
        "next `borgpull run` does: its private directory and whatever still runs in it, the repository's lock of its dead",
        "`borg serve`, or of another dead borg of this machine, half written files. What is alive is never touched. A lock that",
        "another host has left stands until a person removes it: `borgpull unlock TARGET` says whose it is and how old, and with",
        "`--yes` removes it.",
        "",
        "| key | type | default | what it is |",
        "|---|---|---|---|",
        *(
            f"| `{key.name}` | {key.type} | {'required' if key.default is None else key.default} | {key.text} |"
            for key in TARGET
        ),
        "",
        "```yaml",
        *(key.example for key in TARGET if key.name in ("host", "host_key", "repository", "quota")),
        "```",
        "",
        "## What a job may do",
        "",
        "A guard stands between what the client sends and `borg serve`. It lets pass what this kind of session may say, and",
        "nothing else; the kind follows from the job that this server names, and from its target file, never from the client's",
        "words. A job that the file does not describe may add to the repository: it saves archives, and deletes nothing but what",
        "the same run has put there. Every other job has its line:",
        "",
        "```yaml",
        "jobs: {default: {}, prune: {deletes: 5000, run: no}, check: {kind: read, run: no}}",
        "```",
        "",
        "| key | type | default | what it is |",
        "|---|---|---|---|",
        "| `kind` | create, prune or read | create, with `deletes` prune | `create` has to leave a new archive, or the run is `nothing-committed`, whatever the client says; `read` (borg's list, info, check) can change nothing |",
        "| `deletes` | number or any | none | for a prune: how many objects it may mark deleted in one run. An archive has at least one object, and one for each piece of data that no other archive has |",
        "| `run` | yes or no | yes | `no`: run it with `--job` only. Where no job says yes, the jobs that the client offers are run, as if there were no `jobs` |",
        "",
        "Where the target has no repository yet (no such path, or an empty directory, and none is remembered), the job may begin",
        "one: that is what `borgpull run TARGET --job init` is for. No job may do so where anything is. What a client asks for",
        "beyond all that ends the run with `rpc-refused`, an alert and the method that it named; nothing of that message reaches",
        "`borg serve`. So does a client that sends more bytes than the quota leaves and 64 MiB, 200 million objects, or 10 000",
        "commits or manifests. An object that was there before the run is an old one also where the run has put it again. `run",
        "--json` and the state tell what a run did to the repository by the guard's count (`passed`): `puts`, `put_bytes`,",
        "`overwrites` (puts over old objects, the manifest aside), `deletes`, `commits`, `manifests`, `committed_manifests`,",
        "`keys`, `bytes`, `messages`, and `cut` where the client stopped in the middle of a message. Of a prune, `pruned` is the",
        "client's own word: how many archives it `kept` and how many it `marked`. `listed` (`run --json`) is what borg lists where",
        "the client discloses names and the job says `list`.",
        "",
        "## Every night",
        "",
        "`borgpull run --all` runs one target after the other and writes what it does to stderr. As a systemd timer, in",
        "`/etc/systemd/system/borgpull.service` (without `User=` where the server is root):",
        "",
        "```ini",
        "[Unit]",
        "Wants=network-online.target",
        "After=network-online.target",
        "[Service]",
        "Type=oneshot",
        "User=borgpull",
        "ExecStart=/opt/borgctl/bin/borgpull run --all",
        "SuccessExitStatus=1",
        "KillMode=mixed",
        "```",
        "",
        "and in `/etc/systemd/system/borgpull.timer`:",
        "",
        "```ini",
        "[Timer]",
        "OnCalendar=02:30",
        "RandomizedDelaySec=15m",
        "Persistent=true",
        "[Install]",
        "WantedBy=timers.target",
        "```",
        "",
        "then `systemctl daemon-reload && systemctl enable --now borgpull.timer`; `journalctl -u borgpull` has what it said. Or with",
        "cron, in `/etc/cron.d/borgpull`, so that only a bad night sends mail, with what `borgpull status` says of it:",
        "",
        "    PATH=/opt/borgctl/bin:/usr/bin:/bin",
        "    MAILTO=root",
        "    30 2 * * * borgpull borgpull run --all 2>/dev/null || borgpull status",
        "",
        "A target that another `borgpull` is still running, or holds a window open for, is `busy`, which counts as failed and is",
        "tried again by the next call only. Neither of the two notices a server",
        "that is not there any more: let something else ask `borgpull status --nagios`, and `borgctl status` on the clients.",
        "",
        "## Status and alerts",
        "",
        "`borgpull status` reads the target files and what the launcher remembers (`STATE/NAME/state.json`), and asks nobody. It",
        "judges the jobs that the target file names, or where it names none those that have made archives; and each other job",
        "that has ever gone well, `init` aside (`seen`: shown until another job has run); and the last attempt, if it reached no job, since",
        "the client could not be reached or refused `hello`. Exit status 0: all well, 1: a last run or attempt failed or had",
        "warnings, or a target is new, 2: overdue, never run in the time that `expect` gives (from when the target was made), a",
        "target file that is wrong, or an alert. A target file without `expect` is judged by 26h, and status says so. `--json`",
        "prints one object for each target, `--nagios` one line with ages. A good run that is in the future, by a clock that was",
        "set back since, counts as overdue.",
        "",
        "What goes on stands beside the last result (`running for 39 s`; `running` in `--json`), and a run whose launcher was",
        "killed is a failed one, `broken-off`: `status` says so at once, and the next run once more. `borgctl status` on the client",
        "says the same of a gate that is at work, or was killed.",
        "",
        "Of a run that failed it tells our reason, borg's name of its message or what ssh failed by, and for how long no run has",
        "gone well: `last run failed (StorageQuotaExceeded), failing for 2 d 3 h`. What may be an attack is critical, and looks",
        "different from a full disk: `POSSIBLE ATTACK`, and `possible_attack` in `--json`. That is so of a replayed or replaced",
        "repository, another host key or repository key, what the guard refused, an audit log that does not go on",
        "(`borgctl/pull/report/suspicion.py`): find out what it was before you accept, compact or replace anything.",
        "",
        "Files that change or vanish while they are read are warnings night after night: `accept_warnings` in the target file says",
        "which kinds are all right there. The report and `warnings` of `run --json` tell their numbers as before, the run is `ok`",
        "(`accepted-warnings`), and one warning of another kind makes it a warning. The numbers are the client's word.",
        "",
        "A slip of the hand is no failed backup: `--job` with a job that is none, or a window that was refused, leave no mark here.",
        "Nor does what a person spells out (`borgpull borg TARGET -- list ::NAME`, where the client's policy has `commands`).",
        "",
        "A job that the client offers no more leaves by itself, once the client says so (`hello`, where the target file names no",
        "jobs, or `unknown-job`, where a person named it); if it ever went well that is an alert. One that the target file listed",
        "and lists no more leaves as well, without an alert. `borgpull forget TARGET --job JOB` takes any job out. Of 200 jobs the",
        "oldest that never went well makes room for a new one; a job in the target file always stays. `borgpull rename OLD NEW` gives",
        "a target another name, with its key, alerts and all that is known of it; the repository and the client stay as they are.",
        "",
        "An alert stands until a person has looked and says `borgpull accept TARGET --reason TEXT`, which is kept in the state.",
        "Until then backups go on, and `borgpull compact` is refused (`alert-stands`): what was deleted can be",
        "[brought back](going-back.md) as long as nobody compacts.",
        "",
        "| alert | what happened | what to do |",
        "|---|---|---|",
        "| `audit-broken` | what the client shows of its audit log does not lead from the record that was seen last to the newest one; the head that is kept stays until you accept this | on the client, `borgctl audit verify --head` with the head that the alert names; was it restored from a backup, were older parts removed? |",
        "| `rpc-refused` | the client's borg was asked for something that this job, or window, may not do; the alert has the method, the kind of session and the rule | the run's hint says what to do where a client can mean well (a prune that the target file does not describe, a window without `--allow`); else the client speaks borg's protocol with something that borgctl did not start: treat it as hostile, do not compact, look at the repository |",
        "| `repository-damaged` | the client's borg found objects of the repository damaged or missing: the alert has the first lines | [repair.md](repair.md): copy the repository before anything else |",
        "| `nothing-backed-up` | a run has saved no file where the last good one had some, as with a disk that is not mounted: the run has failed | look at the client; if it is empty on purpose, accept it |",
        "| `objects-overwritten` | the client put objects again that earlier runs had put, as a borg seldom does (after an interrupted prune, or a repair): what they were lies in the repository until it is compacted | do not compact; restore a few files of old archives, then accept it; else treat the client as hostile |",
        "| `config-changed` | the repository's `config`, which holds its key where the mode is a repokey, is another than after the last run, and was not changed in a window for that (`--allow passphrase`); or it was, and the client's borg has failed since | who wrote to the repository? `borgpull copies TARGET` has the config of before |",
        "| `repository-changed` | somebody else than this `borgpull` has written to the repository since its last session, has deleted archives or gone back, or the disk has lost a file | a `borg` command by hand does it: accept that; else [going-back.md](going-back.md), before you compact |",
        "| `audit-silent` | the client ends runs well and says nothing about its log any more, or nothing that proves anything | is a gate of another release installed there? |",
        "| `repository-gone` | the repository was there before and its `config` is not: nothing was started | is its disk mounted? a `config` that is lost: see below |",
        "| `repository-replaced` | the repository has another id than the one that is known, or none: nothing was started | what is mounted there, who put it there? see below |",
        "| `job-withdrawn` | the client no longer offers a job that went well before (or it made room for another): status tells no more of it | ask the client's admin; name jobs that have to run in `jobs` |",
        "| `state-lost` | the state could not be read; it lies beside as `state.json.broken`, and what was remembered begins anew | look at the disk |",
        "| `state-unwritable` | the run was made, and could not be remembered (told with the run only) | make room |",
        "",
        "## The repository, and copies of its small files",
        "",
        "The state keeps the repository's id from the first time that it is there, and says so once. From then on a run, a window and",
        "a compact look at it first: where it is gone or another one, nothing is started, the run has failed, and it is an alert;",
        "`borgpull test` and `borgpull status` say the same. The job `init` is refused where a repository is known",
        "(`repository-known`). `borgpull accept` takes the alert away and does not take the other repository. To begin anew on purpose:",
        "`borgpull forget TARGET --repository`; what is there at the next run is the target's then, or `--job init` makes one.",
        "",
        "`config` holds the repository's id and, with a repokey, its only key; `nonce` is the counter that keeps borg from encrypting",
        "two texts alike. Before and after each session and compact both are copied if they have changed: `STATE/NAME/copies`, mode",
        "0600, the last ten of each and the first config. A config of more than 1 MiB, which only a hostile client makes, is not copied,",
        "and the run says so. `borgpull copies TARGET` lists them with their times and hashes; `borgpull copies TARGET --put-back N`",
        "writes one into its place: under the target's lock, only where no borg uses the repository, whole or not at all, and what was",
        "there becomes a copy. A config of another repository is refused, and a nonce lower than one that was used.",
        "",
        "## A disk that is full",
        "",
        "borg needs room to free room. So `init` has a twentieth of the disk, 2 GB at most, kept free",
        "(`additional_free_space` in the repository's config; the run says how much): a backup commits nothing below that, and a",
        "prune and `borgpull compact` may use it. Before a run that would write, and each second while it does, the launcher looks:",
        "`server-full` is a run that was not started, or was ended before the disk had nothing left. What it had sent and not",
        "committed is removed by the next run that needs the room. Then `borgpull compact TARGET`, after a prune if nothing is",
        "marked yet; or move something else away. A repository that another program made has no reserve:",
        "`borg config /srv/borg/web1 additional_free_space 2G` gives it one, and is no alert.",
    ]
    return "\n".join(parts) + "\n"


def _jobs_page() -> list[str]:
    lines = [
        *("## Jobs", ""),
        "| key | type | default | what it is |",
        "|---|---|---|---|",
        f"| `command` | {', '.join(COMMANDS)} | create | borg's subcommand |",
        "| `paths` | list of absolute paths | required for create | what to back up; `/proc`, `/sys`, `/dev` are refused (but for a "
        "block device with `read-special`), and what is in them and in `/run` is left out of `/` |",
        "| `archive` | text with placeholders | `{hostname}-{job}-{now}` | create: the archive's name |",
        "| `exclude` | list of patterns | none | create: short for the option `exclude` |",
        "| `options` | mapping | none | options of the subcommand, as below; a flag is yes or no |",
        "| `before` | list of programs, each a list | none | run first, as the gate's user; if one fails, borg is not run |",
        "| `after` | list of programs, each a list | none | run last, always, each for `limits: hook` at most |",
        "",
        "Placeholders are the gate's own: `{hostname}`, `{job}`, `{now}`, `{now:%Y-%m-%d}`; braces mean nothing else. Hooks",
        "see `BORGCTL_JOB`, `BORGCTL_RUN` and, after borg, `BORGCTL_OUTCOME`.",
        "",
        "A hook's program and the interpreter of its script must be root's or the gate's user's, or it is not run. Each absolute",
        "path among its words is held to the same rule by `borgctl lint`, as an error: what another user can write there, the",
        "hook would read, run or overwrite with the gate's rights. The gate runs such a hook all the same. Where it has to work",
        "with another user's files, put that into a script of root's.",
        "",
        "A hook that fails ends the run as `hook-failed`; the record's `hooks` says which it was and why (status, signal, or what",
        "kept it from being started), and `said` what it printed last: `borgctl audit show --run ID`. A hook's `PATH` is",
        "`/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`.",
        "",
        "A service that is stopped for the backup is started again in `after`, which runs whatever became of the backup. With",
        "systemd:",
        "",
        "```yaml",
        "jobs:",
        "  default:",
        "    paths: [/etc, /var/lib/app]",
        "    before: [[/usr/bin/systemctl, stop, app]]",
        "    after: [[/usr/bin/systemctl, start, app]]",
        "```",
        "",
        "Where the copy is quick, the service need not wait for the backup:",
        "",
        "```yaml",
        "    before:",
        "      - [/usr/bin/systemctl, stop, app]",
        "      - [/usr/bin/cp, -a, --reflink=auto, /var/lib/app, /var/backups/app]",
        "      - [/usr/bin/systemctl, start, app]",
        "    after: [[/usr/bin/systemctl, start, app], [/usr/bin/rm, -rf, /var/backups/app]]",
        "```",
        "",
        "(The start in `after` is for a copy that failed.) Without systemd, use the service's own commands, which make a daemon of",
        "it: `[/usr/sbin/service, app, start]`, or `[/usr/sbin/runuser, -u, postgres, --, /usr/lib/postgresql/15/bin/pg_ctl, -w, -D,",
        "/var/lib/postgresql/15/main, -l, /var/log/postgresql/pg.log, start]`. A daemon (what has made a session of its own,",
        "setsid(2)) lives on after the run. What a hook leaves in its own session, such as a job that a shell was given with `&`,",
        "is ended half a second after it (TERM, then KILL), and the record says what it was. What a hook prints goes through pipes that",
        "end with it, so a daemon must write to a file of its own (`-l`, or `>/var/log/app.log 2>&1`).",
        "",
        "Files for `exclude-from` and `patterns-from` are held to the rule of the policy itself: regular, at most 1 MiB, owned by",
        "root or the gate's user, in directories that nobody else can write. A hook may make them; they are looked at before and",
        "after it.",
        "",
        "`dry-run` for `create` lists what would be saved: borg does not open the repository, the gate counts, and with",
        "`disclose: names` and `list` the list goes to the server. It counts as no backup: the reason is `dry-run`, on either side.",
        "",
        "`one-file-system` keeps borg in the file system of each path: what is mounted below is left out, and only the directory is",
        "saved. `borgctl lint`, `doctor` and `explain` name what that is now, `borgpull test` counts it, and each run's exit record has",
        "it in `skipped` (for the server: the number). Name it in `paths` to save it, or in `exclude` if it is meant. Without that",
        "option a backup of `/` has all that is mounted, but for what is in `/proc`, `/sys`, `/dev` and `/run`, unless a path of the",
        "job is there. btrfs subvolumes that are not mounted themselves are left out by borg, and seen by nobody here.",
        "",
        "With `read-special` a job may name a block device below `/dev` (`/dev/vg/lv`), or a symlink that leads to one and that no other",
        "user can change: what is on it is saved as a file. The sandbox lets borg read that device and no other, also none that a",
        "symlink further down leads to. A hook may make it (an LVM snapshot). borg also waits at named pipes then: what writes into",
        "one has to be started by a hook `before`, in the background and in a session of its own, which does not end with the hook",
        "(`[/usr/bin/setsid, --fork, /bin/sh, -c, 'PROGRAM >PIPE']`); after a minute without a writer the run ends with the reason",
        "`pipe-without-writer`, and the exit record's `reading` names the pipe.",
        "",
        "A sparse file (a disk image, or one that a user made to be in the way) is read at its full size: borg 1.2 and 1.4 have",
        'no limit for sizes. `sparse: yes` with `chunker-params: "fixed,4194304"` skips its holes (20 GB of them took 2 to 3 s',
        "instead of 37 to 40 s), at the price that what moves within a file is saved anew; so keep such files in a job of their own, or",
        "leave them out with `exclude`. Where a run is ended before borg was done, the exit record's `reading` names the file that borg",
        "was at.",
        "",
        "Options of a job, by subcommand:",
    ]
    for command in COMMANDS.values():
        lines += ["", f"### {command.name}", "", "| option | value | a server may ask for it |", "|---|---|---|"]
        for name, option in sorted(command.options.items()):
            asked = (
                "no" if option.request is None else "yes" if option.request is option.job else option.request.expected
            )
            since = f" (borg {option.since} or later)" if option.since != "1.2" else ""
            many = ", or a list" if option.repeats else ""
            lines.append(f"| `{name}` | {_cell(option.job.expected)}{many}{since} | {_cell(asked)} |")
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _requests_page() -> list[str]:
    return [
        *("## Words of a request", ""),
        "With `commands`, a server may spell out `borg SUBCOMMAND …`. It may give an option only if it is listed under",
        "`options` there, and only options marked in the tables above; `create` takes paths inside `paths`, by components,",
        "and no symlink may stand on the way to them. Archives are written `::NAME`. Patterns of a request have no `re:`",
        "and at most three stars, since others can hang borg.",
    ]


def _variables_page() -> list[str]:
    lines = ["## Variables", "", "| variable | value | may be accepted from a server |", "|---|---|---|"]
    for name, kind in sorted(SETTABLE.items()):
        lines.append(f"| `{name}` | {_cell(kind.expected)} | {'yes' if name in ACCEPTABLE else 'no'} |")
    return lines


def _floor_page() -> list[str]:
    lines = [
        *("## The floor", ""),
        "What no policy can allow, in a job or in a request, and why:",
        *("", "| option | why |", "|---|---|"),
        *(f"| `{name}` | {why} |" for name, why in sorted(forbidden.OPTIONS.items())),
        *("", "| subcommand | why |", "|---|---|"),
        *(f"| `{name}` | {why} |" for name, why in sorted(forbidden.COMMANDS.items())),
    ]
    return [line[0].upper() + line[1:] if line and line[0].islower() else line for line in lines]


def reasons_page() -> str:
    """Return docs/reasons.md."""
    rows = [
        f"| `{reason.code}` | {reason.status} | {reason.outcome} | {'yes' if reason.retry else 'no'} | {reason.advice} |"
        for reason in REASONS.values()
    ]
    launcher = [f"| `{code}` | {advice} |" for code, advice in ADVICE.items()]
    head = [
        *("# Reasons", ""),
        "Why a request ended other than well: the code in the gate's `exit` line and record, the exit status, the outcome,",
        "whether the very same request may succeed later, and what to do. Made from the table in `borgctl/errors.py`.",
        *("", "| reason | status | outcome | retry | what to do |", "|---|---|---|---|---|"),
    ]
    between = [
        *("", "## The launcher's own", ""),
        "What `borgpull` finds by itself: the `reason` of its report (`run --json`) where the `origin` is `launcher`, `ssh`,",
        "`serve` or `guard`. `rpc-refused` is an alert as well, and stands [among these](targets.md#status-and-alerts). Made",
        "from the table in `borgctl/pull/report/outcome.py`.",
        *("", "| reason | what to do |", "|---|---|"),
    ]
    return "\n".join([*head, *rows, *between, *launcher, ""])


def pages() -> dict[str, str]:
    """Return every generated file's content by its path below the top."""
    return {
        "policy/policy.schema.json": schema("A policy of borgctl", POLICY, **{"$defs": {"job": job()}}),
        "policy/target.schema.json": schema("A target of borgpull", TARGET),
        "docs/policy.md": policy_page(),
        "docs/targets.md": target_page(),
        "docs/reasons.md": reasons_page(),
        "docs/guards.md": guards.page(),
        "SECURITY.md": guards.linked((TOP / "SECURITY.md").read_text()),
    }


def main() -> None:
    """Write them all."""
    for name, text in pages().items():
        (TOP / name).write_text(text)
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main()
