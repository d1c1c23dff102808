"""Make tests/corpora/risk.json: which words of borg's are dangerous, and in how many ways each can be spelled.

    python tests/proofs/risk.py borg-risk.json >tests/corpora/risk.json

borg-risk.json is one of the project's facts: every parser of borg 1.4.5 was dumped and every option tried by hand. Kept
here are the spellings, arity, verdict and classes of each; notes and validators are left out. Abbreviations are every
prefix that argparse accepts, from the shortest to the full word without its last letter; only the shortest is kept.
"""

import json
import sys


def shortest(option):
    """Return each spelling and its shortest accepted prefix; those between are accepted too, or this fails."""
    found = {}
    for full in option["option_strings"]:
        prefixes = [text for text in option.get("abbreviations", []) if full.startswith(text)]
        if full.startswith("--") and prefixes:
            first = min(prefixes, key=len)
            assert {full[:length] for length in range(len(first), len(full))} == set(prefixes), full
            found[full] = first
        else:
            found[full] = full
    return found


def kept(option):
    """Return what a proof needs of an option."""
    return {
        "spellings": shortest(option),
        "arity": option["arity"],
        "verdict": option["verdict"],
        "classes": option["classes"],
    }


def lines(options):
    """Return the options as JSON, one a line."""
    rows = [f"   {json.dumps(name)}: {json.dumps(kept(option))}" for name, option in sorted(options.items())]
    return "{\n" + ",\n".join(rows) + "}" if rows else "{}"


def main():
    """Read the facts, write the corpus."""
    with open(sys.argv[1], encoding="utf-8") as file:
        facts = json.load(file)
    commands = [
        f'  {json.dumps(name)}: {{"verdict": {json.dumps(command["verdict"])},'
        f' "classes": {json.dumps(command["classes"])}, "options": {lines(command["options"])}}}'
        for name, command in sorted(facts["subcommands"].items())
    ]
    about = f"borg {facts['borg_version']}: made by tests/proofs/risk.py from borg-risk.json; do not edit"
    print(f'{{"about": {json.dumps(about)},\n "common": {lines(facts["common_options"])},\n "subcommands": {{')
    print(",\n".join(commands) + "}}")


if __name__ == "__main__":
    main()
