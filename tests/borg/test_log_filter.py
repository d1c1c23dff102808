"""With `disclose: counts` no name leaves: real samples of borg's messages."""

import json
import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgctl.borg import log_filter
from borgctl.borg.log_filter import counts

SECRET = "home/jörg/secret-name"
# borg 1.4.5's own lines (facts: exit codes and output), with a name where borg puts one
STDERR = [
    {"type": "file_status", "status": "U", "path": SECRET},
    {"type": "archive_progress", "original_size": 1, "compressed_size": 1, "deduplicated_size": 1, "nfiles": 1,
     "path": SECRET, "time": 1795376695.9, "finished": False},
    {"type": "log_message", "time": 1.5, "message": f"{SECRET}: file changed while we backed it up",
     "levelname": "WARNING", "name": "borg.archiver", "msgid": "FileChangedWarning"},
    {"type": "log_message", "time": 1.5, "message": f"{SECRET}: [Errno 13] Permission denied: '/{SECRET}'",
     "levelname": "WARNING", "name": "borg.archiver", "msgid": "BackupPermissionError"},
    {"type": "log_message", "time": 1.5, "message": f"Include pattern '{SECRET}' never matched.",
     "levelname": "WARNING", "name": "borg.archiver", "msgid": "IncludePatternNeverMatchedWarning"},
    {"type": "log_message", "time": 1.5, "message": f"Failed to create/acquire the lock /{SECRET}/lock (timeout).",
     "levelname": "ERROR", "name": "borg.archiver", "msgid": "LockTimeout"},
    {"type": "log_message", "time": 1.5, "message": f"Archive {SECRET} does not exist", "levelname": "ERROR",
     "name": "borg.archiver", "msgid": "Archive.DoesNotExist"},
    {"type": "log_message", "time": 1.5, "message": f"Creating archive at \"ssh://borgctl/{SECRET}::a\"",
     "levelname": "INFO", "name": "borg.archiver"},
    {"type": "log_message", "time": 1.5, "message": f"Keeping archive: {SECRET}", "levelname": "INFO",
     "name": "borg.output.list"},
    {"type": "progress_message", "message": f"Saving files cache {SECRET}", "operation": 2, "msgid": "cache.commit",
     "finished": False, "time": 1.5},
    {"type": "progress_percent", "message": f"Checking {SECRET} 0.8%", "current": 2, "total": 120,
     "info": [SECRET], "operation": 1, "msgid": "extract", "finished": False, "time": 1.5},
    {"type": "question_prompt", "msgid": "BORG_RELOCATED_REPO_ACCESS_IS_OK", "message": f"/{SECRET}"},
    {"type": "unknown", "message": SECRET},
    {"message": SECRET},
    {SECRET: SECRET},
]  # fmt: skip
STDOUT = [
    {"archive": {"name": "a", "id": "0" * 64, "start": "2026-11-23T04:05:06.000000", "end": "x", "duration": 1.5,
                 "command_line": ["borg", "create", f"/{SECRET}"], "limits": {"max_archive_size": 0.1},
                 "comment": SECRET, "hostname": SECRET, "username": SECRET,
                 "stats": {"nfiles": 3, "original_size": 1, "compressed_size": 1, "deduplicated_size": 1}},
     "cache": {"path": f"/{SECRET}/.cache", "stats": {"total_chunks": 1, "total_size": 1, "unique_csize": 2}},
     "encryption": {"mode": "repokey-blake2", "keyfile": f"/{SECRET}"},
     "repository": {"id": "0" * 64, "last_modified": "x", "location": f"ssh://borgctl/{SECRET}"},
     "security_dir": f"/{SECRET}"},
    {"archives": [{"archive": "a", "barchive": "a", "id": "0" * 64, "name": "a", "start": "x", "time": "x",
                   "command_line": SECRET, "chunker_params": ["buzhash", 19, 23, 21, 4095]}]},
    {"type": "-", "mode": "-rw-r--r--", "user": SECRET, "group": SECRET, "path": SECRET, "source": SECRET, "size": 1},
    [SECRET],
    SECRET,
]  # fmt: skip
PLAIN = ["", SECRET, f"/{SECRET}", "{", "[]", "null", "1", '"x"', "usage: borg …", "Traceback (most recent call last):"]


@pytest.mark.parametrize("value", STDERR, ids=lambda value: str(value.get("type")))
def test_no_message_lets_a_name_out(value):
    kept = counts("stderr", json.dumps(value)) or ""
    assert "jörg" not in kept and "j\\u00f6rg" not in kept and "secret" not in kept


@pytest.mark.parametrize("value", STDOUT)
def test_no_result_lets_a_name_out(value):
    kept = counts("stdout", json.dumps(value)) or ""
    assert "jörg" not in kept and "j\\u00f6rg" not in kept and "secret" not in kept


@pytest.mark.parametrize("line", PLAIN)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_is_not_an_object_stays_here(stream, line):
    assert counts(stream, line) is None


def test_a_name_without_a_slash_stays_here_as_well():
    """These are removed by the list of keys, not by a check of their values."""
    for value in STDERR:
        kept = counts("stderr", json.dumps(value).replace("/", "-")) or ""
        assert "secret" not in kept, value
    for value in STDOUT:
        kept = counts("stdout", json.dumps(value).replace("/", "-")) or ""
        assert "secret" not in kept, value


def test_a_path_under_a_key_of_the_list_stays_here():
    """A compromised borg chooses its values, too."""
    path = f"/{SECRET}"
    for key in log_filter._RESULT:
        for value in (path, [path], {"name": path}, [{"id": [path]}]):
            assert "secret" not in counts("stdout", json.dumps({key: value}))
    for kind in log_filter._TYPES:
        line = {"type": kind, **dict.fromkeys(log_filter._NUMBERS, path)}
        assert json.loads(counts("stderr", json.dumps(line))) == {"type": kind}
    line = {**dict.fromkeys(log_filter._LOG, path), "type": "log_message", "levelname": "ERROR", "message": path}
    assert "secret" not in counts("stderr", json.dumps(line))


def test_numbers_leave():
    assert json.loads(counts("stderr", json.dumps(STDERR[1]))) == {
        "type": "archive_progress",
        "original_size": 1,
        "compressed_size": 1,
        "deduplicated_size": 1,
        "nfiles": 1,
        "time": 1795376695.9,
        "finished": False,
    }
    result = json.loads(counts("stdout", json.dumps(STDOUT[0])))
    assert result["archive"]["stats"]["nfiles"] == 3
    assert result["archive"]["name"] == "a"
    assert result["repository"]["id"] == "0" * 64


def test_a_warning_leaves_as_its_kind():
    kept = json.loads(counts("stderr", json.dumps(STDERR[3])))
    assert kept["message"] == "BackupPermissionError"
    assert kept["levelname"] == "WARNING"


FIXED = """
import ast, glob, json, os, borg
found = set()
for file in glob.glob(os.path.dirname(borg.__file__) + "/*.py"):
    for node in ast.walk(ast.parse(open(file).read())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and len(node.args) == 1:
            text, levels = node.args[0], {"warning": "WARNING", "error": "ERROR"}
            if node.func.attr in levels and isinstance(text, ast.Constant) and isinstance(text.value, str):
                found.add((levels[node.func.attr], text.value))
print(json.dumps(sorted(found)))
"""


def written_in(borg):
    """Return the messages of this borg whose whole text stands in its source: (level, text)."""
    done = subprocess.run([borg.python, "-c", FIXED], capture_output=True, text=True, check=True, timeout=60)
    return [(level, text) for level, text in json.loads(done.stdout) if "%" not in text]


def told(level, text, **more):
    line = {"type": "log_message", "time": 1.5, "levelname": level, "name": "borg.archiver", "message": text, **more}
    return json.loads(counts("stderr", json.dumps(line)))["message"]


def test_sentences_of_borgs_own_leave_as_they_stand_in_its_source(borg_14, borg_12):
    written = {text: level for borg in (borg_14, borg_12) for level, text in written_in(borg)}
    assert len(written) > 20
    assert {text for text, level in written.items() if told(level, text) == text} == log_filter._SENTENCES
    for borg in (borg_14, borg_12):
        assert [text for level, text in written_in(borg) if "IMPORTANT" in text and told(level, text) == text]


@pytest.mark.parametrize("text", sorted(log_filter._SENTENCES), ids=lambda text: text.strip()[:30])
def test_what_is_named_like_a_sentence_of_borgs_stays_here(text):
    for message in (
        f"{text}: file changed while we backed it up",
        f"{text}\n/{SECRET}",
        f"/{SECRET}\n{text}",
        f"{SECRET} {text}",
        f" {text}",
        text.upper(),
        text.replace("e", "\N{CYRILLIC SMALL LETTER IE}"),
        f"{text}\0",
    ):
        assert told("WARNING", message) == "text withheld by the client's policy"
    assert told("WARNING", text, msgid="BackupPermissionError") == "BackupPermissionError"
    assert counts("stderr", json.dumps({"type": "log_message", "levelname": "INFO", "message": text})) is None
    assert counts("stderr", json.dumps({"type": "file_status", "status": "A", "path": text})) is None


def test_the_servers_own_words_go_back_to_it():
    line = {"type": "log_message", "levelname": "ERROR", "message": "Remote: no space on /srv"}
    assert json.loads(counts("stderr", json.dumps(line)))["message"] == "Remote: no space on /srv"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["type", "message", "path", "name", "archive", "x"]), inner, max_size=4)
        ),
        max_leaves=10,
    )
)
def test_any_json_gives_one_line_without_a_path_or_nothing(value):
    for stream in ("stdout", "stderr"):
        kept = counts(stream, json.dumps(value))
        if kept is not None:
            assert "\n" not in kept and isinstance(json.loads(kept), dict)
            if "Remote: " not in kept:
                assert "/" not in kept


LONG_NUMBER = '{"type":"log_message","time":' + "9" * 5000 + "}"


@pytest.mark.parametrize("line", ["[" * 100000, '{"a":' * 100000, LONG_NUMBER])
def test_no_line_breaks_the_filter(line):
    assert counts("stderr", line) is None
    assert counts("stdout", line) is None


@pytest.mark.parametrize("depth", [100, 300, 480, 600, 900])
def test_no_depth_breaks_the_filter(depth):
    for key in ("archive", "archives"):
        counts("stdout", f'{{"{key}":' * depth + "1" + "}" * depth)
        counts("stdout", '{"archives":' + "[" * depth + "1" + "]" * depth + "}")


KINDS = """
import json, pkgutil, importlib
import borg.archiver, borg.remote, borg.cache, borg.repository, borg.crypto.key, borg.crypto.file_integrity
from borg import helpers
def below(kind):
    for one in kind.__subclasses__():
        yield one
        yield from below(one)
roots = [getattr(helpers, name) for name in ("Error", "ErrorBase", "ErrorWithTraceback", "BorgWarning", "BackupError")
         if hasattr(helpers, name)]
roots += [getattr(borg.archive, name) for name in ("BackupError", "BackupOSError") if hasattr(borg.archive, name)]
found = {}
for root in roots:
    for one in (root, *below(root)):
        found[one.__qualname__] = (one.__doc__ or "{}").strip()
print(json.dumps(found))
"""


@pytest.mark.parametrize("series", ["1.4", "1.2"])
def test_every_kind_of_message_that_borg_knows_leaves_without_its_names(series, borg_14, borg_12):
    borg = borg_14 if series == "1.4" else borg_12
    told = subprocess.run([borg.python, "-c", KINDS], capture_output=True, text=True, check=True, timeout=60)
    kinds = json.loads(told.stdout)
    assert len(kinds) > (60 if series == "1.4" else 40) and "LockTimeout" in kinds
    for name, text in kinds.items():
        message = re.sub(r"\{[^}]*\}", f"/{SECRET}", text)
        for level in ("WARNING", "ERROR", "CRITICAL", "INFO", "DEBUG"):
            for words in (
                message,
                f"{message}\nTraceback (most recent call last):\n  /{SECRET}",
                f"/{SECRET}: {message}",
            ):
                line = {"type": "log_message", "time": 1.5, "levelname": level, "name": "borg.x", "msgid": name}
                kept = counts("stderr", json.dumps({**line, "message": words})) or ""
                assert "secret" not in kept and "jörg" not in kept and "j\\u00f6rg" not in kept, (name, level)
                assert (name in kept) == (level not in ("INFO", "DEBUG"))
