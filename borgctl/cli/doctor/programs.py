"""doctor's findings about the gate's interpreter and all that it imports: do they exist, and who can change them?

It starts the interpreter, isolated as the gate is, only where users that we trust ourselves own its path: whoever can
write a key line must not choose what root runs here.

    list(findings(gate, frozenset((0,))))
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any

from borgctl.cli.doctor.findings import Finding
from borgctl.cli.doctor.forced_command import Gate
from borgctl.cli.openssh.login import trouble
from borgctl.fs import secure_path

_PYTHON = re.compile(r"python3?(?:\.[0-9]+)?")
_MOST = 3  # problems that are listed
_ASK = """
import glob, json, os, sys
import borgctl.gate.granted, borgctl.gate.main
files = {module.__file__ for module in list(sys.modules.values()) if getattr(module, "__file__", None)}
folders = [folder for folder in sys.path if os.path.isdir(folder)]
marks = [f"{sys.prefix}/pyvenv.cfg"] + [mark for folder in folders for mark in glob.glob(f"{folder}/*.pth")]
found = sorted({os.path.abspath(path) for path in [*files, *folders, *marks] if os.path.exists(path)})
print(json.dumps({"version": sys.version.split()[0], "borgctl": borgctl.__version__, "files": found}))
"""


def findings(gate: Gate, owners: frozenset[int]) -> Iterator[Finding]:
    """Yield the findings about the interpreter; `owners` may own it and what it imports."""
    topic, owner = "python", "root" if owners == {0} else "root or the gate's user"
    try:
        problem = trouble(gate.python, owners)
        if problem:
            text = f"another user can replace the gate's interpreter: {problem}"
            yield Finding("open", topic, text, (), f"install it as files of {owner}, in directories of theirs")
            return
        if not owners <= secure_path.ourselves() or not _PYTHON.fullmatch(os.path.basename(gate.python)):
            text = f"doctor does not start {gate.python}, as another user can choose it"
            yield Finding("unseen", topic, text, (), "ask again as the user who logs in")
            return
        answer = _ask(gate.python)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        text = f"{gate.python} does not start the gate: {_message(error)}"
        yield Finding("error", topic, text, (), f"install the package there: {gate.python} -m pip install …")
        return
    problems = []
    for path in answer["files"]:
        try:
            problem = trouble(path, owners)
        except OSError as error:
            problem = f"{path}: {error.strerror}"
        if problem and problem not in problems:
            problems.append(problem)
    if problems:
        more = [f"and {len(problems) - _MOST} more"] if len(problems) > _MOST else []
        text = "another user can change the gate's program files"
        yield Finding("open", topic, text, (*problems[:_MOST], *more), f"chown them to {owner}, chmod go-w")
    else:
        what = f"Python {answer['version']} with borgctl {answer['borgctl']}, {len(answer['files'])} files"
        yield Finding("ok", topic, f"{what}: no other user can change them")


def _ask(python: str) -> dict[str, Any]:
    done = subprocess.run(
        [python, "-I", "-c", _ASK],
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        cwd="/",
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise ValueError(lines[-1][:200] if lines else f"it ended with status {done.returncode}")
    return dict(json.loads(done.stdout))


def _message(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
