"""Follows the set-up of a page as a person would: types what stands in code there, and pastes what was printed.

    walk = Walkthrough(stage)
    walk.through(readme.said(readme.chapters(page, titles)))

It knows the steps that every such page has. On which machines they are typed, what is replaced since one machine plays
both, and which steps a page has besides, the *stage* knows. What stands in code and is neither a step nor known to be
no command fails, and so does a step that is expected and gone.
"""

import json
import re
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from machines import Sshd, run
from readme import Said

CLIENTS = ("web1", "laptop")


@dataclass(slots=True)
class Stage:
    """Two machines, played by one.

    `subcommands` are those of Popen for a machine; `here` replaces in a command what one machine cannot have twice;
    `sampled` is called when the policy is written; `odd` are doctor's topics that are about this machine and not about
    the set-up; `names` stand in code and are nothing to type; `steps` are the page's own, by client, server or both.
    """

    sshd: Sshd
    options: Callable[[str], dict[str, Any]]
    here: Callable[[str], str]
    repository: Path
    owner: int  # whose the repository is to be
    saved: Path  # a file of the client's
    passphrase: Path
    log: Path
    odd: set[str]
    names: set[str]
    steps: dict[tuple[str, str], Callable[["Walkthrough", str, str], None]]
    sampled: Callable[[], None] = field(default=lambda: None)


class Walkthrough:
    """One way through a page."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.steps = stage.steps | STEPS
        self.printed = ""  # what is to be pasted on the other machine
        self.archive = ""
        self._window: subprocess.Popen[bytes] | None = None

    def through(self, page: list[Said]) -> None:
        """Follow all that is said there; every step and every name has to be among it."""
        try:
            met = {step for said in page for step in self._follow(said)}
        finally:
            self.close_window()
        assert met == self.stage.names | set(self.steps), "the page does not say this any more"
        owners = {path.lstat().st_uid for path in self.stage.repository.rglob("*")}
        assert owners == {self.stage.owner}

    def _follow(self, said: Said) -> set[Any]:
        if said.words in self.stage.names:
            return {said.words}
        role = {"both": "both", "backup": "server"} | dict.fromkeys(CLIENTS, "client")
        found = [key for key in self.steps if key[0] == role[said.machine] and re.fullmatch(key[1], said.words)]
        if len(found) != 1:
            pytest.fail(f"the page says {said.words!r} for {said.machine} (step {said.step}), which is {found} here")
        self.steps[found[0]](self, said.machine, said.words)
        return set(found)

    def type(self, machine: str, words: str, *statuses: int) -> str:
        """Type a command; return what it prints. Its exit status is 0, or among those that are named."""
        typed = self.stage.here(words).replace("::NAME", f"::{self.archive}")
        done = run(["sh", "-c", typed], timeout=120, **self.stage.options(machine))
        shown = f"$ {typed}\n{done.stdout}{done.stderr}"
        assert done.returncode in (statuses or (0,)), f"exit status {done.returncode}:\n{shown}"
        assert "Traceback" not in shown and "Warning:" not in shown, shown
        return done.stdout

    def pasted(self, words: str) -> str:
        """Return the line that was printed for here; it is of the form that the page shows."""
        form = re.escape(words).replace("AAAA…", "[A-Za-z0-9+/=]+")
        lines = [line for line in re.findall(r"(?m)^[# ]*(borg\w+ .*)$", self.printed) if re.fullmatch(form, line)]
        assert len(lines) == 1, f"{words!r} is not what was printed:\n{self.printed}"
        return lines[0]

    # ---- step by step

    def just_type(self, machine: str, words: str) -> None:
        self.type(machine, words)

    def nothing(self, machine: str, words: str) -> None:
        """Do nothing: this is seen to elsewhere."""

    def add(self, machine: str, words: str) -> None:
        self.printed = self.type(machine, words)

    def sample(self, machine: str, words: str) -> None:
        self.type(machine, words)
        self.stage.sampled()

    def authorize(self, machine: str, words: str) -> None:
        self.printed = self.type(machine, f"{self.pasted(words)} --host-key {self.stage.sshd.host_key_file}")

    def make_ssh_directory(self, machine: str, words: str) -> None:
        self.type(machine, words)
        (line,) = [line for line in self.printed.splitlines() if line and not line.startswith("#")]
        self.type(machine, f"cat >> {words.rsplit(maxsplit=1)[-1]}/authorized_keys << 'END'\n{line}\nEND")

    def trust(self, machine: str, words: str) -> None:
        self.type(machine, self.pasted(words))

    def doctor(self, machine: str, words: str) -> None:
        report = json.loads(self.type(machine, f"{words} --json", 0, 1, 2))
        findings = [finding for section in report["sections"] for finding in section["findings"]]
        assert not [finding for finding in findings if finding["level"] == "open"], findings
        odd = {finding["topic"]: finding["text"] for finding in findings if finding["level"] != "ok"}
        assert not odd.keys() - self.stage.odd, odd

    def test(self, machine: str, words: str) -> None:
        self.type(machine, words, 1)  # all is well but for the repository, which is made in the next step

    def pull(self, machine: str, words: str) -> None:
        self.type(machine, words)
        assert any(self.stage.repository.glob("data/*/*"))

    def show(self, machine: str, words: str) -> None:
        assert "default" in self.type(machine, words)

    def open_window(self, machine: str, words: str) -> None:
        self.close_window()
        with self.stage.log.open("wb") as file:
            argv = ["sh", "-c", f"exec {self.stage.here(words)}"]
            quiet = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": file}
            self._window = subprocess.Popen(argv, **quiet, **self.stage.options(machine))

    def close_window(self) -> None:
        if self._window is not None:
            self._window.send_signal(signal.SIGINT)
            try:
                assert self._window.wait(60) == 0, self.stage.log.read_text()
            finally:
                self._window.kill()
                self._window.wait()
                self._window = None

    def list(self, machine: str, words: str) -> None:
        self.archive = self.type(machine, words).split()[0]

    def extract(self, machine: str, words: str) -> None:
        place = self.type(machine, f"{words} && pwd").strip()
        restored = Path(f"{place}{self.stage.saved}")
        assert restored.read_text() == self.stage.saved.read_text()
        assert restored.stat().st_uid == self.stage.saved.stat().st_uid
        subprocess.run(["rm", "-r", place], check=True)

    def recovery(self, machine: str, words: str) -> None:
        assert self.stage.passphrase.read_text().strip() in self.type(machine, words)

    def report(self, machine: str, words: str) -> None:
        assert "<!DOCTYPE html>" in self.type(machine, words.replace("FILE", "-"))

    def change_passphrase(self, machine: str, words: str) -> None:
        before = self.stage.passphrase.read_text()
        self.type(machine, words)
        assert self.stage.passphrase.read_text() != before


STEPS = {
    ("server", r"borgpull add \w+ .+"): Walkthrough.add,
    ("client", r"install .+ > \S+/passphrase\)"): Walkthrough.just_type,
    ("client", r"borgctl sample .+"): Walkthrough.sample,
    ("client", r"borgctl authorize .+"): Walkthrough.authorize,
    ("client", r"install .+/\.ssh"): Walkthrough.make_ssh_directory,
    ("server", r"borgpull trust .+"): Walkthrough.trust,
    ("client", r"borgctl doctor .+"): Walkthrough.doctor,
    ("server", r"borgpull test \w+"): Walkthrough.test,
    ("server", r"borgpull run \w+ --job init"): Walkthrough.just_type,
    ("server", r"borgpull run \w+"): Walkthrough.pull,
    ("server", r"(?:\S+/)?borgpull run --all(?: --due)?"): Walkthrough.just_type,
    ("client", r"borgctl status"): Walkthrough.just_type,
    ("client", r"borgctl audit show"): Walkthrough.show,
    ("client", r"borgctl audit verify"): Walkthrough.just_type,
    ("server", r"borgpull window \w+ --for 30m"): Walkthrough.open_window,
    ("client", r"borgctl window -- borg list"): Walkthrough.list,
    ("client", r"cd .+ && borgctl window -- borg extract .+"): Walkthrough.extract,
    ("client", r"borgctl recovery .+"): Walkthrough.recovery,
}
