"""The examples in docstrings are what the program does; what could only be a sketch stands there without a prompt."""

import doctest
import importlib
from pathlib import Path

import pytest

import borgctl

TOP = Path(borgctl.__file__).parent
# only what has an example is imported, and only when it is tried
MODULES = [
    ".".join(("borgctl", *path.relative_to(TOP).with_suffix("").parts))
    for path in sorted(TOP.rglob("*.py"))
    if ">>> " in path.read_text("utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(name):
    tried = doctest.testmod(importlib.import_module(name))
    assert tried.attempted and not tried.failed


def test_there_are_examples():
    assert len(MODULES) > 30
