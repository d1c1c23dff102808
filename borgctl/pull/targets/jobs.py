"""The jobs of a target file: which of them `borgpull run` asks for, and what each may do to the repository.

    jobs: [default]
    jobs: {default: {every: 24h}, prune: {deletes: 5000, every: 7d}, check: {kind: read, run: no}}

The server alone decides what a job may do. A job that the file does not describe may add to the repository and delete
nothing.
"""

from collections.abc import Callable
from typing import TypeVar

from borgctl.data_class import dataclass
from borgctl.errors import BadValue
from borgctl.node_reader import NodeReader
from borgctl.strict_yaml import Node
from borgctl.values import JobName, boolean, choice, duration, integer

KINDS = ("create", "prune", "read")
_KEYS = ("kind", "deletes", "run", "every", "expect")
_MOST = 10**12 - 1  # objects; more than any repository has
DELAY = 2 * 3600  # seconds that a job may be late before it is overdue

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TargetJob:
    """A job as the target describes it; `deletes` is how many objects a prune may delete, None for any number.

    `run`: `borgpull run TARGET` without --job runs it. `every` is how often it is to run, and `expect` how old its last
    good run may be, in seconds; None where the file does not say.
    """

    name: JobName
    kind: str = "create"
    deletes: int | None = 0
    run: bool = True
    every: int | None = None
    expect: int | None = None

    @property
    def expected(self) -> int | None:
        """Return how old its last good run may be: what it says, else what its rhythm gives, else None."""
        return self.expect if self.expect is not None or self.every is None else self.every + DELAY


def read(notes: NodeReader, node: Node) -> tuple[TargetJob, ...]:
    """Read `jobs`, a list of names or a mapping; note every mistake in `notes`."""
    jobs = _mapping(notes, node) if node.pairs is not None else _list(notes, node)
    if not (node.value or node.pairs):
        notes.add(node, "no job named: leave 'jobs' out for all that the client offers")
    return jobs


def _list(notes: NodeReader, node: Node) -> tuple[TargetJob, ...]:
    names = notes.items(node, JobName)
    if len(set(names)) != len(names):
        notes.add(node, "a job is named twice")
    return tuple(map(TargetJob, names))


def _mapping(notes: NodeReader, node: Node) -> tuple[TargetJob, ...]:
    jobs = (_job(notes, key, value) for key, value in notes.entries(node))
    return tuple(job for job in jobs if job is not None)


def _job(notes: NodeReader, key: Node, node: Node) -> TargetJob | None:
    name = notes.scalar(key, lambda text: (JobName(text),), None)
    fields = notes.fields(node, _KEYS)

    def value(field: str, reader: Callable[[str], T], default: T) -> T:
        return notes.scalar(fields[field], reader, default) if field in fields else default

    kind = value("kind", lambda text: choice(text, KINDS), "prune" if "deletes" in fields else "create")
    none: int | None = 0
    deletes = value("deletes", _deletes, none)
    if kind != "prune" and "deletes" in fields:
        own = fields["deletes"] if fields["deletes"].file == node.file else fields["kind"]  # the other is a default
        notes.add(own, f"a job of kind {kind!r} deletes nothing: leave out 'kind' or 'deletes'")
    if kind == "prune" and "deletes" not in fields:
        notes.add(fields["kind"], "a job of kind 'prune' needs 'deletes': how many objects, or any")
    run = value("run", boolean, True)
    every, expect = value("every", _seconds, None), value("expect", _seconds, None)
    if every is not None and expect is not None and expect < every:
        own = fields["expect"] if fields["expect"].file == node.file else fields["every"]
        notes.add(own, "'expect' is shorter than 'every': the job would be overdue each time")
    return name and TargetJob(name[0], kind, deletes, run, every, expect)


def _seconds(text: str) -> int | None:
    return duration(text)


def _deletes(text: str) -> int | None:
    """Read a number, or None from 'any'."""
    if text == "any":
        return None
    try:
        return integer(text, 0, _MOST)
    except BadValue:
        raise BadValue(f"bad number {text[:40]!r}: expected 0 to {_MOST}, or any") from None


def line(described: tuple[TargetJob, ...] | None, more: TargetJob) -> str:
    """Write the line `jobs` of a target file with `more` in it, which replaces the entry of that job."""
    jobs = [job for job in described or () if job.name != more.name]
    return f"jobs: {{{', '.join(map(_entry, [*jobs, more]))}}}"


def _entry(job: TargetJob) -> str:
    words = []
    if job.kind == "prune":
        words.append(f"deletes: {'any' if job.deletes is None else job.deletes}")
    elif job.kind != "create":
        words.append(f"kind: {job.kind}")
    if not job.run:
        words.append("run: no")
    words += [f"every: {_spelled(job.every)}"] if job.every is not None else []
    words += [f"expect: {_spelled(job.expect)}"] if job.expect is not None else []
    return f"{job.name}: {{{', '.join(words)}}}"


def _spelled(seconds: int) -> str:
    """Write a duration as `duration` reads it, in the largest unit that holds it exactly; in hours below two days."""
    units = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    return next(
        f"{seconds // size}{unit}" for unit, size in units if seconds % size == 0 and (seconds >= 2 * size or size == 1)
    )
