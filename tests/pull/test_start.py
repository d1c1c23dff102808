"""What a start of the launcher imports: of the heavy libraries nothing that its command line does not need."""

import json
import os
import pty
import subprocess
import sys

import pytest
from terminals import shown_on

XTERM = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "xterm"}
HEAVY = (
    *("typer", "rich", "prometheus_client", "jinja2", "pydantic", "yaml", "dataclasses", "inspect", "traceback"),
    "secrets",
)
SEEN = """
import json, sys
def note(event, arguments):
    if event == "subprocess.Popen":
        with open({file!r}, "a") as file:
            print(json.dumps([arguments[1], [name for name in {heavy!r} if name in sys.modules]]), file=file)
sys.addaudithook(note)
"""
LATER = """
import atexit, json, sys
early = set()
def ours():
    return {{name for name in sys.modules if name.startswith("borgctl")}}
def note(event, arguments):
    if event == "subprocess.Popen":
        early.update(ours())
sys.addaudithook(note)
def tell():
    with open({file!r}, "w") as file:
        json.dump([len(early), sorted(ours() - early)], file)
atexit.register(tell)
"""
IMPORTED = "import atexit, sys; atexit.register(lambda: print([n for n in {heavy!r} if n in sys.modules]))\n"
MAIN = "from borgctl.pull import app; sys.argv = {argv!r}; app.main()"


def run(code: str) -> str:
    """Run code in a new interpreter, which must end well; return what it printed."""
    argv = [sys.executable, "-I", "-c", code]
    return subprocess.run(argv, stdin=subprocess.DEVNULL, check=True, capture_output=True, text=True).stdout


def at_each_start(world, *words: str, stderr: int = subprocess.PIPE) -> dict[str, list[str]]:
    """Run borgpull, and return what was imported at the start of each of its processes, by the program's name."""
    file = world.root / "seen"
    with world.start(*words, before=SEEN.format(file=str(file), heavy=HEAVY), stderr=stderr, env=XTERM) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    started = [json.loads(line) for line in file.read_text().splitlines()]
    return {
        "guard" if "borgctl.pull.repository.rpc_guard" in argv else "serve" if "serve" in argv else "client": imported
        for argv, imported in started
    }


def test_the_version_needs_none_of_them():
    code = IMPORTED.format(heavy=HEAVY) + MAIN.format(argv=["borgpull", "--version"])
    assert run(code).splitlines()[1:] == ["[]"]


def test_help_needs_typer():
    assert "'typer'" in run(IMPORTED.format(heavy=HEAVY) + MAIN.format(argv=["borgpull", "--help"]))


def test_a_status_needs_yaml_alone(world):
    world.local([], borg=world.quiet_serve())
    argv = world.argv("status", "--json")
    said = run("import sys\n" + IMPORTED.format(heavy=HEAVY) + "sys.exit = lambda _: None\n" + MAIN.format(argv=argv))
    assert said.splitlines()[-1] == "['yaml']"


def test_a_status_on_a_terminal_needs_rich_too(world):
    world.local([], borg=world.quiet_serve())
    ours, theirs = pty.openpty()
    before = IMPORTED.format(heavy=HEAVY).replace("print(", "print(file=sys.stderr, *")
    with world.start("status", stdout=theirs, before=before, env=XTERM) as process:
        os.close(theirs)
        assert "web1" in shown_on(ours).decode()
        imported = process.stderr.read().decode().split()
    assert "rich" in imported and not {"typer", "prometheus_client", "pydantic"} & set(imported)


def test_a_run_starts_its_processes_before_it_imports_more_than_yaml(world):
    world.local([["start"], ["exit", "ok", 0]], borg=world.quiet_serve())
    started = at_each_start(world, "run", "web1", "--job", "default", "--json")
    assert started == {"client": ["yaml"], "guard": ["yaml"], "serve": ["yaml"]}


@pytest.mark.parametrize(("ending", "status"), [(["exit", "ok", 0], 0), (["status", 255], 2)], ids=["good", "lost"])
def test_a_run_that_goes_on_imports_nothing_more_of_ours(world, ending, status):
    """An upgrade of the package meanwhile would mix two releases."""
    world.local([["start"], ending], borg=world.quiet_serve())
    file = world.root / "later"
    with world.start("run", "web1", "--job", "default", before=LATER.format(file=str(file))) as process:
        process.communicate(timeout=60)
    early, later = json.loads(file.read_text())
    assert (process.returncode, later) == (status, []) and early > 50


def test_on_a_terminal_too_and_its_moving_line_comes_then(world):
    world.local([["start"], ["exit", "ok", 0]], borg=world.quiet_serve())
    ours, theirs = pty.openpty()
    started = at_each_start(world, "run", "web1", "--job", "default", stderr=theirs)
    os.close(theirs)
    assert set(map(tuple, started.values())) == {("yaml",)} and len(started) == 3
    shown = shown_on(ours).decode()
    assert "\x1b[?25l" in shown and "web1 default: ok" in shown, "rich hides the cursor while its line moves"


def test_a_run_ends_well_where_the_moving_line_cannot_be_imported(world):
    world.local([["start"], ["exit", "ok", 0]], borg=world.quiet_serve())
    ours, theirs = pty.openpty()
    with world.start(
        "run", "web1", before="import sys; sys.modules['rich.console'] = None", stderr=theirs, env=XTERM
    ) as process:
        process.communicate(timeout=60)
    os.close(theirs)
    shown = shown_on(ours).decode()
    assert process.returncode == 0 and "web1 default: started" in shown and "web1 default: ok" in shown


def test_an_uncommon_line_is_read_by_typer(world):
    world.local([["start"], ["exit", "ok", 0]], borg=world.quiet_serve())
    assert all("typer" in imported for imported in at_each_start(world, "run", "--", "web1").values())
