"""The tables of the generated pages, as lines of Markdown, from the program's own tables.

It knows the form of a table, and no prose: that is in `docs/sources/`.

    variables() == "| variable | value | may be accepted from a server |\n|---|---|---|\n| `TZ` | …"
"""

import textwrap
from collections.abc import Iterable

from collection import Variable
from schemas import Key

from borgctl.borg import forbidden
from borgctl.borg.subcommands import COMMANDS, Command
from borgctl.borg.variables import ACCEPTABLE, SETTABLE
from borgctl.pull.report.hints import ADVICE
from borgctl.pull.report.metrics import METRICS
from borgctl.reasons import REASONS

_WIDTH = 128  # characters of a line of prose, as in the pages that are written by hand


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table of Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" if cells else "|---" * len(head) + "|" for cells in (head, (), *rows))


def key_sections(keys: tuple[Key, ...]) -> str:
    """Return a section for each key."""
    parts = []
    for key in keys:
        required = "required" if key.default is None else f"default: `{key.default}`"
        text = textwrap.fill(key.text, _WIDTH, break_long_words=False, break_on_hyphens=False)
        parts.append(f"## {key.name}\n\nValue: {key.type}; {required}.\n\n{text}\n\n```yaml\n{key.example}\n```")
    return "\n\n".join(parts)


def key_table(keys: tuple[Key, ...]) -> str:
    """Return a row for each key."""
    head = ("key", "type", "default", "what it is")
    defaults = ("required" if key.default is None else key.default for key in keys)
    return table(head, ((f"`{key.name}`", key.type, text, key.text) for key, text in zip(keys, defaults, strict=True)))


def job_keys() -> str:
    """Return a row for each key of a job in a policy."""
    paths = "what to back up; `/proc`, `/sys` and `/dev` are refused (but for a block device with `read-special`); "
    rows = (
        ("`command`", ", ".join(COMMANDS), "create", "borg's subcommand"),
        (
            "`paths`",
            "list of absolute paths",
            "required for create",
            f"{paths}of `/`, what is in them and in `/run` is left out",
        ),
        ("`archive`", "text with placeholders", "`{hostname}-{job}-{now}`", "create: the archive's name"),
        ("`exclude`", "list of patterns", "none", "create: short for the option `exclude`"),
        ("`subcommands`", "mapping", "none", "options of the subcommand, as below; a flag is yes or no"),
        ("`before`", "list of programs, each a list", "none", "[hooks](#hooks) that run first"),
        ("`after`", "list of programs, each a list", "none", "[hooks](#hooks) that run last, always"),
    )
    return table(("key", "type", "default", "what it is"), rows)


def role_variables(variables: tuple[Variable, ...]) -> str:
    """Return a row for each variable of a role of Ansible's."""
    rows = ((f"`{one.name}`", one.type, one.default, one.text) for one in variables)
    return table(("variable", "type", "default", "what it is"), rows)


def target_job_keys() -> str:
    """Return a row for each key of a job in a target file."""
    rows = (
        (
            "`kind`",
            "create, prune or read",
            "create, with `deletes` prune",
            "a `create` must leave a new archive; if not, the run is `nothing-committed`, whatever the client says. "
            "A `read` (borg's list, info, check) can change nothing",
        ),
        (
            "`deletes`",
            "number or any",
            "none",
            "for a prune: how many objects it may mark deleted in one run. An archive has at least one object, and one for "
            "each piece of data that no other archive has",
        ),
        (
            "`run`",
            "yes or no",
            "yes",
            "`no`: run it with `--job` only. If no job says yes, the jobs that the client offers are run, as if there "
            "were no `jobs`",
        ),
        (
            "`every`",
            "duration",
            "none",
            "how often your timer runs it, from which `expect` follows; `borgpull run` runs a job at each call",
        ),
        (
            "`expect`",
            "duration",
            "`every` and two hours, else the target's `expect`",
            "how old its last good run may be before `borgpull status` calls it overdue",
        ),
    )
    return table(("key", "type", "default", "what it is"), rows)


def options() -> str:
    """Return a table of options for each subcommand."""
    head = ("option", "value", "a server may ask for it")
    sections = (f"### {command.name}\n\n{table(head, _options_of(command))}" for command in COMMANDS.values())
    return "\n\n".join(sections)


def _options_of(command: Command) -> Iterable[tuple[str, ...]]:
    for name, option in sorted(command.options.items()):
        request = "no" if option.request is None else option.request.expected
        request = "yes" if option.request is option.job else request
        since = f" (borg {option.since} or later)" if option.since != "1.2" else ""
        many = ", or a list" if option.repeats else ""
        yield f"`{name}`", f"{_cell(option.job.expected)}{many}{since}", _cell(request)


def variables() -> str:
    """Return a row for each variable that a policy may set or accept."""
    rows = (
        (f"`{name}`", _cell(kind.expected), "yes" if name in ACCEPTABLE else "no")
        for name, kind in sorted(SETTABLE.items())
    )
    return table(("variable", "value", "may be accepted from a server"), rows)


def not_allowed() -> str:
    """Return the options and the subcommands that no policy can allow."""
    both = (("option", forbidden.OPTIONS), ("subcommand", forbidden.COMMANDS))
    return "\n\n".join(
        table((noun, "why"), ((f"`{name}`", why) for name, why in sorted(words.items()))) for noun, words in both
    )


def gate_reasons() -> str:
    """Return a row for each reason of the gate's."""
    rows = (
        (f"`{reason.code}`", str(reason.status), reason.outcome, "yes" if reason.retry else "no", reason.advice)
        for reason in REASONS.values()
    )
    return table(("reason", "status", "outcome", "retry", "what to do"), rows)


def launcher_reasons() -> str:
    """Return a row for each reason of the launcher's."""
    return table(("reason", "what to do"), ((f"`{code}`", advice) for code, advice in ADVICE.items()))


def metrics() -> str:
    """Return a row for each metric of `borgpull metrics`."""
    rows = (
        (f"`{metric.name}`", ", ".join(f"`{label}`" for label in metric.labels), _cell(metric.text))
        for metric in METRICS
    )
    return table(("metric", "labels", "what it is"), rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
