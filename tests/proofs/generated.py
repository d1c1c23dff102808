"""Policies and requests from dice: what is written, and what each means, worked out without the gate's own reading.

A policy is a tree of dictionaries, lists and strings, written as YAML in block or flow style as the dice fall. A
request is a line for the wire together with an `Intent`: what borg must be told if it is allowed at all.

    dice = random.Random(1); tree = policy(dice, files); text = written(dice, tree); line, intent = request(dice, tree)
"""

import json
import random
import re
import shlex
from dataclasses import dataclass, field
from datetime import UTC, datetime

import draws
import stage

from borgctl.borg.subcommands import COMMANDS
from borgctl.borg.value_kinds import FLAG
from borgctl.values import ArchiveName, BadValue, SourcePath

HOST, NOW = stage.FACTS.names.hostname, datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
_REPOSITORIES = (
    "/srv/borg/{hostname}",
    "/srv/a",
    "/srv/b+c=d/@x_.-",
    "/srv/{hostname}/x{hostname}",
    "/-srv/--rsh=x",
    "/1",
)
_SOURCES = (
    "/etc",
    "/home",
    "/",
    "/var/lib/a b",
    "/srv/-x",
    "/a'b",
    "/--rsh=x",
    "/x::y",
    "/@f",
    "/R x",
    "/%d/$HOME/~",
    '/"',
)
_JOBS = ("default", "dumps", "prune", "init", "list", "create", "0", "a.b-c_d", "x", "X" * 64)
_ARCHIVES = (
    "{hostname}-{job}-{now}",
    "{hostname}-{now:%Y%m%d%H%M}",
    "a:b",
    "x.checkpoint.y",
    "0+@=-",
    "{job}",
    "{now:%j-%u}",
)
_TEMPLATES = ("{hostname}-{job}-*", "{job}*", "{hostname}")
_PATTERNS = ("+ pp:/etc", "- *.o", "! sh:/x", "- re:^/a(b|c)", "+pf:/etc/shadow", "P fm", "R /srv/root", "- --rsh=x")
_EXCLUDES = ("*.o", "re:^/tmp/[0-9]+$", "pp:/etc/ssl", "sh:**/*.tmp", "--rsh=x", "fm:/a b/*", "-x", "R /etc", "*")
_FREE = ("exclude", "comment")


@dataclass(frozen=True, slots=True)
class Intent:
    """What borg must be told if this is allowed: everything that depends on the request and on the policy."""

    command: str
    options: list = field(default_factory=list)
    repository: str = ""
    archive: str | None = None
    paths: list = field(default_factory=list)
    log: str = "text"

    def meant(self, names_disclosed: bool) -> dict:
        """Return it as the workers want it, with the words that the gate adds to show the server what it may see."""
        given = {name for name, _ in self.options}
        structured = self.log == "json" or not names_disclosed
        shown = ["progress"] if self.log == "json" else []
        counted = self.command == "prune" or (self.command == "create" and "dry-run" in given)
        shown += ["list"] if counted else []
        if self.command == "create" and not counted:
            shown.append("json" if structured or "json" in given else "stats")
        if structured and (self.command == "info" or (self.command == "list" and self.archive is None)):
            shown.append("json")
        shown = [name for name in shown if name not in given]
        anew = ("/proc", "/sys", "/dev", "/run") if "/" in self.paths and "one-file-system" not in given else ()
        left = [at for at in anew if not any(path == at or path.startswith(f"{at}/") for path in self.paths)]
        place = {"proto": "ssh", "user": None, "host": "borgctl", "port": None}
        return {
            "command": self.command,
            "options": [
                *map(list, self.options),
                *(["exclude", f"sh:{at}/*"] for at in left),
                *([name, None] for name in shown),
            ],
            "location": {**place, "path": self.repository, "archive": self.archive},
            "paths": self.paths,
        }

    def since(self) -> str:
        """Return the oldest series of borg that knows all of it."""
        return max(["1.2", *(COMMANDS[self.command].options[name].since for name, _ in self.options)])


# ---- policies


def policy(dice: random.Random, files: dict[str, str]) -> dict:
    """Return a policy as a tree; `files` names one that each of exclude-from and patterns-from can read."""
    places = dice.sample(_REPOSITORIES, dice.choice((1, 1, 2, 3)))
    modes = {place: dice.choice(("required", "required", "none")) for place in places}
    tree = {
        "version": "1",
        "repositories": {place: {"encryption": mode} for place, mode in modes.items()},
        "jobs": {name: _job(dice, files, set(modes.values())) for name in dice.sample(_JOBS, dice.randint(0, 4))},
    }
    if "required" in modes.values() or dice.random() < 0.5:
        tree["passphrase"] = dice.choice(({"file": "/etc/borgctl/pw"}, {"program": ["/usr/bin/pass", "show", "borg"]}))
    optional = {
        "commands": {name: _offer(dice, name) for name in dice.sample(sorted(COMMANDS), dice.randint(0, 6))},
        "transports": ["stdio", *dice.sample(["socket", "local"], dice.randint(0, 2))],
        "published": dice.choice(("yes", "no")),
        "disclose": dice.choice(("counts", "names")),
        "environment": _some(dice, {"set": {"TZ": "UTC", "COLUMNS": "80"}, "accept": ["COLUMNS", "LINES"]}),
        "limits": _some(dice, {"runtime": "30m", "sessions": "2", "nice": "19", "ionice": "none", "memory": "2G"}),
        "socket": {"directory": "/run/borgctl2"},
        "audit": _some(dice, {"file": "/var/log/x.jsonl", "syslog": "no"}),
        "sandbox": dice.choice(("require", "prefer", "off")),
        "borg": "/opt/borg/bin/borg",
        "base": "/var/lib/borgctl/other",
        "user": "nobody",
        "window": "30m",
    }
    tree |= _some(dice, optional)
    names = list(tree)
    dice.shuffle(names)
    return {name: tree[name] for name in names}


def _some(dice: random.Random, tree: dict) -> dict:
    return {name: value for name, value in tree.items() if dice.random() < 0.7}


def _job(dice: random.Random, files: dict[str, str], modes: set[str]) -> dict:
    command = dice.choice(("create", "create", "create", *sorted(COMMANDS)))
    job: dict = {"command": command} if command != "create" or dice.random() < 0.3 else {}
    known = COMMANDS[command].options
    options: dict = {}
    for name in _names(dice, command, sorted(known), 7):
        value = _job_value(dice, name, known[name], files)
        options[name] = (
            [value, _job_value(dice, name, known[name], files)]
            if known[name].repeats and dice.random() < 0.5
            else value
        )
    if command == "init":
        open_modes = ("none", "authenticated") if modes == {"none"} else ()
        options["encryption"] = dice.choice(("repokey", "keyfile-blake2", "repokey-blake2", *open_modes))
    if command == "prune":
        options.setdefault("glob-archives", dice.choice(("*", "{hostname}-{job}-*")))
    if options or dice.random() < 0.3:
        job["options"] = options
    if command == "create":
        job["paths"] = dice.sample([*_SOURCES, "/home/jörg", "/数"], dice.randint(1, 3))
        if dice.random() < 0.4:
            job["archive"] = dice.choice(_ARCHIVES)
        if dice.random() < 0.4:
            job["exclude"] = dice.sample(_EXCLUDES, dice.randint(1, 3))
    if dice.random() < 0.3:
        job[dice.choice(("before", "after"))] = [["/usr/local/bin/dump-db", "--all"], ["/bin/true"]][
            : dice.randint(1, 2)
        ]
    return job


def _job_value(dice: random.Random, name: str, option, files: dict[str, str]) -> str:
    if option.job is FLAG:
        return dice.choice(("yes", "true", "yes", "no"))
    if name in files:
        return files[name]
    some = {"pattern": _PATTERNS, "exclude": _EXCLUDES}.get(name)
    if some is None:
        some = draws.known(option.job)
        some += _TEMPLATES if name in ("glob-archives", "comment") else ()
    return dice.choice(some)


def _offer(dice: random.Random, command: str) -> dict:
    known = [name for name, option in COMMANDS[command].options.items() if option.request]
    offer: dict = {"paths": dice.sample(_SOURCES, dice.randint(1, 4))} if COMMANDS[command].paths else {}
    offer["options"] = known if dice.random() < 0.5 else dice.sample(known, dice.randint(0, len(known)))
    return offer


def _names(dice: random.Random, command: str, known: list[str], most: int) -> list[str]:
    """Return names of options that may stand together."""
    names = dice.sample(known, min(len(known), dice.randint(0, most)))
    for group in COMMANDS[command].exclusive:
        if group <= set(names):
            names.remove(min(group))
    return names


def written(dice: random.Random, tree: dict) -> str:
    """Return the tree as YAML, each collection in block or flow style."""
    return "\n".join(_block(dice, tree, 0)) + "\n"


def _scalar(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9/][A-Za-z0-9/_.-]*", text) else json.dumps(text, ensure_ascii=False)


def _flow(tree: object) -> str:
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(value)}" for key, value in tree.items()) + "}"
    return "[" + ", ".join(map(_flow, tree)) + "]" if isinstance(tree, list) else _scalar(tree)


def _block(dice: random.Random, tree: object, depth: int) -> list[str]:
    lines, indent = [], "  " * depth
    pairs = (
        [(f"{_scalar(key)}:", value) for key, value in tree.items()]
        if isinstance(tree, dict)
        else [("-", v) for v in tree]
    )
    for head, value in pairs:
        if isinstance(value, str) or not value or (depth and dice.random() < 0.5):
            lines.append(f"{indent}{head} {_flow(value)}")
        else:
            lines += [f"{indent}{head}", *_block(dice, value, depth + 1)]
    return lines


# ---- requests


def expanded(template: str, job: str) -> str:
    """Return a template's text: a second, simpler reading of what `placeholders` does."""
    text = template.replace("{hostname}", HOST).replace("{job}", job).replace("{now}", "2026-11-23T04:05:06")
    return re.sub(r"\{now:([^}]*)\}", lambda match: NOW.strftime(match[1]), text)


def request(dice: random.Random, tree: dict) -> tuple[bytes, Intent]:
    """Return a line for the wire, mostly one that the policy allows, and what it means if it is."""
    while True:
        line, intent = _run(dice, tree) if tree["jobs"] and dice.random() < 0.2 else _spelled(dice, tree)
        if len(shlex.split(line)) <= 128 and len(line) <= 16384:
            return line.encode("ascii"), intent


def _own(dice: random.Random, tree: dict) -> tuple[list[str], str, str]:
    """Return options of the run, the repository that they mean, and how to log."""
    places = [expanded(place, "") for place in tree["repositories"]]
    place, log, words = dice.choice(places), "text", []
    if len(places) > 1 or dice.random() < 0.5:
        words.append(f"--repository={place}")
    if dice.random() < 0.5:
        log = dice.choice(("json", "text"))
        words.append(f"--log={log}")
    offered = tree.get("transports", ["stdio"])
    if "socket" in offered and dice.random() < 0.4:
        words.append("--socket=/run/borgctl/x.sock")
    if dice.random() < 0.2:
        words.append(f"--seen={dice.randint(0, 10**15 - 1)}:{'0123456789abcdef' * 4}")
    dice.shuffle(words)
    return words, place, log


def _run(dice: random.Random, tree: dict) -> tuple[str, Intent]:
    name = dice.choice(list(tree["jobs"]))
    words, place, log = _own(dice, tree)
    return shlex.join(["run", name, *words]), job_intent(tree, name, place, log)


def job_intent(tree: dict, name: str, place: str, log: str) -> Intent:
    """Return what a job means."""
    job = tree["jobs"][name]
    command = job.get("command", "create")
    options: list = []
    for option, value in job.get("options", {}).items():
        if COMMANDS[command].options[option].job is FLAG:
            options += [(option, None)] if value in ("yes", "true") else []
        else:
            options += [(option, expanded(one, name)) for one in (value if isinstance(value, list) else [value])]
    options += [("exclude", text) for text in job.get("exclude", [])]
    archive = expanded(job.get("archive", "{hostname}-{job}-{now}"), name) if command == "create" else None
    return Intent(command, options, place, archive, job.get("paths", []), log)


def _spelled(dice: random.Random, tree: dict) -> tuple[str, Intent]:
    offers = tree.get("commands", {})
    name = dice.choice(sorted(offers)) if offers and dice.random() < 0.97 else dice.choice(sorted(COMMANDS))
    command, offer = COMMANDS[name], offers.get(name, {})
    own, place, log = _own(dice, tree)
    circle = [word for word, option in command.options.items() if option.request]
    offered = sorted(offer.get("options", [])) if dice.random() < 0.97 else circle
    names = _names(dice, name, offered, 8)
    if name == "init" and "encryption" in offered:
        names = ["encryption"]
    names += [word for word in names if command.options[word].repeats for _ in range(dice.randint(0, 2))]
    dice.shuffle(names)
    options = [(word, _request_value(dice, word, command.options[word].request)) for word in names]
    archive = (
        _archive(dice)
        if command.archive == "required" or (command.archive == "optional" and dice.random() < 0.5)
        else None
    )
    paths = [_source(dice, offer.get("paths", ["/etc"])) for _ in range(dice.randint(1, 3))] if command.paths else []
    return _wire(dice, own, name, options, archive, paths), Intent(name, options, place, archive, paths, log)


def _request_value(dice: random.Random, name: str, kind) -> str | None:
    if kind is FLAG:
        return None
    if kind.low is not None and dice.random() < 0.5:
        return str(dice.randint(kind.low, kind.high))
    if name in _FREE and dice.random() < 0.5:
        text = "".join(dice.choices(_PRINTABLE, k=dice.randint(1, 12)))
        # borg reads 'xy:…' as a style; the gate admits the four that it knows
        if draws.admitted(kind, text):
            return text
    return dice.choice(draws.known(kind))


def _archive(dice: random.Random) -> str:
    while True:
        text = dice.choice("aZ09") + "".join(dice.choices("aZ09_.:+@=-", k=dice.choice((0, 3, 12, 60))))
        try:
            return str(ArchiveName(text))
        except BadValue:
            continue


def _source(dice: random.Random, offered: list[str]) -> str:
    root = dice.choice(offered) if dice.random() < 0.97 else "/elsewhere"
    while dice.random() < 0.6:
        part = dice.choice(
            ("x", "-e", "--rsh=x", "..x", "'", '"', "::a", "$(id)", "~", "*", "a b", " ", "R x", "@f", "=", "\\")
        )
        try:
            root = str(SourcePath(f"{root.rstrip('/')}/{part}"))
        except BadValue:
            continue
    return root


def _wire(dice: random.Random, own: list[str], name: str, options: list, archive: str | None, paths: list[str]) -> str:
    """Write the words in any order that the language has: options before, between or after operands, or '--'."""
    groups = []
    for option, value in options:
        attached = value is None or dice.random() < 0.5
        groups.append(
            ([f"--{option}" if value is None else f"--{option}={value}"]) if attached else [f"--{option}", value]
        )
    operands = [*([f"::{archive}"] if archive else []), *paths]
    at = dice.randint(0, len(operands)) if dice.random() < 0.5 else len(operands)
    # options keep their order among themselves, and so do operands
    slots = at + len(groups)
    places = dice.sample(range(slots), at) if dice.random() < 0.5 else range(at)
    front, rest = iter(operands[:at]), iter(groups)
    words = [word for slot in range(slots) for word in ([next(front)] if slot in places else next(rest))]
    if at < len(operands) or dice.random() < 0.5:
        words.append("--")
    return shlex.join(["borg", *own, name, *words, *operands[at:]])
