"""Read the keys `jobs` and `commands`: what a policy lets a server start. `borg.subcommands` has the known words.

A job may use more of borg's options than a request, as the client's own admin writes it. A command lists the options
that the server may give, and the paths that it must stay inside. This module does not know the rest of a policy.

    >>> from borgctl.strict_yaml import parse
    >>> jobs(NodeReader(), parse("default: {paths: [/etc]}"))["default"].command
    'create'
"""

from collections.abc import Callable, Collection, Mapping
from functools import partial

from borgctl.borg.forbidden import COMMANDS as FORBIDDEN
from borgctl.borg.forbidden import OPTIONS, why
from borgctl.borg.subcommands import COMMANDS, Command
from borgctl.borg.value_kinds import FLAG
from borgctl.errors import BadValue
from borgctl.node_reader import NodeReader
from borgctl.policy.model import Job, Offer, Repository
from borgctl.policy.placeholders import SAMPLE, Template
from borgctl.spelling import suggestion
from borgctl.strict_yaml import Node
from borgctl.values import ArchiveName, DevicePath, JobName, SourcePath, boolean, choice

_KEYS = ("command", "paths", "archive", "exclude", "options", "before", "after")


def program(reader: NodeReader, node: Node) -> tuple[str, ...]:
    """Read a program's argv: a list whose first word is an absolute path."""
    words = reader.items(node, str) if _is_list(node) else ()
    if not words or not words[0].startswith("/"):
        reader.add(node, "expected a list whose first word is a program's absolute path, like [/path/to/program]")
    return words


def _hooks(reader: NodeReader, node: Node) -> tuple[tuple[str, ...], ...]:
    """Read a list of programs, which run one after the other."""
    if not _is_list(node) or not all(_is_list(hook) for hook in reader.nodes(node)):
        reader.add(node, "expected a list of programs, each of them a list, like [[/path/to/program]]")
        return ()
    return tuple(program(reader, hook) for hook in reader.nodes(node))


def _is_list(node: Node) -> bool:
    return node.pairs is None and not isinstance(node.value, str)


def jobs(reader: NodeReader, node: Node) -> dict[str, Job]:
    """Return the policy's jobs by name."""
    by_name = {}
    for key, value in reader.entries(node):
        name = reader.scalar(key, JobName, JobName("unnamed"))
        by_name[str(name)] = _job(reader, name, key, value)
    return by_name


def _job(reader: NodeReader, name: JobName, key: Node, node: Node) -> Job:
    fields = reader.fields(node, _KEYS, elsewhere=_among_options)
    command = reader.scalar(fields.get("command", Node(1, 1, "create")), _command, "")
    if not command:
        return Job(name, "create", key.line)  # the checks of the other keys depend on the command
    options = _job_options(reader, command, fields["options"]) if "options" in fields else ()
    if command == "prune" and "glob-archives" not in dict(options):
        reader.add(key, "'prune' needs the option 'glob-archives', for the archives that it may mark ('*' for all)")
    if command != "create":
        for misplaced in {"paths", "archive", "exclude"} & fields.keys():
            reader.add(fields[misplaced], f"{misplaced!r} belongs to 'create' only")
    elif "paths" not in fields:
        reader.add(key, "missing key 'paths'")
    if "exclude" in fields:
        kind = COMMANDS["create"].options["exclude"].job
        options += tuple(("exclude", text) for text in reader.items(fields["exclude"], kind.check))
    archive = None
    if command == "create":
        template = fields.get("archive", Node(1, 1, "{hostname}-{job}-{now}"))
        archive = reader.scalar(template, _archive_template, None)
    return Job(
        name=name,
        command=command,
        line=key.line,
        options=options,
        archive=archive,
        paths=reader.items(fields["paths"], partial(_source, dict(options))) if "paths" in fields else (),
        before=_hooks(reader, fields["before"]) if "before" in fields else (),
        after=_hooks(reader, fields["after"]) if "after" in fields else (),
    )


def _among_options(word: str) -> str:
    """Return ': it is one of the job's options …' if a job's key is an option of borg's, however it is written."""
    name = word.replace("_", "-").lstrip("-")
    if name in _KEYS or not any(name in command.options for command in COMMANDS.values()):
        return ""
    return f": it is one of the job's options, like options: {{{name}: …}}"


def _command(text: str) -> str:
    if text in FORBIDDEN:
        raise BadValue(f"no policy can allow {text!r}{why(FORBIDDEN, text)}")
    return choice(text, tuple(COMMANDS))


def _source(options: Mapping[str, str | None], text: str) -> SourcePath | DevicePath:
    """Read a path of a job; it may be a device if the job has the option read-special."""
    if not text.startswith("/dev/"):
        return SourcePath(text)
    if "read-special" not in options:
        raise BadValue(f"bad path {text!r}: only a job with the option 'read-special: yes' can save a device")
    return DevicePath(text)


def _archive_template(text: str) -> Template | None:
    ArchiveName(Template(text).expand(SAMPLE))
    return Template(text)


def _job_options(reader: NodeReader, command: str, node: Node) -> tuple[tuple[str, str | None], ...]:
    known = COMMANDS[command].options
    chosen: list[tuple[str, str | None]] = []
    for key, value in reader.entries(node):
        name = str(key.value)
        if name not in known and name.lstrip("-") in known:
            reader.add(key, f"write {name!r} without its dashes here: {name.lstrip('-')}")
        elif name not in known:
            reader.add(key, f"{name!r} is not an option that a job may give to {command!r}{_reason(name, known)}")
        elif known[name].job is FLAG:
            chosen += [(name, None)] if reader.scalar(value, boolean, False) else []
        else:
            check = known[name].job.check
            values = (value,) if not known[name].repeats or isinstance(value.value, str) else reader.nodes(value)
            for item in values:
                text = reader.scalar(item, partial(_checked_template, check), "")
                chosen.append((name, text))
    if conflict := COMMANDS[command].conflict(name for name, _ in chosen):
        reader.add(node, conflict)
    return tuple(chosen)


def _reason(name: str, known: Collection[str]) -> str:
    """Return why nobody can give this option, which subcommands have it, or how it is spelt."""
    plain = name.replace("_", "-")
    if reason := why(OPTIONS, plain):
        return reason
    others = [command.name for command in COMMANDS.values() if plain in command.options]
    return f": it is an option of {' and '.join(others)}" if others and plain not in known else suggestion(name, known)


def _checked_template(check: Callable[[str], str], text: str) -> str:
    """Check what a value's template expands to, and return the template."""
    check(Template(text).expand(SAMPLE))
    return text


def check_encryption(reader: NodeReader, jobs_by_name: Mapping[str, Job], repositories: tuple[Repository, ...]) -> None:
    """Require that both the job and every repository say it where a job makes an unencrypted repository."""
    for job in jobs_by_name.values():
        mode = dict(job.options).get("encryption")
        place = Node(job.line, 1)
        if job.command == "init" and mode is None:
            reader.add(place, f"job {str(job.name)!r} needs the option 'encryption'")
        elif mode in ("none", "authenticated", "authenticated-blake2") and any(r.encrypted for r in repositories):
            reader.add(place, f"encryption {mode!r} needs 'encryption: none' at every repository of this policy")


def commands(reader: NodeReader, node: Node) -> dict[str, Offer]:
    """Return what the server may spell out, by subcommand."""
    offers = {}
    for key, value in reader.entries(node):
        command = reader.scalar(key, _command, "")
        if not command:
            continue
        # 'options' is required, if only as []: else a lost line could give one entry's options to another
        required = ("options", "paths") if COMMANDS[command].paths else ("options",)
        fields = reader.fields(value, ("options", "paths"), required)
        offered = partial(_offered, COMMANDS[command])
        options = reader.items(fields["options"], offered) if "options" in fields else ()
        if "paths" in fields and not COMMANDS[command].paths:
            reader.add(fields["paths"], f"{command!r} takes no paths")
        paths = reader.items(fields["paths"], SourcePath) if "paths" in fields else ()
        offers[command] = Offer(command, key.line, frozenset(options), paths)
    return offers


def _offered(command: Command, name: str) -> str:
    """Return the option's name if a request may give it to this subcommand; else raise BadValue."""
    known = [known for known, option in command.options.items() if option.request]
    if name in known:
        return name
    if name in command.options:
        raise BadValue(f"a job may have {name!r}, but a server cannot ask for it")
    reason = why(OPTIONS, name) or f"{suggestion(name, known)} (expected one of: {', '.join(known)})"
    raise BadValue(f"{name!r} is not an option that a server may give to {command.name!r}{reason}")
