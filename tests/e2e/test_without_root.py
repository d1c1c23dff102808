"""docs/without-root.md, followed to the letter: two ordinary users, a real sshd in between, and no privilege anywhere.

One machine plays both, so that hosts, ports and homes are replaced, and the package is copied and not fetched. What
stands in code and is neither followed nor known here to be no command fails the test.
"""

import json
import os
import re
import signal
import subprocess

import machines
import people
import pytest
import readme
from machines import run, wait_for

PAGE = readme.README.parent / "docs/without-root.md"
# What stands in code there and is nothing to type, or is a person's own to do.
NAMES = {
    *("me", "keeper", "~/borgctl", "~/.local/share/borgctl/bin", "PATH", "umask 022", "crontab -e"),
    *("borgbackup openssh-server python3-venv git", "borgbackup openssh-client python3-venv git", "expect: 3d"),
    *("~/.ssh/authorized_keys", "borgpull status", "runuser -u me -- borgctl window …"),
}


class Story:
    """Two users of this machine, and what was printed for the other one to paste."""

    def __init__(self, users, sshd, directory):
        self.users, self.sshd = users, sshd
        self.repository = f"{users['backup'].home}/borg/laptop"
        self.printed, self.window, self.archive, self.log = "", None, "", directory / "window.log"

    def here(self, words):
        """Replace what one machine cannot have twice: homes and hosts."""
        me, keeper = self.users["laptop"], self.users["backup"]
        for there, place in {
            "/home/keeper/": f"{keeper.home}/",
            "home/me/": f"{str(me.home)[1:]}/",
            "runuser -u me": f"runuser -u {me.name}",
            "me@laptop.example.org": f"{me.name}@127.0.0.1 --port {self.sshd.port}",
            "ADDRESS-OF-BACKUP": f"127.0.0.1 --sshd-config {self.sshd.directory}/sshd_config",
            "::NAME": f"::{self.archive}",
        }.items():
            words = words.replace(there, place)
        return words

    def type(self, machine, words, *statuses):
        user = self.users[machine]
        options = user.options(str(user.home / ".local/share/borgctl/bin"))
        done = run(["sh", "-c", self.here(words)], timeout=120, **options)
        shown = f"$ {words}\n{done.stdout}{done.stderr}"
        assert done.returncode in (statuses or (0,)), f"exit status {done.returncode}:\n{shown}"
        assert "Traceback" not in shown and "Warning:" not in shown, shown
        return done.stdout

    def install(self, machine, words):
        user = self.users[machine]
        place = user.home / ".local/share/borgctl"
        place.parent.mkdir(parents=True)
        people.install(place)
        user.own(user.home)

    def print(self, machine, words):
        self.printed = self.type(machine, words)

    def pasted(self, words):
        """Return the line that was printed for here; it is of the form that the page shows."""
        form = re.escape(words).replace("AAAA…", "[A-Za-z0-9+/=]+")
        found = [line for line in re.findall(r"(?m)^[# ]*(borg\w+ .*)$", self.printed) if re.fullmatch(form, line)]
        assert len(found) == 1, f"{words!r} is not what was printed:\n{self.printed}"
        return found[0]

    def authorize(self, machine, words):
        self.printed = self.type(machine, f"{self.pasted(words)} --host-key {self.sshd.host_key_file}")

    def make_ssh_directory(self, machine, words):
        self.type(machine, words)
        (line,) = [line for line in self.printed.splitlines() if line and not line.startswith("#")]
        self.type(machine, f"cat >> ~/.ssh/authorized_keys << 'END'\n{line}\nEND")

    def trust(self, machine, words):
        self.type(machine, self.pasted(words))

    def doctor(self, machine, words):
        report = json.loads(self.type(machine, f"{words} --json", 0, 1))
        found = [finding for section in report["sections"] for finding in section["findings"]]
        odd = {finding["topic"]: finding["text"] for finding in found if finding["level"] != "ok"}
        assert not odd.keys() - {"clock", "kernel", "sandbox"}, odd  # those are this machine's, and not the set-up's

    def hold_window(self, machine, words):
        self.close()
        user = self.users[machine]
        options = user.options(str(user.home / ".local/share/borgctl/bin"))
        with self.log.open("wb") as file:
            argv, quiet = self.here(words).split(), {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": file}
            self.window = subprocess.Popen(
                [user.home / ".local/share/borgctl/bin" / argv[0], *argv[1:]], **quiet, **options
            )

    def list(self, machine, words):
        self.archive = self.type(machine, words).split()[0]

    def extract(self, machine, words):
        place = self.type(machine, f"{words} && pwd").strip()
        me = self.users["laptop"]
        with open(f"{place}{me.home}/.profile") as restored:
            assert restored.read() == (me.home / ".profile").read_text()
        assert os.stat(f"{place}{me.home}/.profile").st_uid == me.uid
        subprocess.run(["rm", "-r", place], check=True)

    def recovery(self, machine, words):
        page = self.type(machine, words)
        assert (self.users[machine].home / ".config/borgctl/passphrase").read_text().strip() in page

    def passphrase(self, machine, words):
        before = (self.users[machine].home / ".config/borgctl/passphrase").read_text()
        self.type(machine, words)
        assert (self.users[machine].home / ".config/borgctl/passphrase").read_text() != before

    def close(self):
        if self.window is not None:
            self.window.send_signal(signal.SIGINT)
            try:
                assert self.window.wait(60) == 0, self.log.read_text()
            finally:
                self.window.kill()
                self.window.wait()


def install_on_both(story, _, words):
    for machine in story.users:
        story.install(machine, words)


def look(story, machine, words):
    story.type(machine, words, 0, 1)  # 1: the repository is made in the next step


FOLLOWED = {
    ("both", r"python3 -m venv .+ && .+pip install .+"): install_on_both,
    ("backup", r"borgpull add laptop .+"): Story.print,
    ("laptop", r"install .+ > ~/\.config/borgctl/passphrase\)"): Story.type,
    ("laptop", r"borgctl sample .+"): Story.type,
    ("laptop", r"borgctl authorize .+"): Story.authorize,
    ("laptop", r"install .+ ~/\.ssh"): Story.make_ssh_directory,
    ("backup", r"borgpull trust .+"): Story.trust,
    ("laptop", r"borgctl doctor .+"): Story.doctor,
    ("backup", r"borgpull test laptop"): look,
    ("backup", r"borgpull run laptop --job init"): Story.type,
    ("backup", r"borgpull run laptop"): Story.type,
    ("backup", r"~/\S+/borgpull run --all"): Story.type,
    ("laptop", r"borgctl (?:status|audit show|audit verify)"): Story.type,
    ("backup", r"borgpull window .+"): Story.hold_window,
    ("laptop", r"borgctl window -- borg list"): Story.list,
    ("laptop", r"cd .+ && borgctl window -- borg extract .+"): Story.extract,
    ("laptop", r"borgctl recovery .+"): Story.recovery,
    ("laptop", r"borgctl passphrase .+"): Story.passphrase,
}


@pytest.fixture
def story(scratch):
    if os.geteuid() != 0:
        pytest.skip("only root can make two users")
    scratch.chmod(0o755)  # as /home is
    keys = "AuthorizedKeysFile .ssh/authorized_keys\nStrictModes yes"
    with (
        people.person(scratch, "me") as me,
        people.person(scratch, "keeper") as keeper,
        machines.Sshd(scratch / "sshd", user=me.name, extra=keys) as sshd,
    ):
        sshd.directory.chmod(0o711)
        (sshd.directory / "sshd_config").chmod(0o644)
        yield Story({"laptop": me, "backup": keeper}, sshd, scratch)
        wait_for(lambda: not sshd.sessions(), what=f"the sessions to end; left: {sshd.sessions()}")


def test_the_set_up_without_root_works_as_it_is_written(story):
    told = set()
    try:
        for said in readme.said(readme.chapters(PAGE, ("## Set up",))):
            followed = [key for key in FOLLOWED if key[0] == said.machine and re.fullmatch(key[1], said.words)]
            assert followed or said.words in NAMES, (
                f"{said.words!r} for {said.machine} (step {said.step}) is not followed"
            )
            for key in followed:
                FOLLOWED[key](story, said.machine, said.words)
            told |= set(followed) or {said.words}
    finally:
        story.close()
    assert told == NAMES | set(FOLLOWED), "the page does not say this any more"
    assert {path.stat().st_uid for path in story.users["backup"].home.rglob("borg/**/*")} == {story.users["backup"].uid}


def test_the_page_is_named_in_the_readme():
    assert "(docs/without-root.md)" in readme.README.read_text()
