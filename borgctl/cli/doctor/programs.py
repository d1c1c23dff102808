"""The gate's interpreter and all that it would import: there, and in the hands of root or the gate's user.

The interpreter is started, isolated as the gate is, only where its path is in hands that we trust ourselves: who may
write a key line must not choose what root runs here.
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
_MOST = 3  # problems that are told one by one
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
    """Yield what is to be said of the interpreter."""
    topic, owner = "python", "root" if owners == {0} else "root or the gate's user"
    try:
        problem = trouble(gate.python, owners)
        if problem:
            text = f"another user can replace the gate's interpreter: {problem}"
            yield Finding("open", topic, text, (), f"install it as files of {owner}, in directories of theirs")
            return
        if not owners <= secure_path.ourselves() or not _PYTHON.fullmatch(os.path.basename(gate.python)):
            text = f"{gate.python} is not started from here: it is another user's choice"
            yield Finding("unseen", topic, text, (), "ask again as the user who logs in")
            return
        told = _ask(gate.python)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        text = f"{gate.python} doesn't start the gate: {_said(error)}"
        yield Finding("error", topic, text, (), f"install the package there: {gate.python} -m pip install …")
        return
    problems = []
    for path in told["files"]:
        try:
            problem = trouble(path, owners)
        except OSError as error:
            problem = f"{path}: {error.strerror}"
        if problem and problem not in problems:
            problems.append(problem)
    if problems:
        more = [f"and {len(problems) - _MOST} more"] if len(problems) > _MOST else []
        text = "another user can change what the gate is made of"
        yield Finding("open", topic, text, (*problems[:_MOST], *more), f"chown them to {owner}, chmod go-w")
    else:
        text = f"Python {told['version']} with borgctl {told['borgctl']}: {len(told['files'])} files in safe hands"
        yield Finding("ok", topic, text)


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


def _said(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
