"""The keys of a policy: form, default, example, purpose and schema of each.

Docs and schema are made from this table. A test compares its keys and defaults with those that `borgctl.policy` reads.
"""

from schemas import ABSOLUTE, DURATION, PROGRAM, REPOSITORY, YES_NO, Key, closed, commands, numbers, of_kind

from borgctl.borg.variables import ACCEPTABLE, SETTABLE

POLICY = (
    Key(
        *("version", "1", None, "version: 1"),
        "The version of this language, so that no later version can misread a file.",
        {"enum": ["1", 1]},
    ),
    Key(
        *("repositories", "mapping of path to {encryption: required or none}", None),
        "repositories:\n  /srv/borg/{hostname}: {encryption: required}",
        "The repositories on the server that requests may use, by absolute path; `{hostname}` is this host's "
        "name. `required` admits repokey and keyfile modes only. With `none` or `authenticated` the server can "
        "read the data, so the policy must say `none`.",
        {"type": "object", "minProperties": 1, "additionalProperties": REPOSITORY},
    ),
    Key(
        *("passphrase", "{file: path} or {program: list}", "none, where no repository is encrypted"),
        "passphrase: {file: /etc/borgctl/passphrase}",
        "Where the passphrase comes from: a file of one line that nobody else can read, or one line that a "
        "program prints within 60 s. Each absolute path among the program's words must be safe, too: only root or "
        "the gate's user may own or write it. The passphrase reaches borg through a pipe. The server never learns "
        "it. Whoever knows it can read a repokey repository, and can put one of their own in its place.",
        closed(file=ABSOLUTE, program=PROGRAM) | {"minProperties": 1, "maxProperties": 1},
    ),
    Key(
        *("jobs", "mapping of name to job", None),
        "jobs:\n  default: {paths: [/etc, /home]}",
        "What the server may start by name. A job is the admin's own, so it may use more options than a server "
        "can. See [Jobs](#jobs).",
        {"type": "object", "propertyNames": {"pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]*$", "maxLength": 64}}
        | {"additionalProperties": {"$ref": "#/$defs/job"}},
    ),
    Key(
        *("borg", "path", "/usr/bin/borg", "borg: /usr/local/bin/borg"),
        "The borg to run, of series 1.2 or 1.4. Only root or the gate's user may own or write it and the "
        "directories above. The same holds for the interpreter that its first line names. It also holds for all "
        "modules of that Python, with those that `.pth` files and symlinks add. A wrapper in another language "
        "needs `sandbox: prefer`, and runs without Landlock. What it starts in turn, nobody checks but its "
        "author.",
        ABSOLUTE,
    ),
    Key(
        *("base", "path", "/var/lib/borgctl/NAME", "base: /var/lib/borgctl/web1"),
        "Where borg's cache, keys and security database are, and the gate's locks; its mode is 0700. One "
        "repository has one base: borg counts its nonces there. NAME is the policy's file name without `.yaml`. "
        "An ordinary user's default is `~/.local/state/borgctl/NAME`.",
        ABSOLUTE,
    ),
    Key(
        *("user", "name or number", "_borgctl", "user: _borgctl"),
        "The user that borg runs as if the gate is root: one of its own, who owns nothing. It may read every file "
        "(`CAP_DAC_READ_SEARCH`) and leave access times as they are (`CAP_FOWNER`), and has no other right of root's. If the gate is an ordinary user, borg runs as "
        "that user.",
        {"type": "string", "pattern": "^(?:[a-z_][a-z0-9_-]{0,31}|[1-9][0-9]{0,8})$"},
    ),
    Key(
        *("commands", "mapping of subcommand to {options, paths}", "{}", "commands:\n  list: {options: [json]}"),
        "What the server may spell out itself, besides the jobs: a subcommand and the options that it may give (`[]` "
        "for none). For `create`, also the paths that it must stay inside. See [Words of a "
        "request](#words-of-a-request).",
        commands(),
    ),
    Key(
        *("environment", "{set: mapping, accept: list}", "{}", "environment: {set: {TZ: Europe/Berlin}}"),
        "Variables for borg. `set` gives them values here. `accept` names those that the server may send; the "
        "gate checks their values. Everything else in borg's environment is fixed, and the gate reads nothing "
        "else that the server sends. `BORG_PASSPHRASE` can be in neither.",
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
        "How the server may carry borg's protocol. `stdio` needs no forwarding and gives a server nothing more, "
        "so the list always has it. `socket` is the published scripts' way. `local` is for a server that backs "
        "itself up.",
        {"type": "array", "items": {"enum": ["stdio", "socket", "local"]}, "contains": {"const": "stdio"}},
    ),
    Key(
        *("socket", "{directory: path}", "{directory: /run/borgctl}", "socket: {directory: /run/borgctl}"),
        "Where forwarded sockets must be: a directory of the login user's, with mode 0700 and no symlink on the "
        "way. An ordinary user's default is `/run/user/UID/borgctl`.",
        closed(directory=ABSOLUTE),
    ),
    Key(
        *("published", "yes or no", "no", "published: yes"),
        "Whether the gate understands the published scripts: `BORG_SOCKET`, `BORG_REPOPATH` and an empty command, "
        "which runs the job `default`.",
        YES_NO,
    ),
    Key(
        *("disclose", "counts or names", "counts", "disclose: names"),
        "What the server learns beyond numbers. With `counts`, names of files, command lines and local paths stay "
        "here. The server learns a warning's kind, or one of a few sentences of borg's that have no place for a "
        "name. It learns names of archives with either.",
        {"enum": ["counts", "names"]},
    ),
    Key(
        *("window", "no or duration", "no", "window: 30m"),
        "Whether the server may open a *restore window*, and how long one may be: a day at most. In a window this "
        "machine's own admin uses the repository (`borgctl window`, see [restore.md](restore.md)). The server "
        "cannot use it for anything.",
        {"anyOf": [{"enum": ["no", "false", False]}, DURATION]},
    ),
    Key(
        *("limits", "{runtime, hook, sessions, nice, ionice, memory}"),
        "{runtime: 12h, hook: 1h, sessions: 8, nice: 10, ionice: idle, memory: 8G}",
        "limits: {runtime: 4h}",
        "`runtime`: the longest time of a run with its first hooks (`90s`, `30m`, `12h`, `14d`). `hook`: the "
        "longest time of each hook. `sessions`: how many gates may work at once. `nice` (0 to 19) and `ionice` "
        "(idle, best-effort, none): borg's priority. `memory` (`512M`, `8G`): the address space of borg and of "
        "each process that it starts. The default has room for a backup of 30 TB. A borg that needs more ends "
        "with the reason `memory-limit`.",
        closed(
            runtime=DURATION,
            hook=DURATION,
            sessions=numbers(1, 100),
            nice=numbers(0, 19),
            ionice={"enum": ["idle", "best-effort", "none"]},
            memory={"type": "string", "pattern": "^[0-9]{1,5}[MGT]$"},
        ),
    ),
    Key(
        *("sandbox", "require, prefer or off", "require", "sandbox: prefer"),
        "Whether the kernel must confine borg, too. Landlock (Linux 5.13 or later) leaves it the paths of the "
        "job, its own programs and one place to write. A filter leaves it the system calls that it needs. If the "
        "gate is root, borg runs as `user`, in namespaces of its own: no network, no process but its own. "
        "`prefer` takes as much of that as there is. See [sandbox.md](sandbox.md).",
        {"enum": ["require", "prefer", "off"]},
    ),
    Key(
        *("audit", "{file: path, syslog: yes or no}", "{file: /var/log/borgctl/audit.jsonl, syslog: yes}"),
        "audit: {file: /var/log/borgctl/audit.jsonl}",
        "Where records go. Without a record on disk nothing runs. An ordinary user's default is "
        "`~/.local/state/borgctl/audit.jsonl`.",
        closed(file=ABSOLUTE, syslog=YES_NO),
    ),
)
