"""Targets: what the launcher knows about one client, one YAML file each.

Reading reports all mistakes of a file at once, as `file:line:column: text`. Nothing here starts a program.

    target = load(folders, TargetName("web1"))          target.repository          target.jobs
"""

import os
import re
from collections.abc import Callable
from typing import TypeVar

from borgctl import strict_yaml
from borgctl.borg.warning_kinds import CHANGED, UNREADABLE, VANISHED
from borgctl.data_class import dataclass
from borgctl.errors import BadValue
from borgctl.node_reader import NodeReader
from borgctl.openssh_key import HostKey
from borgctl.pull.targets import jobs as targets_jobs
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.jobs import TargetJob
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.strict_yaml import Problem, Problems
from borgctl.values import JobName, RepositoryPath, SocketPath, choice, duration, integer

KEYS = (
    *("host", "port", "identity", "host_key", "repository", "jobs", "expect", "accept_warnings", "quota", "timeout"),
    *("transport", "socket_directory", "policy", "borg"),
)
ACCEPTABLE = (CHANGED, VANISHED, UNREADABLE)  # a person has to read warnings of an unknown kind
TRANSPORTS = ("stdio", "socket", "local")

EXPECT = 26 * 3600  # seconds: a day, and two hours of delay

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """One client: `host` and `policy` may be None as `transport` has it, `described` are the jobs that its file names.

    `timeout` and `expect` are seconds; `expect_said`: the file has `expect`, so it is not our default.
    `accept_warnings` are kinds of borg's warnings that are shown, and leave a run good.
    """

    name: TargetName
    host: str | None
    port: int | None
    identity: str
    host_key: HostKey | None
    repository: RepositoryPath
    described: tuple[TargetJob, ...]
    quota: str
    timeout: int
    expect: int
    expect_said: bool
    accept_warnings: tuple[str, ...]
    transport: str
    socket_directory: str
    policy: str | None
    borg: str

    @property
    def jobs(self) -> tuple[JobName, ...] | None:
        """Return the jobs to run if the command line names none; None for those that `hello` offers."""
        return tuple(job.name for job in self.described if job.run) or None

    def job(self, name: JobName) -> TargetJob:
        """Return a job as the file describes it; a job that the file does not name may add to the repository."""
        return next((job for job in self.described if job.name == name), TargetJob(name))


def load(folders: Folders, name: TargetName) -> Target:
    """Read the file of one target; raise PullError that names every mistake in it."""
    path = folders.target(name)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(strict_yaml.LARGEST + 1)
    except FileNotFoundError:
        raise PullError(f"no target {str(name)!r} ({path})", f"make it with: borgpull add {name} HOST") from None
    except OSError as error:
        raise PullError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise PullError(f"{path}:1:1: not UTF-8") from None
    try:
        return read(text, name, folders)
    except Problems as problems:
        raise PullError("\n".join(f"{path}:{problem}" for problem in problems.all)) from None


def names(folders: Folders) -> tuple[str, ...]:
    """Return the names of all target files, sorted, also of those with mistakes."""
    try:
        files = os.listdir(folders.targets)
    except FileNotFoundError:
        return ()
    return tuple(
        sorted(file.removesuffix(".yaml") for file in files if file.endswith(".yaml") and not file.startswith("."))
    )


def read(text: str, name: TargetName, folders: Folders) -> Target:
    """Read a target from its text; raise `Problems` with all of its mistakes."""
    notes, root = NodeReader(), strict_yaml.parse(text)
    fields = notes.fields(root, KEYS, required=("repository", "quota"))

    def value(key: str, reader: Callable[[str], T], default: T) -> T:
        return notes.scalar(fields[key], reader, default) if key in fields else default

    transport = value("transport", lambda word: choice(word, TRANSPORTS), "stdio")
    target = Target(
        name=name,
        host=value("host", host, None),
        port=value("port", lambda word: integer(word, 1, 65535), None),
        identity=value("identity", plain_path, folders.identity(name)),
        host_key=value("host_key", HostKey.read, None),
        repository=value("repository", RepositoryPath, RepositoryPath("/-")),
        described=targets_jobs.read(notes, fields["jobs"]) if "jobs" in fields else (),
        quota=value("quota", quota, ""),
        timeout=value("timeout", duration, 12 * 3600),
        expect=value("expect", duration, EXPECT),
        expect_said="expect" in fields,
        accept_warnings=_kinds(notes, fields["accept_warnings"]) if "accept_warnings" in fields else (),
        transport=transport,
        socket_directory=value("socket_directory", lambda word: SocketPath(word).text, "/run/borgctl"),
        policy=value("policy", plain_path, None),
        borg=value("borg", plain_path, "/usr/bin/borg"),
    )
    _check_transport(notes, root, fields, transport)
    notes.finish()
    return target


def _kinds(notes: NodeReader, node: strict_yaml.Node) -> tuple[str, ...]:
    return notes.items(node, lambda word: choice(word, ACCEPTABLE))


def _check_transport(
    notes: NodeReader, root: strict_yaml.Node, fields: dict[str, strict_yaml.Node], transport: str
) -> None:
    """Note each missing key that the transport needs, and each key that means nothing to it."""
    needed = "policy" if transport == "local" else "host"
    if needed not in fields and root.pairs is not None:
        notes.problems.append(Problem(root.line, root.column, f"missing key {needed!r} (transport is {transport!r})"))
    foreign = {
        "stdio": ("policy", "socket_directory"),
        "socket": ("policy",),
        "local": ("host", "port", "identity", "host_key", "socket_directory"),
    }
    for key in foreign[transport]:
        if key in fields:
            notes.add(fields[key], f"key {key!r} means nothing with transport {transport!r}")


def host(text: str) -> str:
    """Return `user@host` or `host` (a name, or an address without brackets) that ssh cannot read as anything else."""
    user, at, place = text.rpartition("@")
    if at and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", user):
        raise BadValue(f"bad host {text[:80]!r}: the user before '@' must be letters, digits, '_', '.', '-'")
    if re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?", place):
        return text
    import ipaddress  # noqa: PLC0415 - seldom needed

    try:
        ipaddress.IPv6Address(place if "%" not in place else "")
    except ValueError:
        raise BadValue(f"bad host {text[:80]!r}: expected user@host or host, the port goes to 'port'") from None
    return text


def quota(text: str) -> str:
    """Return a quota that `borg serve --storage-quota` takes: a number and K, M, G, T or P, at least 10M."""
    if not re.fullmatch(r"[0-9]{1,15}(?:\.[0-9]{1,3})?[KMGTP]?", text):
        raise BadValue(f"bad quota {text[:40]!r}: expected a number and a unit, like 500G or 1.5T")
    if in_bytes(text) < 10_000_000:
        raise BadValue(f"bad quota {text!r}: borg wants at least 10M")
    return text


def in_bytes(quota: str) -> float:
    """Return a good quota as a number of bytes."""
    scale = 1000 ** (" KMGTP".index(quota[-1])) if quota[-1] in "KMGTP" else 1
    return float(quota.rstrip("KMGTP")) * scale


def plain_path(text: str) -> str:
    """Return an absolute, normal path without characters that ssh_config(5) would expand."""
    try:
        return RepositoryPath(text).text
    except BadValue as error:
        raise BadValue(str(error).replace("repository path", "path")) from None
