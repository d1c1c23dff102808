"""Jobs and commands: what a policy lets a server order, each word checked against the vocabulary.

A job may use the wider circle of words, since the client's own admin writes it; a command offers the server options by
name and paths to stay in. It does not know the rest of a policy.
"""

from collections.abc import Callable, Collection, Mapping
from functools import partial

from borgctl.borg.forbidden import COMMANDS as FORBIDDEN
from borgctl.borg.forbidden import OPTIONS, why
from borgctl.borg.options import COMMANDS, FLAG, Command
from borgctl.errors import BadValue
from borgctl.policy.model import Job, Offer, Repository
from borgctl.policy.placeholders import SAMPLE, Template
from borgctl.spelling import meant
from borgctl.strict_yaml import Node, NodeReader
from borgctl.values import ArchiveName, DevicePath, JobName, SourcePath, boolean, choice

_KEYS = ("command", "paths", "archive", "exclude", "options", "before", "after")


def program(notes: NodeReader, node: Node) -> tuple[str, ...]:
    """Read a program's argv: a list whose first word is an absolute path."""
    words = notes.items(node, str) if _is_list(node) else ()
    if not words or not words[0].startswith("/"):
        notes.add(node, "expected a list whose first word is a program's absolute path, like [/path/to/program]")
    return words


def _hooks(notes: NodeReader, node: Node) -> tuple[tuple[str, ...], ...]:
    """Read programs that run one after the other."""
    if not _is_list(node) or not all(_is_list(hook) for hook in notes.nodes(node)):
        notes.add(node, "expected a list of programs, each of them a list, like [[/path/to/program]]")
        return ()
    return tuple(program(notes, hook) for hook in notes.nodes(node))


def _is_list(node: Node) -> bool:
    return node.pairs is None and not isinstance(node.value, str)


def jobs(notes: NodeReader, node: Node) -> dict[str, Job]:
    """Read the policy's jobs by name."""
    found = {}
    for key, value in notes.entries(node):
        name = notes.scalar(key, JobName, JobName("unnamed"))
        found[str(name)] = _job(notes, name, key, value)
    return found


def _job(notes: NodeReader, name: JobName, key: Node, node: Node) -> Job:
    fields = notes.fields(node, _KEYS, elsewhere=_among_options)
    command = notes.scalar(fields.get("command", Node(1, 1, "create")), _command, "")
    if not command:
        return Job(name, "create", key.line)  # what else is wrong depends on the command
    options = _job_options(notes, command, fields["options"]) if "options" in fields else ()
    if command == "prune" and "glob-archives" not in dict(options):
        notes.add(key, "'prune' needs the option 'glob-archives': which archives it may mark ('*' for all)")
    if command != "create":
        for misplaced in {"paths", "archive", "exclude"} & fields.keys():
            notes.add(fields[misplaced], f"{misplaced!r} belongs to 'create' only")
    elif "paths" not in fields:
        notes.add(key, "missing key 'paths'")
    if "exclude" in fields:
        kind = COMMANDS["create"].options["exclude"].job
        options += tuple(("exclude", text) for text in notes.items(fields["exclude"], kind.check))
    archive = None
    if command == "create":
        written = fields.get("archive", Node(1, 1, "{hostname}-{job}-{now}"))
        archive = notes.scalar(written, _archive_template, None)
    return Job(
        name=name,
        command=command,
        line=key.line,
        options=options,
        archive=archive,
        paths=notes.items(fields["paths"], partial(_source, dict(options))) if "paths" in fields else (),
        before=_hooks(notes, fields["before"]) if "before" in fields else (),
        after=_hooks(notes, fields["after"]) if "after" in fields else (),
    )


def _among_options(word: str) -> str:
    """Say of a job's key that it is an option of borg's, however it is written."""
    name = word.replace("_", "-").lstrip("-")
    known = name in _KEYS or not any(name in command.options for command in COMMANDS.values())
    return "" if known else f": it is one of the job's options, like options: {{{name}: …}}"


def _command(text: str) -> str:
    if text in FORBIDDEN:
        raise BadValue(f"{text!r} is in no policy{why(FORBIDDEN, text)}")
    return choice(text, tuple(COMMANDS))


def _source(options: Mapping[str, str | None], text: str) -> SourcePath | DevicePath:
    """Read a path of a job, which may be a device where it says so."""
    if not text.startswith("/dev/"):
        return SourcePath(text)
    if "read-special" not in options:
        raise BadValue(f"bad path {text!r}: a device is saved only by a job with the option 'read-special: yes'")
    return DevicePath(text)


def _archive_template(text: str) -> Template | None:
    ArchiveName(Template(text).expand(SAMPLE))
    return Template(text)


def _job_options(notes: NodeReader, command: str, node: Node) -> tuple[tuple[str, str | None], ...]:
    known = COMMANDS[command].options
    chosen: list[tuple[str, str | None]] = []
    for key, value in notes.entries(node):
        name = str(key.value)
        if name not in known and name.lstrip("-") in known:
            notes.add(key, f"{name!r} is written without its dashes here: {name.lstrip('-')}")
        elif name not in known:
            notes.add(key, f"{name!r} is not an option that a job may give to {command!r}{_reason(name, known)}")
        elif known[name].job is FLAG:
            chosen += [(name, None)] if notes.scalar(value, boolean, False) else []
        else:
            check = known[name].job.check
            values = (value,) if not known[name].repeats or isinstance(value.value, str) else notes.nodes(value)
            for item in values:
                text = notes.scalar(item, partial(_checked_template, check), "")
                chosen.append((name, text))
    if conflict := COMMANDS[command].conflict(name for name, _ in chosen):
        notes.add(node, conflict)
    return tuple(chosen)


def _reason(name: str, known: Collection[str]) -> str:
    """Say why an option cannot be given, whose it is, or how it is spelt."""
    plain = name.replace("_", "-")
    if reason := why(OPTIONS, plain):
        return reason
    others = [command.name for command in COMMANDS.values() if plain in command.options]
    return f": it is an option of {' and '.join(others)}" if others and plain not in known else meant(name, known)


def _checked_template(check: Callable[[str], str], text: str) -> str:
    """Check what a value's template would become, and keep the template."""
    check(Template(text).expand(SAMPLE))
    return text


def check_encryption(notes: NodeReader, found: Mapping[str, Job], repositories: tuple[Repository, ...]) -> None:
    """An unencrypted repository must be said twice: by the job that makes it and by the repository."""
    for job in found.values():
        mode = dict(job.options).get("encryption")
        place = Node(job.line, 1)
        if job.command == "init" and mode is None:
            notes.add(place, f"job {str(job.name)!r} needs the option 'encryption'")
        elif mode in ("none", "authenticated", "authenticated-blake2") and any(r.encrypted for r in repositories):
            notes.add(place, f"encryption {mode!r} wants 'encryption: none' at every repository of this policy")


def commands(notes: NodeReader, node: Node) -> dict[str, Offer]:
    """Read what the server may spell out, by subcommand."""
    offers = {}
    for key, value in notes.entries(node):
        command = notes.scalar(key, _command, "")
        if not command:
            continue
        # 'options' is required, if only as []: else a line that is lost could give one entry's options to another
        needed = ("options", "paths") if COMMANDS[command].paths else ("options",)
        fields = notes.fields(value, ("options", "paths"), needed)
        offered = partial(_offered, COMMANDS[command])
        options = notes.items(fields["options"], offered) if "options" in fields else ()
        if "paths" in fields and not COMMANDS[command].paths:
            notes.add(fields["paths"], f"{command!r} takes no paths")
        paths = notes.items(fields["paths"], SourcePath) if "paths" in fields else ()
        offers[command] = Offer(command, key.line, frozenset(options), paths)
    return offers


def _offered(command: Command, name: str) -> str:
    """Return an option's name if a request may give it to this subcommand."""
    known = [known for known, option in command.options.items() if option.request]
    if name in known:
        return name
    if name in command.options:
        raise BadValue(f"{name!r} may stand in a job, but a server cannot ask for it")
    reason = why(OPTIONS, name) or f"{meant(name, known)} (expected one of: {', '.join(known)})"
    raise BadValue(f"{name!r} is not an option that a server may give to {command.name!r}{reason}")
