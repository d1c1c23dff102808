"""Run by a real borg's own Python: how does borg's own parser read these words?

    PYTHON borg_oracle.py describe COMMAND…   each option's strings, whether it takes a value and whether it accumulates
    PYTHON borg_oracle.py parse               reads a JSON list of argv's on stdin, writes a JSON list of readings

A reading is {"command", "options": [[names, value or null], …], "location": {…}, "paths": […]} or {"error": text}.
"""

import argparse
import contextlib
import io
import json
import re
import sys

from borg.archiver import Archiver

seen = []
original = argparse.ArgumentParser._get_values


def _get_values(self, action, words):
    if action.option_strings:
        seen.append([action.option_strings, list(words)])
    return original(self, action, words)


argparse.ArgumentParser._get_values = _get_values


def subparsers(parser):
    return next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction)).choices


def described(parser, command):
    found = {}
    for action in subparsers(parser)[command]._actions:
        accumulates = "Append" in type(action).__name__ or type(action).__name__.startswith("Argparse")
        for name in action.option_strings:
            found[name] = {"takes_value": action.nargs != 0, "accumulates": accumulates}
    return found


def forget(parser):
    """Undo what an 'R' pattern of the last argv left in the parser's own defaults."""
    for one in (parser, *subparsers(parser).values()):
        for name in {"paths", "patterns"} & one._defaults.keys():
            one._defaults[name] = []
        for action in one._actions:
            if action.dest in ("paths", "patterns") and isinstance(action.default, list):
                action.default = []


def reading(parser, words):
    seen.clear()
    forget(parser)
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            args = parser.parse_args(words)
            parser.common_options.resolve(args)
    except SystemExit:
        return {"error": told.getvalue()[-300:]}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    options = [[names, values[0] if values else None] for names, values in seen]
    where = args.location
    names = ("proto", "user", "host", "port", "path", "archive")
    location = {name: getattr(where, name) for name in names}
    command = re.sub(r"^do_", "", args.func.__name__)
    return {"command": command, "options": options, "location": location, "paths": getattr(args, "paths", [])}


def main():
    parser = Archiver().build_parser()
    if sys.argv[1] == "describe":
        answer = {command: described(parser, command) for command in sys.argv[2:]}
    else:
        answer = [reading(parser, words) for words in json.load(sys.stdin)]
    json.dump(answer, sys.stdout)


main()
