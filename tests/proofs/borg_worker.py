"""Run by a real borg's own Python: does borg's own parser read an argv as it was meant, and nothing besides?

One question a line on stdin, one answer a line on stdout:

    {"cases": [{"argv": […], "meant": {"command", "options": [[name, value or null], …], "location": {…}, "paths": […]},
                "untouched": […]}, …]}
    {"command": "create", "names": ["rsh", …]}
    {"words": true}

What is expected is made from borg's defaults (the namespace of an argv without any option), changed by borg's own
actions for exactly the options that were meant, in that order: it does not go through argparse's reading of words,
which is what is judged. Flags, numbers and free text are also compared with what they plainly say. `untouched` names
options that must stand at their defaults.
"""

import argparse
import contextlib
import copy
import io
import json
import os
import sys

from borg.archiver import Archiver

NUMBERS = ("lock-wait", "checkpoint-interval", "upload-ratelimit", "upload-buffer", "first", "last", "max-duration")
LOCATION = ("proto", "user", "host", "port", "path", "archive")

archiver = Archiver()
parser = archiver.build_parser()
archiver.build_parser = lambda: parser
SUBPARSERS = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction)).choices
# borg's parsers share these lists, and an 'R' pattern writes into them
SHARED = [
    one._defaults[name]
    for one in (parser, *SUBPARSERS.values())
    for name in ("paths", "patterns")
    if name in one._defaults
]


def read(argv):
    for one in SHARED:
        one.clear()
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
            args = vars(archiver.parse_args(list(argv)))
    except SystemExit:
        raise ValueError(told.getvalue()[-300:]) from None
    return {name: copy.copy(value) if isinstance(value, list) else value for name, value in args.items()}


BASELINES = {}


def baseline(command):
    """Return borg's own defaults; location and paths are set by every case."""
    if command not in BASELINES:
        operands = ["ssh://x/y::z", "p"] if command == "create" else ["ssh://x/y"]
        args = read([command, *(["--encryption=none"] if command == "init" else []), *operands])
        BASELINES[command] = {name: value for name, value in args.items() if name not in ("location", "paths")}
    return BASELINES[command]


def plain(value):
    """Return a value as lists, dictionaries, strings and numbers that compare."""
    if value is None or isinstance(value, (str, int, float)):
        return [type(value).__name__, value]
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *map(plain, value)]
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    if isinstance(value, type(archiver)):
        return "archiver"
    slots = {name: getattr(value, name) for name in getattr(type(value), "__slots__", ()) if hasattr(value, name)}
    held = {**slots, **getattr(value, "__dict__", {})}
    return [
        type(value).__name__,
        {name: plain(one) for name, one in held.items() if name not in ("regex", "match_count")},
    ]


def action_of(command, name):
    return SUBPARSERS[command]._option_string_actions.get("--" + name)


def destination(action):
    return action.dest.removesuffix("_subcommand")


def expected(meant):
    command = meant["command"]
    held = argparse.Namespace(**copy.copy(baseline(command)))
    held.patterns, held.paths = [], []
    one, done = SUBPARSERS[command], set()
    for name, value in meant["options"]:
        action = action_of(command, name)
        if action is None:
            raise ValueError(f"--{name} is unknown here")
        if action.dest not in ("patterns", "paths", *done):  # "There can be only one" compares with the raw default
            setattr(held, action.dest, action.default)
            done.add(action.dest)
        action(one, held, one._get_values(action, [] if value is None else [value]), f"--{name}")
        if action.dest != destination(action):
            setattr(held, destination(action), getattr(held, action.dest))
            delattr(held, action.dest)
    fields = vars(held)
    if "paths" in meant and one_takes_paths(command):
        fields["paths"] = [*held.paths, *meant["paths"]]
    return fields


def one_takes_paths(command):
    return any(action.dest == "paths" and not action.option_strings for action in SUBPARSERS[command]._actions)


def own_reading(name, value):
    """Return what an option plainly says, or None where only borg can tell."""
    if value is None:
        return True
    if name in NUMBERS or (name.startswith("keep-") and name != "keep-within"):
        return int(value)
    return {"umask": 0o77, "comment": value}.get(name)


def compared(case):
    """Yield every way in which borg reads the case otherwise than it was meant."""
    meant, words = case["meant"], case["argv"]
    command = meant["command"]
    wanted, got = expected(meant), read(words)
    location = got.pop("location")
    found = {name: getattr(location, name) for name in LOCATION}
    if found != meant["location"]:
        yield f"location {found!r}"
    if got["func"].__name__ != f"do_{command}":
        yield f"subcommand {got['func'].__name__!r}"
    for name in sorted({*got, *wanted} - {"location"}):
        mine, theirs = plain(wanted.get(name, "(not set)")), plain(got.get(name, "(not set)"))
        if mine != theirs and not (name == "paths" and not got.get(name) and not wanted.get(name)):
            yield f"{name} is {theirs!r} and not {mine!r}"
    # by destination, as 'keep-last' and 'keep-secondly' are one to borg, of which the last wins
    last = {destination(action_of(command, name)): (name, value) for name, value in meant["options"]}
    for place, (name, value) in last.items():
        own = own_reading(name, value)
        if own is not None and got[place] != own:
            yield f"--{name} says {own!r} and borg reads {got[place]!r}"
    for name in case.get("untouched", ()):
        action = action_of(command, name)
        place = action and destination(action)
        if action and plain(got.get(place)) != plain(baseline(command).get(place)):  # borg 1.2 leaves some unset
            yield f"--{name} is not at its default: {got[place]!r}"


def words(one, above=""):
    """Yield (subcommand, spellings) for every option of every parser, and one without spellings for each of these."""
    nested = [action for action in one._actions if isinstance(action, argparse._SubParsersAction)]
    for action in nested:
        for name, below in action.choices.items():
            yield from words(below, f"{above} {name}".strip())
    if not nested or not above:
        yield above, []
        yield from ((above, action.option_strings) for action in one._actions if action.option_strings)


def answer(question):
    if "words" in question:
        return {"words": list(words(parser))}
    if "names" in question:
        known = {name: action_of(question["command"], name) for name in question["names"]}
        return {"destinations": {name: destination(action) for name, action in known.items() if action}}
    differences = []
    for at, case in enumerate(question["cases"]):
        try:
            differences += [[at, text] for text in compared(case)]
        except Exception as error:
            differences.append([at, f"{type(error).__name__}: {error}"])
    return {"parsed": len(question["cases"]), "differences": differences[:20]}


def main():
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    for line in io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8"):
        print(json.dumps(answer(json.loads(line))), file=out, flush=True)


main()
