"""Targets: what the launcher knows about one client, one YAML file each, over the defaults of all.

Reading reports all mistakes of a file at once, as `file:line:column: text`. Nothing here starts a program.

    target = load(folders, TargetName("web1"))          target.repository          target.jobs
"""

import functools
import os
from collections.abc import Callable
from typing import TypeVar

from borgctl import strict_yaml
from borgctl.borg.warning_kinds import CHANGED, UNREADABLE, VANISHED
from borgctl.data_class import dataclass
from borgctl.node_reader import NodeReader
from borgctl.openssh_key import HostKey
from borgctl.pull.targets import config_file, defaults, pause, tags, telling, transports
from borgctl.pull.targets import jobs as targets_jobs
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.jobs import TargetJob
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.pause import Pause
from borgctl.pull.targets.tags import TagName
from borgctl.pull.targets.telling import Telling
from borgctl.pull.targets.values import host, plain_path, quota
from borgctl.strict_yaml import Node, Problems
from borgctl.values import JobName, RepositoryPath, SocketPath, choice, duration, integer

KEYS = (
    *("host", "port", "identity", "host_key", "repository", "jobs", "tags", "paused", "expect", "accept_warnings"),
    *("quota", "timeout", "transport", "socket_directory", "policy", "borg"),
    *telling.KEYS,
)
ACCEPTABLE = (CHANGED, VANISHED, UNREADABLE)  # a person has to read warnings of an unknown kind

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
    tags: tuple[TagName, ...]
    pause: Pause | None
    telling: Telling

    @property
    def jobs(self) -> tuple[JobName, ...] | None:
        """Return the jobs to run if the command line names none; None for those that `hello` offers."""
        return tuple(job.name for job in self.described if job.run) or None

    def job(self, name: JobName) -> TargetJob:
        """Return a job as the file describes it; a job that the file does not name may add to the repository."""
        return next((job for job in self.described if job.name == name), TargetJob(name))

    def expected(self, job: str) -> int | None:
        """Return how old a job's last good run may be, in seconds, by its own words; None where it has none."""
        return next((one.expected for one in self.described if str(one.name) == job), None)

    def paused(self, now: float) -> Pause | None:
        """Return the pause that holds now (seconds since the epoch), or None."""
        return self.pause if self.pause is not None and now < self.pause.until else None


def load(folders: Folders, name: TargetName) -> Target:
    """Read the file of one target, and the defaults; raise PullError that names every mistake in it."""
    return _whole(lambda: from_tree(tree(folders, name), name, folders))


def tree(folders: Folders, name: TargetName) -> Node:
    """Return a target's file over the defaults, as nodes with file and line; raise PullError where it is no YAML."""
    below, path = load_defaults(folders), folders.target(name)
    text = config_file.read(folders, path)
    if text is None:
        raise PullError(f"no target {str(name)!r} ({path})", f"make it with: borgpull add {name} HOST")
    return _whole(lambda: _merged(text, name, below, path))


def telling_of(folders: Folders, name: TargetName) -> Telling:
    """Return whom to tell of a target; where its file has mistakes, whom the defaults name. Raise PullError.

    A target that is not there tells nobody.
    """
    if not os.path.lexists(folders.target(name)):
        return Telling()
    try:
        return load(folders, name).telling
    except PullError:
        below = load_defaults(folders)
        if below is None:
            return Telling()
        notes, root = NodeReader(), defaults.with_name(below, str(name))
        return telling.read(notes, {str(key.value): value for key, value in root.pairs or ()})


def load_defaults(folders: Folders) -> Node | None:
    """Read the defaults, None where there is no such file, or nothing in it; raise PullError with every mistake."""
    return _defaults(folders, config_file.version(folders.defaults))


@functools.lru_cache(maxsize=1)  # a run over all targets asks for each
def _defaults(folders: Folders, _version: tuple[int, ...] | None) -> Node | None:
    text = config_file.read(folders, folders.defaults)
    return None if text is None else _whole(lambda: read_defaults(text, folders))


def _whole(read: Callable[[], T]) -> T:
    try:
        return read()
    except Problems as problems:
        raise PullError("\n".join(map(str, problems.all))) from None


def names(folders: Folders) -> tuple[str, ...]:
    """Return the names of all target files, sorted, also of those with mistakes."""
    try:
        files = os.listdir(folders.targets)
    except FileNotFoundError:
        return ()
    return tuple(
        sorted(file.removesuffix(".yaml") for file in files if file.endswith(".yaml") and not file.startswith("."))
    )


def read(text: str, name: TargetName, folders: Folders, below: Node | None = None) -> Target:
    """Read a target from its text, over the defaults `below` it; raise `Problems` with all of its mistakes."""
    return from_tree(_merged(text, name, below, ""), name, folders)


def _merged(text: str, name: TargetName, below: Node | None, path: str) -> Node:
    own = strict_yaml.parse(text, path)
    return own if below is None else defaults.for_target(below, own, str(name))


def from_tree(root: Node, name: TargetName, folders: Folders) -> Target:
    """Read a target from its whole tree; raise `Problems` with all of its mistakes."""
    notes = NodeReader()
    fields = notes.fields(root, KEYS, required=("repository", "quota"))
    target = _target(notes, fields, name, folders)
    transports.check(notes, root, fields, target.transport)
    notes.finish()
    return target


def read_defaults(text: str, folders: Folders) -> Node | None:
    """Return the tree of the defaults, None where all lines are comments; raise `Problems` with every mistake."""
    if not any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines()):
        return None
    notes, root = NodeReader(), strict_yaml.parse(text, folders.defaults)
    fields = notes.fields(root, defaults.KEYS, elsewhere=_of_one_target)
    for key, reader in defaults.WITH_NAME:
        if key in fields:
            notes.scalar(fields.pop(key), reader, "")
    _target(notes, fields, TargetName("target"), folders)
    notes.finish()
    return root


def _of_one_target(word: str) -> str:
    return ": it is a target's own, and stands in the target's file" if word in KEYS else ""


def _target(notes: NodeReader, fields: dict[str, Node], name: TargetName, folders: Folders) -> Target:
    def value(key: str, reader: Callable[[str], T], default: T) -> T:
        return notes.scalar(fields[key], reader, default) if key in fields else default

    return Target(
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
        transport=value("transport", lambda word: choice(word, transports.NAMES), "stdio"),
        socket_directory=value("socket_directory", lambda word: SocketPath(word).text, "/run/borgctl"),
        policy=value("policy", plain_path, None),
        borg=value("borg", plain_path, "/usr/bin/borg"),
        tags=tags.read(notes, fields["tags"]) if "tags" in fields else (),
        pause=pause.read(notes, fields["paused"]) if "paused" in fields else None,
        telling=telling.read(notes, fields),
    )


def _kinds(notes: NodeReader, node: Node) -> tuple[str, ...]:
    return notes.items(node, lambda word: choice(word, ACCEPTABLE))
