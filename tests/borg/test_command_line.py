"""borg's own parsers, 1.4.5 and 1.2.4, read our argv as we mean it."""

import json
import random
import subprocess

import draws
import pytest
from stage import SUPPORT

from borgctl.borg import command_line
from borgctl.borg.command import BorgCommand
from borgctl.borg.subcommands import COMMANDS
from borgctl.borg.version import supported
from borgctl.values import ArchiveName, SourcePath

ORACLE = str(SUPPORT / "borg_oracle.py")
MANY = 1200


@pytest.fixture(scope="module")
def many():
    """A few thousand commands, each time the same."""
    dice = random.Random(20261123)
    return [draws.launch(dice) for _ in range(MANY)]


def known_to(series, launch):
    return all(COMMANDS[launch.command].options[name].since <= series for name, _ in launch.options)


def existing(launch, file):
    """Return the command with an existing file in place of each file that borg opens while it parses."""
    files = ("exclude-from", "patterns-from")
    options = tuple((name, file if name in files else value) for name, value in launch.options)
    return BorgCommand(**{name: getattr(launch, name) for name in BorgCommand.__slots__} | {"options": options})


def readings(borg, argvs):
    text = json.dumps(argvs)
    argv = [borg.python, ORACLE, "parse"]
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=120, check=True)
    return json.loads(done.stdout)


OURS = {
    "create": ("progress", "json", "stats", "quick-stats", "list"),
    "prune": ("progress", "list"),
    **dict.fromkeys(("list", "info"), ("progress", "json")),
}


def meant(launch):
    """Return how borg must read the command, from the command alone."""
    path, archive = str(launch.repository), launch.archive and str(launch.archive)
    location = {"proto": "ssh", "user": None, "host": "borgctl", "port": None, "path": path, "archive": archive}
    return launch.command, location, [str(path) for path in launch.paths]


@pytest.mark.e2e
@pytest.mark.parametrize("which", ["borg_14", "borg_12"])
def test_borg_itself_reads_each_launch_as_it_was_meant(request, many, which, tmp_path):
    borg = request.getfixturevalue(which)
    file = tmp_path / "patterns"
    file.write_text("")
    usable = [existing(launch, str(file)) for launch in many if known_to(borg.series, launch)]
    assert len(usable) > MANY / 3 and {launch.command for launch in usable} == set(COMMANDS)
    version = supported(f"{borg.series}.{borg.release}")
    argvs = [command_line.build(launch, "borg", version)[1:] for launch in usable]
    assert any("--quick-stats" in argv for argv in argvs) == (version.release >= (1, 4, 5))
    for launch, read in zip(usable, readings(borg, argvs), strict=True):
        if "error" in read and any(name in ("pattern", "exclude") for name, _ in launch.options):
            # the admin's own pattern, which borg alone understands; a request's exclude is always one
            assert any(not readable(name, value) for name, value in launch.options), (read, launch)
            continue
        assert "error" not in read, (read, launch)
        command, location, paths = meant(launch)
        roots = [value[1:].strip() for name, value in launch.options if name == "pattern" and value[0] in "Rr"]
        assert (read["command"], read["location"]) == (command, location)
        assert sorted(read["paths"]) == sorted(roots + paths)
        expected = [("log-json", None), ("umask", "0077"), ("lock-wait", "120"), *launch.options]
        for (name, value), (names, text) in zip(expected, read["options"], strict=False):
            assert f"--{name}" in names and value == text
        added = [(names[-1], value) for names, value in read["options"][len(expected) :]]
        assert set(added) <= {(f"--{name}", None) for name in OURS.get(launch.command, ("progress",))}


def readable(name, value):
    """Tell roughly whether borg understands an admin's own pattern: whether it knows its style and action."""
    if name == "exclude":
        return not (len(value) > 2 and value[2] == ":" and value[:2].isalnum()) or value[:2] in ("fm", "sh", "pp", "pf")
    return name != "pattern" or (value[0] in "+-!Rr" and len(value) > 2)


def launch(command="create", **changes):
    values = {
        "rule": "/p.yaml:1",
        "command": command,
        "options": (),
        "repository": "/srv/a",
        "transport": "stdio",
        "log": "text",
        "disclosed": True,
    }
    return BorgCommand(**(values | changes))


def built(command, version=None):
    return command_line.build(command, "borg", version and supported(version))


@pytest.mark.parametrize(
    ("options", "log", "disclosed", "added"),
    [
        ((), "text", True, ["--stats"]),
        ((), "json", True, ["--progress", "--json"]),
        ((), "text", False, ["--json"]),
        ((), "json", False, ["--progress", "--json"]),
        ((("stats", None),), "text", False, ["--json"]),
        ((("stats", None),), "text", True, []),
        ((("list", None),), "json", True, ["--progress", "--json"]),
        ((("list", None),), "text", True, ["--stats"]),
        ((("dry-run", None),), "json", True, ["--progress", "--list"]),
        ((("json", None),), "text", True, []),
    ],
)
@pytest.mark.parametrize("version", [None, "1.2.4", "1.4.4", "1.4.5rc1"])
def test_the_server_sees_what_it_may_in_the_form_it_asked_for(options, log, disclosed, added, version):
    words = built(launch(options=options, log=log, disclosed=disclosed), version)
    own = [f"--{name}" for name, _ in options]
    assert words[2 : words.index("--")] == ["--log-json", "--umask=0077", "--lock-wait=120", *own, *added]


@pytest.mark.parametrize(
    ("options", "log", "disclosed", "added"),
    [
        ((), "json", True, ["--progress", "--json", "--quick-stats"]),
        ((), "text", False, ["--json", "--quick-stats"]),
        ((("list", None),), "json", True, ["--progress", "--json", "--quick-stats"]),
        ((), "text", True, ["--stats"]),  # a person reads them
        ((("json", None),), "json", True, ["--progress"]),  # a policy or a request that names them has them whole
        ((("stats", None),), "json", True, ["--progress", "--json"]),  # borg takes one of the two
        ((("dry-run", None),), "json", True, ["--progress", "--list"]),
    ],
)
@pytest.mark.parametrize("version", ["1.4.5", "1.4.10"])
def test_no_sums_over_all_archives_that_nobody_reads(options, log, disclosed, added, version):
    words = built(launch(options=options, log=log, disclosed=disclosed), version)
    assert words[5 : words.index("--")] == [*(f"--{name}" for name, _ in options), *added]


@pytest.mark.parametrize(
    ("paths", "options", "places"),
    [
        (["/"], (), ["/proc", "/sys", "/dev", "/run"]),
        (["/", "/run"], (), ["/proc", "/sys", "/dev"]),
        (["/run/x", "/"], (), ["/proc", "/sys", "/dev"]),
        (["/", "/runner"], (), ["/proc", "/sys", "/dev", "/run"]),
        (["/"], (("one-file-system", None),), []),
        (["/etc"], (), []),
    ],
)
def test_what_each_start_makes_anew_is_left_out_of_a_whole_machine_unless_it_is_named(paths, options, places):
    words = built(launch(paths=tuple(map(SourcePath, paths)), options=options))
    assert [word for word in words if "exclude" in word] == [f"--exclude=sh:{place}/*" for place in places]


MATCHED = """
import json, sys
from borg.archiver import Archiver
args = Archiver().build_parser().parse_args(json.loads(sys.argv[1]))
from borg.patterns import PatternMatcher
matcher = PatternMatcher(fallback=True)
matcher.add_inclexcl(args.patterns)
print(json.dumps([path for path in json.loads(sys.argv[2]) if matcher.match(path)]))
"""


@pytest.mark.e2e
@pytest.mark.parametrize("which", ["borg_14", "borg_12"])
def test_borg_leaves_out_what_is_in_these_places_and_saves_the_directories(request, which):
    borg = request.getfixturevalue(which)
    saved = ["/proc", "/sys", "/dev", "/run", "/procs/1", "/runner", "/var/run/x", "/srv/dev/null", "/dev/mine"]
    left_out = ["/proc/1", "/proc/1/mem", "/sys/kernel", "/dev/sda", "/dev/mapper/x", "/run/user/0/x", "/run/.y"]
    options = (("pattern", "+ pp:/dev/mine"),)  # whoever writes the job has the first word
    words = built(launch(paths=(SourcePath("/"),), archive=ArchiveName("a"), options=options))[1:]
    asked = [borg.python, "-c", MATCHED, json.dumps(words), json.dumps(saved + left_out)]
    assert json.loads(subprocess.run(asked, capture_output=True, check=True, timeout=60).stdout) == saved


@pytest.mark.parametrize(
    ("command", "options", "archive", "added"),
    [
        ("prune", (), None, ["--list"]),
        ("prune", (("list", None), ("dry-run", None)), None, []),
        ("list", (("short", None),), None, ["--json"]),  # borg's text would stay here, and names of archives may leave
        ("list", (), "a", []),  # borg has no --json of what is in an archive
        ("info", (), "a", ["--json"]),
    ],
)
def test_what_borg_did_comes_in_a_form_that_can_be_counted(command, options, archive, added):
    words = built(launch(command, options=options, archive=archive, disclosed=archive is not None, log="json"))
    own = [f"--{name}" for name, _ in options]
    assert words[5 : words.index("--")] == [*own, "--progress", *added]


def test_a_random_launch_is_built_the_same_twice(many):
    for one in random.sample(many, 20):
        assert built(one, "1.4.5") == built(one, "1.4.5")
