"""What each key of a policy takes: its type, its bounds and its default.

It reads the values from the YAML tree; jobs and commands are in `jobs`, the whole file in `load`.

    >>> longest_window("30m")
    1800
"""

import os
import re
from collections.abc import Mapping

from borgctl.borg.variables import ACCEPTABLE, SETTABLE
from borgctl.errors import BadValue
from borgctl.node_reader import NodeReader
from borgctl.policy import jobs as policy_jobs
from borgctl.policy import locations
from borgctl.policy.model import AuditSettings, Environment, Limits, Passphrase, Repository
from borgctl.policy.placeholders import SAMPLE, Template
from borgctl.strict_yaml import Node
from borgctl.values import RepositoryPath, boolean, choice, duration, integer, memory

KEYS = (
    *("version", "repositories", "passphrase", "jobs", "borg", "base", "user", "commands", "environment", "transports"),
    *("socket", "published", "disclose", "window", "limits", "sandbox", "audit"),
)
REQUIRED = ("version", "repositories", "jobs")


def user(text: str) -> str:
    """Read the name or number of a user other than root."""
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}|[1-9][0-9]{0,8}", text) or text == "root":
        raise BadValue(f"bad user {text!r}: expected the name or number of a user other than root")
    return text


def absolute_path(text: str) -> str:
    """Read an absolute, normal path of at most 4000 characters."""
    if len(text) > 4000 or not re.fullmatch(r"/[^\x00-\x1f\x7f]+", text) or os.path.normpath(text) != text:
        raise BadValue(f"bad path {text!r}: expected an absolute path without '.', '..' and '//'")
    return text


def path_of(reader: NodeReader, fields: Mapping[str, Node], key: str, default: str) -> str:
    """Read the absolute path at this key."""
    return reader.scalar(fields[key], absolute_path, default) if key in fields else default


def one_of(reader: NodeReader, fields: Mapping[str, Node], key: str, choices: tuple[str, ...]) -> str:
    """Read one of the choices; the first is the default."""
    return reader.scalar(fields.get(key, Node(1, 1, choices[0])), lambda text: choice(text, choices), choices[0])


def longest_window(text: str) -> int:
    """Read 'no' as 0, or the longest time of a restore window in seconds: a day at most, as a person must be there."""
    seconds = 0 if text in ("no", "false") else duration(text)
    if seconds > 86400:
        raise BadValue(f"bad time {text!r}: a window is open for a day (24h) at most")
    return seconds


def repositories(reader: NodeReader, node: Node) -> tuple[Repository, ...]:
    """Read the repositories and whether each must be encrypted."""
    entries = []
    for key, value in reader.entries(node):
        fields = reader.fields(value, ("encryption",), ("encryption",))
        encryption = one_of(reader, fields, "encryption", ("required", "none"))
        template = reader.scalar(key, repository_template, Template(""))
        entries.append(Repository(template, encryption == "required", key.line))
    if node.pairs == ():
        reader.add(node, "expected at least one repository")
    return tuple(entries)


def repository_template(text: str) -> Template:
    """Read a repository's path, which may contain {hostname}."""
    RepositoryPath(Template(text).expand(SAMPLE))
    if re.search(r"\{(?:job|now)", text):
        raise BadValue(f"bad repository path {text!r}: it may contain {{hostname}} only")
    return Template(text)


def passphrase(reader: NodeReader, node: Node) -> Passphrase:
    """Read where the passphrase comes from: a file or a program."""
    fields = reader.fields(node, ("file", "program"))
    if len(fields) != 1:
        reader.add(node, "expected either {file: PATH} or {program: [PROGRAM, ARGUMENT…]}")
    file = path_of(reader, fields, "file", "") or None
    return Passphrase(file, policy_jobs.program(reader, fields["program"]) if "program" in fields else ())


def environment(reader: NodeReader, node: Node) -> Environment:
    """Read the variables that the policy sets, and the names of those that it accepts."""
    fields = reader.fields(node, ("set", "accept"))
    variables = []
    for key, value in reader.entries(fields["set"]) if "set" in fields else ():
        name = reader.scalar(key, lambda text: choice(text, tuple(SETTABLE)), None)
        if name:
            variables.append((name, reader.scalar(value, SETTABLE[name].check, "")))
    accept = reader.items(fields["accept"], lambda text: choice(text, tuple(ACCEPTABLE))) if "accept" in fields else ()
    return Environment(tuple(variables), frozenset(accept))


def transports(reader: NodeReader, node: Node | None) -> frozenset[str]:
    """Read the transports, which must include the default, stdio."""
    if node is None:
        return frozenset(("stdio",))
    offered = reader.items(node, lambda text: choice(text, ("stdio", "socket", "local")))
    if isinstance(node.value, tuple) and node.pairs is None and "stdio" not in offered:
        # it is the default, so a lost line would add it; and it gives a server nothing more
        reader.add(node, "expected a list with 'stdio' in it, like [stdio, socket]")
    return frozenset(offered)


def limits(reader: NodeReader, node: Node) -> Limits:
    """Read the limits of a run and of its hooks."""
    fields = reader.fields(node, ("runtime", "hook", "sessions", "nice", "ionice", "memory"))
    default = Limits()

    def number(key: str, low: int, high: int, standard: int) -> int:
        return reader.scalar(
            fields.get(key, Node(1, 1, str(standard))), lambda text: integer(text, low, high), standard
        )

    return Limits(
        runtime=reader.scalar(fields["runtime"], duration, 1) if "runtime" in fields else default.runtime,
        hook=reader.scalar(fields["hook"], duration, 1) if "hook" in fields else default.hook,
        sessions=number("sessions", 1, 100, default.sessions),
        nice=number("nice", 0, 19, default.nice),
        ionice=one_of(reader, fields, "ionice", ("idle", "best-effort", "none")),
        memory=reader.scalar(fields["memory"], memory, default.memory) if "memory" in fields else default.memory,
    )


def audit(reader: NodeReader, node: Node | None) -> AuditSettings:
    """Read where records go."""
    fields = reader.fields(node, ("file", "syslog")) if node else {}
    syslog = reader.scalar(fields.get("syslog", Node(1, 1, "yes")), boolean, True)
    return AuditSettings(path_of(reader, fields, "file", locations.default_log()), syslog)
