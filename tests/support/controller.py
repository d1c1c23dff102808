"""Where Ansible is typed: the collection, an inventory, and nothing of this machine's own settings.

controller = Controller(directory, inventory)
controller.play("--check").changed      {"web1": 12, "backup1": 8}
"""

import glob
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from machines import run
from stage import TOP

PLAYBOOK = "borgctl.pull_backup.site"
_RECAP = re.compile(r"(?m)^(\S+) +: ok=\d+ +changed=(\d+) +unreachable=(\d+) +failed=(\d+)")


def programs() -> Path:
    """Return the directory of ansible-playbook and ansible-lint."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    found = sorted(glob.glob(f"{glob.escape(cache)}/borgctl/ansible-*/borgctl-stamp"))
    if not found:
        pytest.fail("no ansible here: run 'make setup'", pytrace=False)
    return Path(found[-1]).parent / "bin"


def collection(directory: Path) -> Path:
    """Put the collection below a directory, where Ansible finds it; return that place."""
    place = directory / "ansible_collections/borgctl/pull_backup"
    place.parent.mkdir(parents=True)
    place.symlink_to(TOP / "contrib/ansible")
    return place


@dataclass(frozen=True, slots=True)
class Played:
    """What a playbook did: how many tasks changed something on each host, where it failed, all that it said."""

    status: int
    changed: dict[str, int]
    failed: set[str]
    output: str


class Controller:
    """A directory with the collection and an inventory."""

    def __init__(self, directory: Path, inventory: dict[str, object]) -> None:
        self._directory = directory
        collection(directory)
        (directory / "ansible.cfg").touch()
        (directory / "inventory.yaml").write_text(json.dumps(inventory))

    def file(self, name: str, content: object) -> Path:
        """Write a file of Ansible's: YAML takes JSON."""
        path = self._directory / name
        path.write_text(json.dumps(content))
        return path

    def play(self, *words: object, playbook: object = PLAYBOOK) -> Played:
        """Run a playbook to its end, also where it fails."""
        argv = [programs() / "ansible-playbook", "-i", self._directory / "inventory.yaml", playbook, *words]
        done = run(argv, timeout=300, env=self._environment(), cwd=self._directory)
        recap = {host: list(map(int, counts)) for host, *counts in _RECAP.findall(done.stdout)}
        return Played(
            done.returncode,
            {host: changed for host, (changed, _, _) in recap.items()},
            {host for host, (_, unreachable, failed) in recap.items() if unreachable or failed},
            done.stdout + done.stderr,
        )

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{programs()}:/usr/bin:/bin",
            "HOME": str(self._directory),
            "LANG": "C.UTF-8",
            "ANSIBLE_CONFIG": str(self._directory / "ansible.cfg"),
            "ANSIBLE_HOME": str(self._directory / "home"),
            "ANSIBLE_COLLECTIONS_PATH": str(self._directory),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self._directory / "cp"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "PIP_NO_COMPILE": "1",
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
