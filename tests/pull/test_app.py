"""The command line of `run` and `compact`: what goes to which stream, and the exit status."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from borgctl.pull.client.borglog import Step
from borgctl.pull.report import progress_text
from borgctl.pull.repository import guard_process, serve
from borgctl.pull.repository.sessions import GuardSession
from borgctl.pull.run import run_call
from borgctl.pull.targets import selection
from borgctl.pull.targets.paths import TargetName, lock


def log(level: str, message: str) -> list[str]:
    return ["err", json.dumps({"type": "log_message", "levelname": level, "name": "borg", "message": message})]


def test_json_has_one_object_for_each_run_and_nothing_else(world, borgpull) -> None:
    stats = {"nfiles": 3, "original_size": 10, "compressed_size": 5, "deduplicated_size": 1}
    result = {"archive": {"name": "monday", "stats": stats}}
    steps = [
        ["start"],
        log("INFO", "quiet"),
        log("WARNING", "loud"),
        ["out", json.dumps(result)],
        ["exit", "warning", 1],
    ]
    world.local(steps, jobs="[one, two]", borg=world.quiet_serve())
    status, out, err = borgpull("run", "--json", "web1")
    assert (status, err) == (1, "")
    first, second = map(json.loads, out.splitlines())
    assert (first["job"], second["job"]) == ("one", "two")
    assert list(first) == [
        *("target", "job", "run", "outcome", "origin", "code", "reason", "started", "duration", "command", "result"),
        *(
            "messages",
            "warnings",
            "serve",
            "passed",
            "refused",
            "skipped_mounts",
            "pruned",
            "listed",
            "audit",
            "alerts",
            "again",
        ),
    ]
    assert first["result"] == result
    assert first["messages"] == [{"source": "borg", "level": "WARNING", "text": "loud", "msgid": None}]
    assert (first["run"], first["outcome"], first["code"], first["serve"]) == ("run-1", "warning", 1, 0)
    assert first["started"].endswith("+00:00")


def test_results_of_other_commands_go_to_stdout_escaped(world, borgpull) -> None:
    steps = [["start", "list"], ["out", "monday"], ["out", "evil\x1b[2J"], ["exit", "ok", 0]]
    world.local(steps, borg=world.quiet_serve(), jobs="{default: {kind: read}}")
    status, out, err = borgpull("run", "web1")
    assert (status, out) == (0, "web1 default: result: monday\nweb1 default: result: evil\\x1b[2J\n")
    assert "web1 default: ok" in err


def test_hello_gives_the_jobs_that_create(world, borgpull) -> None:
    hello = [["hello", "etc", "home"]]
    world.local({"hello": hello, "run": [["start"], ["exit", "ok", 0]]}, jobs=None, borg=world.quiet_serve())
    status, out, _ = borgpull("run", "--json", "web1")
    assert status == 0
    assert [json.loads(line)["job"] for line in out.splitlines()] == ["etc", "home"]


@pytest.mark.parametrize(
    ("hello", "reason"),
    [
        ([["protocol", 2]], "unknown-protocol"),
        ([["hello"]], "no-jobs"),
        ([["raw", "bash: command not found\n"], ["status", 127]], "no-hello"),
        ([["refuse", "refused", 78, "policy-invalid"]], "policy-invalid"),
        ([["status", 0]], "no-hello"),
    ],
)
def test_a_client_that_does_not_say_hello_is_not_asked_to_run(world, borgpull, hello: list, reason: str) -> None:
    world.local({"hello": hello, "run": [["start"], ["exit", "ok", 0]]}, jobs=None, borg=world.quiet_serve())
    status, out, _ = borgpull("run", "--json", "web1")
    report = json.loads(out)
    assert (status, report["job"], report["reason"]) == (2, None, reason)


def test_one_bad_target_does_not_keep_the_others_back(world, borgpull) -> None:
    world.local([["start"], ["exit", "ok", 0]], name="web2", borg=world.quiet_serve())
    path = Path(world.folders.target(TargetName("web1")))
    path.write_text("host: h\nrepository: /r/x\nquota: nothing\n")
    Path(world.folders.targets, "--all.yaml").write_text("host: h\n")
    status, out, err = borgpull("run", "--all")
    assert status == 2
    assert "--all: error: bad target name '--all': expected up to 64 of letters" in err and "Traceback" not in err
    assert f"error: {path}:3:8: bad quota 'nothing'" in err
    assert "web2 default: ok" in err
    status, out, _ = borgpull("run", "--all", "--json")
    option, bad, good = map(json.loads, out.splitlines())
    assert (option["reason"], bad["reason"], good["outcome"]) == ("target-invalid", "target-invalid", "ok")
    assert "3:8: bad quota" in bad["messages"][0]["text"]


def test_a_dry_run_prints_both_argv_and_starts_nothing(world, borgpull) -> None:
    note = world.root / "pid"
    target = world.local([["note", str(note)]], borg=world.quiet_serve())
    status, out, _ = borgpull("run", "--dry-run", "--job", "etc", "web1")
    assert status == 0
    assert "web1 etc: gate: " in out
    assert f"web1 etc: serve: {' '.join(serve.argv(target))}" in out
    assert f"web1 etc: guard: {' '.join(guard_process.argv(target, GuardSession('create'), 0))}" in out
    assert not note.exists()
    assert not os.path.exists(world.folders.state)
    Path(world.folders.target(TargetName("web1"))).write_text("quota: 1\n")
    assert borgpull("run", "--dry-run", "web1")[0] == 2


@pytest.mark.parametrize("words", [("run",), ("run", "--all", "web1"), ("run", "none"), ("run", "--all"), ("fly",)])
def test_what_cannot_be_run_ends_with_2(borgpull, words: tuple[str, ...]) -> None:
    status, out, err = borgpull(*words)
    assert (status, out) == (2, "")
    assert "rror: " in err


@pytest.mark.parametrize("words", [("status",), ("run", "--all"), ("units",), ("add", "web1", "h")])
def test_a_user_without_an_account_is_told_so(borgpull, monkeypatch, words) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    hint = "hint: start it as a user who has one: runuser -u borgpull -- borgpull status\n"
    told = f"error: user number {os.geteuid()} has no account on this machine\n{hint}"
    assert borgpull(*words) == (2, "", told)


def test_an_interrupt_before_anything_is_started_is_no_warning(world) -> None:
    world.local([], borg=world.quiet_serve())
    code = (
        "import sys\ndef interrupt(event, words):\n"
        f"    if event == 'os.listdir' and words[0] == {world.folders.targets!r}: raise KeyboardInterrupt\n"
        "sys.addaudithook(interrupt)"
    )
    with world.start("run", "--all", before=code) as process:
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (2, b"error: interrupted\n")


def test_an_interrupt_that_typer_sees_is_no_warning_either(world) -> None:
    world.local([])
    code = (
        "import sys\ndef interrupt(event, words):\n"
        f"    if event == 'os.listdir' and words[0] == {world.folders.targets!r}: raise KeyboardInterrupt\n"
        "sys.addaudithook(interrupt)"
    )
    with world.start("targets", before=code) as process:
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (2, b"error: interrupted\n")


SHORT_OUTPUTS = [
    ("status",),
    ("status", "--nagios"),
    ("metrics",),
    ("targets",),
    ("targets", "--show"),
    ("status", "--help"),
]


@pytest.mark.parametrize("words", [*SHORT_OUTPUTS, ("--version",)])
def test_output_that_does_not_fit_on_the_disk_is_an_error(world, words) -> None:
    """It is in a buffer until the very end, when Python would say so in its own way, with its own status."""
    world.local([])
    with open("/dev/full", "wb") as full, world.start(*words, stdout=full.fileno(), env={}) as process:
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (2, b"error: borgpull: No space left on device\n")


def test_a_version_that_does_not_fit_on_the_disk_is_an_error() -> None:
    code = "import sys; from borgctl.pull import app; sys.argv = ['borgpull', '--version']; app.main()"
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, env={}, check=False)
    assert (done.returncode, done.stderr) == (2, b"error: borgpull: No space left on device\n")


@pytest.mark.parametrize("env", [{}, {"PYTHONUNBUFFERED": "1"}])
@pytest.mark.parametrize("words", SHORT_OUTPUTS)
def test_output_that_nobody_reads_is_neither_good_nor_a_warning(world, words, env) -> None:
    world.local([])
    reader, writer = os.pipe()
    os.close(reader)
    with world.start(*words, stdout=writer, env=env) as process:
        os.close(writer)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (2, b"")


@pytest.mark.parametrize("words", [("status", "@none"), ("run", "@none"), ("fly",), ("targets", "@none")])
@pytest.mark.parametrize("env", [{}, {"PYTHONUNBUFFERED": "1"}])
def test_an_error_that_cannot_be_told_is_still_one(world, words, env) -> None:
    with open("/dev/full", "wb") as full, world.start(*words, stderr=full.fileno(), env=env) as process:
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, b"")


def test_version_and_help(borgpull) -> None:
    assert borgpull("--version")[:2] == (0, "borgpull 0.1.0\n")
    assert "--dry-run" in borgpull("run", "--help")[1]


def test_compact_frees_what_a_prune_has_marked(world, borg, repository: Path, borgpull) -> None:
    source = world.root / "data"
    source.mkdir()
    (source / "file").write_bytes(os.urandom(3_000_000))
    steps = [["start"], ["borg", borg, "create", "REPO::one", str(source)]]
    assert world.run(world.local(steps, borg=borg))[0].verdict.outcome == "ok"
    (source / "file").write_bytes(b"")
    full = used(repository)
    steps = [["start", "prune"], ["borg", borg, "delete", "REPO::one"]]
    assert world.run(world.local(steps, borg=borg, jobs="{default: {deletes: any}}"))[0].verdict.outcome == "ok"
    assert used(repository) >= full  # append-only: marked, not freed
    config = (repository / "config").read_text()
    (repository / "config").write_text(config.replace("storage_quota = 0\n", "storage_quota = 100000000\n"))
    status, _, err = borgpull("compact", "web1")
    assert status == 0, err
    assert "web1 compact: ok" in err
    assert err.count("Storage quota: ") == 1 and err.count("compaction freed about ") == 1, err
    assert used(repository) < full - 2_900_000


def used(repository: Path) -> int:
    return sum(path.stat().st_size for path in (repository / "data").rglob("*") if path.is_file())


def test_compact_says_what_borg_says_and_fails_with_it(world, borg, borgpull) -> None:
    world.local([], borg=borg)
    status, _, err = borgpull("compact", "web1")
    assert status == 2
    assert "web1 compact: failed (borg: status " in err
    assert "does not exist" in err


@pytest.mark.parametrize(("code", "outcome", "result"), [(107, "warning", 1), (126, "failed", 2), (127, "failed", 2)])
def test_a_borg_that_its_script_did_not_find_has_compacted_nothing(world, borgpull, code, outcome, result) -> None:
    script = world.root / "borg"
    script.write_text(f"#!/bin/sh\nexit {code}\n")
    script.chmod(0o755)
    world.local([], borg=script)
    status, _, err = borgpull("compact", "web1")
    assert (status, f"web1 compact: {outcome} (borg: status {code})" in err) == (result, True), err


def test_the_last_line_of_borgs_is_shown_also_where_it_does_not_end(world, borgpull) -> None:
    script = world.root / "borg"
    said = '{"type": "log_message", "levelname": "ERROR", "name": "borg", "message": "killed here"}'
    script.write_text(f"#!/bin/sh\nprintf %s '{said}' >&2\nexit 2\n")
    script.chmod(0o755)
    world.local([], borg=script)
    status, _, err = borgpull("compact", "web1")
    assert (status, "killed here" in err) == (2, True), err


def test_compact_does_not_disturb_a_run(world, borg, borgpull) -> None:
    world.local([], borg=borg)
    with lock(world.folders, TargetName("web1")):
        status, _, err = borgpull("compact", "web1")
    assert (status, "error: target 'web1' is busy" in err) == (2, True)


def test_the_lock_of_a_killed_serve_is_broken_and_no_other(world, borg, repository: Path) -> None:
    note = world.root / "pid"
    script = world.root / "borg"
    script.write_text(f'#!/bin/sh\n[ $1 = serve ] && echo $$ > {note}\nexec {borg} "$@"\n')
    script.chmod(0o755)
    steps = [["start"], ["borg", borg, "with-lock", "REPO", "/bin/sh", "-c", f"kill -9 $(cat {note}); sleep 1"]]
    (report,) = world.run(world.local(steps, borg=script))
    assert report.verdict.outcome == "failed"
    assert report.serve == -signal.SIGKILL
    assert any("the lock that it left was removed" in message.text for message in report.transcript.messages)
    assert not list(repository.glob("lock.exclusive*"))
    foreign = repository / "lock.exclusive"
    foreign.mkdir()
    (foreign / "elsewhere@1.4711-0").touch()
    assert serve.release(world.folders, world.local(steps, borg=borg)) is False
    assert foreign.exists()


def test_a_terminal_gets_a_moving_line_and_no_escapes_of_the_clients(world) -> None:
    progress = {"type": "archive_progress", "nfiles": 3, "original_size": 5_000_000, "deduplicated_size": 1}
    steps = [
        ["start"],
        ["err", json.dumps(progress)],
        log("WARNING", "evil \x1b]0;owned\x07 [red]x[/red]"),
        ["sleep", 0.5],
        ["exit", "ok", 0],
    ]
    world.local(steps, borg=world.quiet_serve())
    shown, status = on_a_terminal(world, {"TERM": "xterm"})
    assert status == 0
    assert "3 files, 5.0 MB original" in shown
    assert "\x1b]0;" not in shown
    assert "evil \\x1b]0;owned\\x07 [red]x[/red]" in shown.replace("\r\n", "")
    shown, _ = on_a_terminal(world, {"TERM": "dumb"})
    assert "\x1b" not in shown
    shown, _ = on_a_terminal(world, {"TERM": "xterm-256color", "NO_COLOR": "1"})
    assert "3 files" in shown and not re.search(r"\x1b\[[0-9;]*[0-9]m", shown.replace("\x1b[0m", "")), shown


FORGED = [
    "web2 default: ok, 20016 files, 1.2 GB original, 3.4 MB new, 18 s",
    "ALERT: audit-broken: look at web2",
    "web2: ALERT: audit-broken: look",
    "hint: borgpull remove web2",
    "error: no target in /etc/borgpull",
    "x\rweb2 default: ok",
    "x\x1b[1Gweb2 default: ok",
    "x\u2028web2 default: ok",
    "x\x85web2 default: ok",
    "x\x0bweb2 default: ok",
    f"x{' ' * 5}web2 default: ok" * 200,
    f"{'x' * (1 << 20)}",
    "\u4e00" * 300 + "web2 default: ok",
    *(f"{' ' * spaces}web2 default: ok" for spaces in range(40, 80)),
]


def forging(words: list[str]) -> list:
    """Return what a client plays that wants its words to look like the launcher's own."""
    step = {"type": "progress_message", "message": words[0]}
    notes = [log("WARNING", word[:3000]) for word in words]
    return [
        *(["raw", word.replace("\n", "") + "\n"] for word in words if len(word) < 1 << 20),
        ["start", "list"],
        *(["say", "message", {"text": word[:3000]}] for word in words),
        *notes,
        ["err", json.dumps(step)],
        *(["out", word[: 1 << 19]] for word in words),
        ["sleep", 0.3],
    ]


ENDS = [["exit", "ok", 0], ["refuse", "failed", 2, "internal"], ["status", 1]]


@pytest.mark.parametrize("end", ENDS, ids=["ok", "failed", "silent"])
@pytest.mark.parametrize("terminal", [False, True], ids=["file", "terminal"])
def test_no_line_of_a_clients_stands_without_the_name_of_its_target(world, end, terminal) -> None:
    """Not by its end, by characters that move the cursor, nor by a length at which a terminal goes to its next row."""
    world.local([*forging(FORGED), end], borg=world.quiet_serve())
    if terminal:
        said, _ = on_a_terminal(world, {"TERM": "xterm"}, columns=80, both=True)
        rows = [line.rstrip("\r").split("\r")[-1] for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\r", said).split("\n")]
    else:
        out, err = world.start("run", "web1").communicate(timeout=60)
        rows = (out + err).decode().splitlines()
    assert len(rows) > 100 and not re.search(r"[\x00-\x08\x0b-\x1f\x85\u2028]", "".join(rows))
    foreign = [row for row in rows if row.strip() and not re.match(r"(?:. )?web1(?: default)?[:,] ?", row)]
    assert [row for row in foreign if not row.startswith("hint: ")] == []
    assert len([row for row in foreign if row.startswith("hint: ")]) <= 1
    assert (
        len([row for row in rows if re.match(r"web1 default: (?!result|borg|gate|serve|hook|ssh|started)", row)]) == 1
    )
    if terminal:
        assert max(cells(row) for row in rows if not row.startswith("hint: ")) <= 80  # hints are our own words


def cells(text: str) -> int:
    return sum(1 if character.isascii() else 2 for character in text)


def test_progress_that_looks_like_an_end_is_marked_as_the_clients_words() -> None:
    assert progress_text.position(Step("ok, 20016 files")) == "borg: ok, 20016 files"


def test_a_result_of_empty_lines_does_not_become_many_times_as_much(world, borgpull) -> None:
    steps = [["start", "list"], *[["out", "\n" * 500_000]] * 2, ["exit", "ok", 0]]
    world.local(steps, borg=world.quiet_serve())
    _, out, _ = borgpull("run", "web1")
    assert len(out) < 4 << 20 and "more lines: 'borgpull run --json' has them all" in out.splitlines()[-1]


def on_a_terminal(world, env: dict[str, str], columns: int = 200, both: bool = False) -> tuple[str, int]:
    """Run web1 with stderr, or stdout too, on a pseudo-terminal; return what it showed, and the exit status."""
    ours, theirs = pty.openpty()
    stdout = theirs if both else subprocess.PIPE
    launcher = world.start("run", "web1", stdout=stdout, stderr=theirs, env={**env, "COLUMNS": str(columns)})
    os.close(theirs)
    shown = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # EIO: the other end is closed (pty(7))
            break
        if not data:
            break
        shown += data
    os.close(ours)
    launcher.communicate(timeout=60)
    return shown.decode(), launcher.returncode


def test_help_of_the_installed_program_fits_a_screen() -> None:
    program = os.path.join(os.path.dirname(sys.executable), "borgpull")
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) <= 34


def test_without_a_result_the_last_progress_is_called_a_lower_bound(world, borgpull) -> None:
    progress = {"type": "archive_progress", "nfiles": 3, "original_size": 5_000_000, "deduplicated_size": 1}
    world.local([["start"], ["err", json.dumps(progress)], ["exit", "ok", 0]], borg=world.quiet_serve())
    assert "web1 default: ok, at least 3 files, 5.0 MB original" in borgpull("run", "web1")[2]


def test_what_nobody_foresaw_is_no_warning_and_keeps_no_other_target_back(world, borgpull, monkeypatch) -> None:
    world.local([["start"], ["exit", "ok", 0]], "web1", borg=world.quiet_serve())
    world.local([["start"], ["exit", "ok", 0]], "web2", borg=world.quiet_serve())
    real = run_call.remember

    def broken(folders, name, ended):
        if str(name) == "web1":
            raise RuntimeError("a client's \x1b[2J words")
        return real(folders, name, ended)

    monkeypatch.setattr(run_call, "remember", broken)
    status, out, err = borgpull("run", "--json", "--all")
    assert status == 2
    first, second = map(json.loads, out.splitlines())
    assert (first["outcome"], first["reason"]) == ("failed", "internal")
    assert "RuntimeError" in first["messages"][-1]["text"]
    assert (second["target"], second["outcome"]) == ("web2", "ok")
    monkeypatch.setattr(selection, "names", broken)
    status, out, err = borgpull("run", "--all")
    assert status == 2 and "TypeError" in err and "\x1b" not in err


@pytest.mark.parametrize("what", ["", "all", "Read", "read,write", "--for"])
def test_a_window_allows_one_of_four_things(world, borgpull, what: str) -> None:
    world.local([], borg=world.quiet_serve())
    status, _, err = borgpull("window", "web1", "--allow", what)
    assert status == 2
    assert "expected one of: read, write, passphrase, delete" in err or "--allow" in err


ENDING = """\
import subprocess, sys
from borgctl.pull import app, command_line
command_line.app = lambda: sys.exit(subprocess.run(["/bin/sh", "-c", "sleep 0.2; exit 7"]).returncode)
sys.argv = ["borgpull", "an uncommon line"]
app.main()
"""


def test_a_program_that_fails_is_noticed_where_the_starter_ignored_the_ends_of_children() -> None:
    """Whatever the command is: each end of a program would look like a good one."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        process = subprocess.Popen([sys.executable, "-c", ENDING])
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert process.wait(60) == 7
