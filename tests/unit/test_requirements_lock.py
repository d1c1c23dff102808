"""The files that root installs from name a release and hashes of all that is needed, and nothing else."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from stage import TOP

ENTRY = re.compile(r"([a-z0-9-]+)==([0-9][0-9A-Za-z.]*) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)")


def locked(name):
    """Return what a file names, as {name: release}; every line of it is one of an entry."""
    text = (TOP / name).read_text()
    head, _, rest = text.partition("\n")
    assert head.startswith("# ") and not re.sub(ENTRY, "", rest), f"{name} has a line that is none: run 'make lock'"
    return {found[1]: found[2] for found in ENTRY.finditer(rest)}


@pytest.mark.parametrize(("name", "extras"), [("requirements.lock", ["cli"]), ("requirements-gate.lock", [])])
def test_what_the_package_needs_is_locked_in_a_release_that_is_good_for_it(name, extras):
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in extras:
        wanted += project["project"]["optional-dependencies"][extra]
    found = locked(name)
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(found[requirement.name]), f"{requirement}: run 'make lock'"


def test_the_gates_has_none_of_what_only_people_need():
    gate, people = locked("requirements-gate.lock"), locked("requirements.lock")
    assert gate.items() <= people.items() and {"typer", "rich"} <= people.keys() - gate.keys()
