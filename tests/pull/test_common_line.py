"""The common command lines are read as typer reads them, or not at all."""

import contextlib
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.main import get_command

from borgctl.pull.command_line import app
from borgctl.pull.common_line import Run, Status, Version, read

GROUP = get_command(app)
WORDS = st.sampled_from(
    [
        *(
            "run",
            "status",
            "add",
            "web1",
            "web2",
            "a b",
            "",
            "ü",
            "\udcff",
            "-",
            "--",
            "-h",
            "-j",
            "--help",
            "--version",
        ),
        *(
            "--config-dir",
            "--config-dir=/c",
            "--config-dir=",
            "--state-dir",
            "--state-dir=/s=t",
            "/c",
            "--show-completion",
        ),
        *("--all", "--json", "--nagios", "--job", "--job=prune", "--job=", "--job=-x", "--dry-run", "--no-json"),
        *("--all=yes", "--jo", "--jobs", "-x", "--run"),
        *("--due", "--due=1", "--parallel", "--parallel=4", "--within", "--within=6h", "--retries", "3", "--retr"),
        *("--log-format", "--log-format=json", "--log-format="),
    ]
)
LINES = st.one_of(
    st.lists(WORDS, max_size=6),
    st.builds(
        lambda before, command, behind: [*before, command, *behind],
        st.lists(st.sampled_from(["--config-dir", "/c", "--state-dir=/s"]), max_size=3),
        st.sampled_from(["run", "status"]),
        st.lists(WORDS, max_size=5),
    ),
)


def by_typer(words):
    """Return what typer reads: the command, its parameters and the group's; raise what it raises."""
    group = GROUP.make_context("borgpull", list(words))
    rest = [*getattr(group, "_protected_args", ()), *group.args]
    name, command, left = GROUP.resolve_command(group, rest)
    return name, command.make_context(name, left, parent=group).params, group.params


@given(LINES)
@example(["--config-dir", "run", "run", "status"])
@example(["run", "web1", "--job", "--json"])
@example(["run", "--job", "a", "web1", "--job=b", "--json", "--json"])
@settings(max_examples=200, deadline=None)
def test_what_is_read_is_what_typer_reads(words):
    line = read(words, {})
    match line:
        case None | Version():
            assert line is None or words == ["--version"]
        case Run():
            name, read_by_typer, group = by_typer(words)
            assert (name, group["config_dir"], group["state_dir"]) == ("run", line.config_dir, line.state_dir)
            assert (read_by_typer["targets"] or [], read_by_typer["job"] or []) == (line.targets, line.jobs)
            assert (read_by_typer["all"], read_by_typer["as_json"]) == (line.all, line.as_json)
            for name in ("due", "parallel", "within", "retries", "log_format"):
                assert read_by_typer[name] == getattr(line, name)
            assert not read_by_typer["dry_run"] and set(read_by_typer) == {
                "targets",
                "job",
                "all",
                "as_json",
                "dry_run",
                *("due", "parallel", "within", "retries", "log_format"),
            }
        case Status():
            name, read_by_typer, group = by_typer(words)
            assert (name, group["config_dir"], group["state_dir"]) == ("status", line.config_dir, line.state_dir)
            assert (read_by_typer["targets"] or []) == line.targets
            flags = {"all": line.all, "as_json": line.as_json, "as_nagios": line.as_nagios}
            assert read_by_typer == flags | {"targets": read_by_typer["targets"]}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--version"], Version()),
        (["run", "--all"], Run(None, None, [], True, [], False)),
        (["run", "web1", "web2", "--job", "a", "--job=b"], Run(None, None, ["web1", "web2"], False, ["a", "b"], False)),
        (["--config-dir", "/c", "--state-dir=/s", "run", "--json", "x"], Run("/c", "/s", ["x"], False, [], True)),
        (["run"], Run(None, None, [], False, [], False)),
        (["status"], Status(None, None, [], False, False, False)),
        (["--state-dir", "/s", "status", "--nagios", "x"], Status(None, "/s", ["x"], False, False, True)),
    ],
)
def test_the_common_forms_are_read(words, line):
    assert read(words, {"PATH": "/bin"}) == line


@pytest.mark.parametrize(
    "words",
    [
        *(
            [],
            ["run", "--dry-run", "x"],
            ["run", "--help"],
            ["--help"],
            ["add", "x"],
            ["run", "--", "-x"],
            ["run", "-"],
        ),
        *(["--version", "run"], ["--config-dir"], ["--config-dir", "--version", "run"], ["run", "x", "--job"]),
        *(["run", "ü"], ["run", "--json=x", "y"], ["--all", "run"]),
    ],
    ids=repr,
)
def test_all_others_are_left_to_typer(words):
    assert read(words, {}) is None


def test_a_line_that_a_shell_wants_completed_is_left_to_typer():
    assert read(["run", "x"], {"_BORGPULL_COMPLETE": "complete_bash"}) is None


def test_typer_prints_the_same_version(capsys):
    with contextlib.redirect_stdout(io.StringIO()) as printed, pytest.raises(SystemExit):
        app(["--version"])
    assert printed.getvalue().startswith("borgpull ") and read(["--version"], {}) == Version()
