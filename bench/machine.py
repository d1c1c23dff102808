"""The machine under a benchmark: one line that says what it is, and the borg to measure against.

print(machine.describe(machine.newest_borg()))
"""

import glob
import os
import platform
import subprocess


def describe(borg: str) -> str:
    """Return one line about what all this runs on: processor, cores, kernel, Python, this borg's version, load."""
    with open("/proc/cpuinfo") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "a processor")
    version = subprocess.run([borg, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    load = os.getloadavg()[0]
    system = f"{len(os.sched_getaffinity(0))} cores, Linux {platform.release()}, Python {platform.python_version()}"
    return f"{model}, {system}, {version}, load {load:.2f}"


def newest_borg() -> str:
    """Return the newest borg that `make setup` has made, else the distribution's."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return max(glob.glob(f"{glob.escape(cache)}/borgctl/borg-1.4*/bin/borg"), default="/usr/bin/borg")
