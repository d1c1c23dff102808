"""The README's set-up, followed to the letter: its commands are read from it and typed, with a real sshd in between.

One machine plays both, so that hosts, ports and paths are replaced; nothing else is. What stands in code and is neither
followed nor known here to be no command fails the test, and so does a command that is expected and gone.
"""

import json
import os
import pwd
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import machines
import pytest
import readme
from machines import program, run, wait_for

# What stands in code there and is nothing to type.
NAMES = {
    *("backup", "web1", "PATH", "borg serve", "borgpull", "borgpull compact", "--nagios", "expect: 26h"),
    *("/root/borgctl", "/opt/borgctl/bin", "/root/.ssh/authorized_keys", "/var/log/borgctl/audit.jsonl"),
    *("borgpull@backup.example.org", "/root/.bashrc", "/etc/borgpull/targets/web1.yaml", "quota"),
}
NOBODY = "nobody"
# The packages of step 1, and what each is there for.
PACKAGES = {
    "borgbackup": "/usr/bin/borg",
    "openssh-client": "/usr/bin/ssh",
    "openssh-server": machines.SSHD,
    "git": "/usr/bin/git",
    "python3-venv": "",  # what made the environment that this runs in
}


class Machine:
    """One of the two: a directory in the place of '/', and a way to type commands there."""

    def __init__(self, top, path):
        self.top = top
        self.env = {"PATH": f"{path}:/usr/sbin:/usr/bin:/bin", "HOME": f"{top}/root", "LANG": "C.UTF-8"}
        for made in ("etc", "home/somebody", "root", "tmp", "srv", "var/log"):
            (top / made).mkdir(parents=True, mode=0o700)
        self.env["TMPDIR"] = f"{top}/tmp"

    def type(self, command, expected=0, timeout=120):
        done = run(["sh", "-c", command], timeout=timeout, env=self.env, cwd=self.top)
        shown = f"$ {command}\n{done.stdout}{done.stderr}"
        assert done.returncode == expected, f"exit status {done.returncode}, not {expected}:\n{shown}"
        assert "Traceback" not in done.stderr, shown
        return done.stdout


class Story:
    """Follows what the README says, command by command; `told` are the patterns that were met."""

    def __init__(self, scratch, sshd, *, rootless):
        self.sshd = sshd
        self.rootless = rootless and os.geteuid() == 0
        place = Path(sys.executable).parent
        self.web1 = Machine(scratch / "web1", place)
        self.backup = Machine(scratch / "backup", scratch / "bin")
        (scratch / "bin").mkdir()
        folders = [f"--config-dir={self.backup.top}/etc/borgpull", f"--state-dir={self.backup.top}/var/lib/borgpull"]
        self.borgpull = shlex.join([program("borgpull"), *folders])
        self.launch(self.borgpull)
        self.policy = self.web1.top / "etc/borgctl/web1.yaml"
        self.audit = self.web1.top / "var/log/audit.jsonl"
        (self.web1.top / "etc/fstab").write_text("/dev/sda1 / ext4 defaults 0 1\n")
        self.printed = ""  # what is to be pasted on the other machine
        self.window = None
        self.told = set()

    def launch(self, command):
        """Let `borgpull` mean this on the server: the program, with places of its own."""
        launcher = self.backup.top.parent / "bin/borgpull"
        launcher.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        launcher.chmod(0o755)

    def follow(self, said):
        """Do one thing that stands in code; fail where nobody here knows how."""
        if said.words in NAMES:
            self.told.add(said.words)
            return
        for (where, pattern), act in FOLLOWED.items():
            if where == said.machine and re.fullmatch(pattern, said.words):
                self.told.add((where, pattern))
                act(self, said.words)
                return
        pytest.fail(
            f"the README says {said.words!r} for {said.machine} (step {said.step}): this test does not follow it"
        )

    def here(self, words):
        """Replace what one machine cannot have twice: paths."""
        web1, backup = self.web1.top, self.backup.top
        for path, place in {
            "/etc/borgctl": f"{web1}/etc/borgctl",
            "/etc/borgpull": f"{backup}/etc/borgpull",
            "/var/lib/borgpull": f"{backup}/var/lib/borgpull",
            "/root/.ssh": f"{web1}/root/.ssh",
            "/srv/borg": f"{backup}/srv/borg",
            "/opt/borgctl/bin/": "",
        }.items():
            words = re.sub(rf"(?<![\w.-]){path}", place, words)
        return words

    # ---- step by step

    def packages(self, words):
        for name in words.split()[2:]:
            assert os.path.exists(PACKAGES[name] or sys.executable), f"{name}: run 'make setup'"

    def add_user(self, words):
        if os.geteuid() != 0:
            return  # who cannot add a user has borg run as himself
        assert words.endswith(" _borgctl")
        self.web1.type(words.replace("useradd ", f"useradd --prefix {self.web1.top} "))
        assert "_borgctl:" in (self.web1.top / "etc/passwd").read_text()

    def require(self, words):
        """What is in these files is held by tests/unit/test_requirements_lock.py, and fetched in no test."""
        assert readme.README.parent.joinpath(Path(words.split()[-1]).name).exists()

    def install(self, words):
        for name in tomllib.loads((readme.README.parent / "pyproject.toml").read_text())["project"]["scripts"]:
            assert os.access(program(name), os.X_OK)

    def manual(self, words):
        name = words.split()[1]
        assert Path(program(name)).parent.with_name("share").joinpath(f"man/man1/{name}.1").exists()  # see manpath(1)

    def add_target(self, words):
        there = words.replace("root@web1.example.org", f"{self.sshd.user}@127.0.0.1")
        more = f"--port {self.sshd.port} --repository {self.backup.top}/srv/borg/web1"
        if os.geteuid() != 0:  # root's policy is elsewhere than that of the user whom this one logs in as
            more += " --client-policy /etc/borgctl/web1.yaml"
        self.printed = self.backup.type(f"{there} {more}")

    def sample(self, words):
        self.web1.type(self.here(words))
        text = self.here(self.policy.read_text()).replace(
            "[/etc, /home]", f"[{self.web1.top}/etc, {self.web1.top}/home]"
        )
        if os.geteuid() != 0:  # an ordinary user's is elsewhere than the README, which is for root, made it
            text = re.sub(r"paths: \[.*\]", f"paths: [{self.web1.top}/etc, {self.web1.top}/home]", text)
            text = re.sub(r"/\S*/\.config/borgctl\b", f"{self.web1.top}/etc/borgctl", text)
        text += (
            f"base: {self.web1.top}/var/lib\naudit: {{file: {self.audit}, syslog: no}}\nuser: '{machines.BORG_USER}'\n"
        )
        self.policy.write_text(text)

    def authorize(self, words):
        line = self.pasted(words)
        said = self.web1.type(f"{self.here(line)} --host-key {self.sshd.host_key_file}")
        (self.key_line,) = [line for line in said.splitlines() if line and not line.startswith("#")]
        self.printed = re.sub(r"(?m)^#\s*", "", said)

    def make_ssh_directory(self, words):
        self.web1.type(self.here(words))
        (self.web1.top / "root/.ssh/authorized_keys").write_text(f"{self.key_line}\n")

    def trust(self, words):
        self.backup.type(self.pasted(words))

    def pasted(self, words):
        """Return the line that was printed for the other machine; it is of the form that the README shows."""
        form = re.escape(words).replace("AAAA…", "[A-Za-z0-9+/=]+")
        lines = [line.strip() for line in self.printed.splitlines()]
        found = [line for line in lines if re.fullmatch(form, line)]
        assert len(found) == 1, f"{words!r} is not what was printed:\n{self.printed}"
        return found[0]

    def doctor(self, words):
        there = words.replace("ADDRESS-OF-BACKUP", "127.0.0.1")
        asked = f"{there} --sshd-config {self.sshd.directory}/sshd_config --login {self.sshd.user} --json"
        done = run(["sh", "-c", asked], env=self.web1.env, timeout=120)
        report = json.loads(done.stdout)
        found = [finding for section in report["sections"] for finding in section["findings"]]
        print(json.dumps(found, indent=1))
        assert not [finding for finding in found if finding["level"] == "open"]

    def test_target(self, words):
        self.backup.type(words, expected=1)  # all is well but for the repository, which is made in the next step

    def on_backup(self, words):
        self.backup.type(self.here(words))

    def pull(self, words):
        self.backup.type(words)
        assert list((self.backup.top / "srv/borg/web1/data").rglob("*"))

    def prune(self, words):
        target = self.backup.top / "etc/borgpull/targets/web1.yaml"
        target.write_text(target.read_text().replace("#jobs: {prune:", "jobs: {prune:"))
        self.backup.type(self.here(words))

    def explain(self, words):
        assert "may" in self.web1.type(self.here(words))

    def show(self, words):
        assert "default" in self.web1.type(f"{words} {self.audit}")

    def verify(self, words):
        self.web1.type(f"{words} {self.audit}")

    def status(self, words):
        self.web1.type(f"{words} {self.policy}")

    def open_window(self, words):
        log = self.backup.top / "window.log"
        with log.open("wb") as file:
            self.window = subprocess.Popen(
                words.split(), env=self.backup.env, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )

    def in_window(self, words):
        there = words.replace("borgctl window", f"borgctl window --policy {self.policy} --wait 60")
        self.listed = self.web1.type(self.here(there))

    def extract(self, words):
        archive = self.listed.splitlines()[0].split()[0]
        fstab = f"{self.web1.top}/etc/fstab"
        there = words.replace("borgctl window", f"borgctl window --policy {self.policy} --wait 60")
        self.web1.type(there.replace("NAME", archive).replace("etc/fstab", fstab[1:]))
        (restored,) = self.web1.top.joinpath("tmp").glob(f"*{fstab}")
        assert restored.read_text() == Path(fstab).read_text()

    def recovery(self, words):
        page = self.web1.type(self.here(words))
        assert (self.web1.top / "etc/borgctl/passphrase").read_text().strip() in page

    def close_window(self):
        if self.window is not None:
            self.window.send_signal(signal.SIGINT)
            try:
                assert self.window.wait(60) == 0, (self.backup.top / "window.log").read_text()
            finally:
                self.window.kill()
                self.window.wait()

    # ---- the server's user; NOBODY stands in for him, and without him the server is root

    def add_server_user(self, words):
        if self.rootless:
            self.backup.type(words.replace("useradd ", f"useradd --prefix {self.backup.top} "))
            assert "borgpull:" in (self.backup.top / "etc/passwd").read_text()

    def make_server_directories(self, words):
        if self.rootless:
            top, entry = self.backup.top, pwd.getpwnam(NOBODY)
            for above in (top.parent, top, top / "etc", top / "srv", top / "var"):
                above.chmod(0o755)
            owners = f"-o {entry.pw_uid} -g {entry.pw_gid}"
            self.backup.type(self.here(words.replace("-o borgpull -g borgpull", owners)))
            os.chown(top / "var/lib/borgpull", entry.pw_uid, entry.pw_gid)

    def become(self, words):
        if not self.rootless:
            return
        before, _, after = words.removeprefix("alias borgpull='").removesuffix("'").partition(" -- ")
        assert self.backup.type(f"{before.replace('borgpull', NOBODY)} -- id -un") == f"{NOBODY}\n"
        entry = pwd.getpwnam(NOBODY)
        # The clone may lie where that user cannot read, as /opt would not: he may read all, and write no more.
        become = ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
        become += ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
        self.launch(f"{shlex.join(become)} {after.replace('borgpull', self.borgpull)}")


FOLLOWED = {
    ("both", r"apt-get install [a-z0-9 -]+"): Story.packages,
    ("web1", r"apt-get install openssh-server"): Story.packages,
    ("web1", r"useradd .+"): Story.add_user,
    ("both", r"python3 -m venv /opt/borgctl"): lambda story, words: None,
    ("both", r"/opt/borgctl/bin/pip install --require-hashes -r /root/borgctl/requirements-gate\.lock"): Story.require,
    ("both", r"/opt/borgctl/bin/pip install --require-hashes -r /root/borgctl/requirements\.lock"): Story.require,
    ("both", r"/opt/borgctl/bin/pip install --no-deps --no-build-isolation /root/borgctl"): Story.install,
    ("both", r"man borgctl"): Story.manual,
    ("backup", r"useradd .+ borgpull"): Story.add_server_user,
    ("backup", r"install .+ /etc/borgpull /srv/borg"): Story.make_server_directories,
    ("backup", r"alias borgpull='runuser .+ borgpull'"): Story.become,
    ("backup", r"borgpull add web1 .+"): Story.add_target,
    ("web1", r"install .+ > /etc/borgctl/passphrase\)"): lambda story, words: story.web1.type(story.here(words)),
    ("web1", r"borgctl sample .+"): Story.sample,
    ("web1", r"borgctl authorize .+"): Story.authorize,
    ("web1", r"install .+ /root/\.ssh"): Story.make_ssh_directory,
    ("backup", r"borgpull trust web1 .+"): Story.trust,
    ("web1", r"borgctl doctor .+"): Story.doctor,
    ("backup", r"borgpull test web1"): Story.test_target,
    ("backup", r"borgpull run web1 --job init"): Story.on_backup,
    ("backup", r"borgpull run web1"): Story.pull,
    ("web1", r"borgctl explain .+"): Story.explain,
    ("backup", r"borgpull run --all"): Story.on_backup,
    ("backup", r"borgpull status"): Story.on_backup,
    ("backup", r"borgpull run web1 --job prune && borgpull compact web1"): Story.prune,
    ("web1", r"borgctl audit show"): Story.show,
    ("web1", r"borgctl audit verify"): Story.verify,
    ("web1", r"borgctl status"): Story.status,
    ("backup", r"borgpull window web1 --for 30m"): Story.open_window,
    ("web1", r"borgctl window -- borg list"): Story.in_window,
    ("web1", r"cd .+ && borgctl window -- borg extract ::NAME etc/fstab"): Story.extract,
    ("web1", r"borgctl recovery .+"): Story.recovery,
}


@pytest.fixture
def readme_sshd(scratch):
    keys = f"AuthorizedKeysFile {scratch}/web1/root/.ssh/authorized_keys"
    with machines.Sshd(scratch / "sshd", extra=keys, root_login="prohibit-password") as sshd:
        yield sshd
        wait_for(lambda: not sshd.sessions(), what=f"the sessions to end; left: {sshd.sessions()}")


@pytest.mark.parametrize("rootless", [False, True] if os.geteuid() == 0 else [False])
def test_the_set_up_of_the_readme_works_as_it_is_written(scratch, readme_sshd, rootless):
    story = Story(scratch, readme_sshd, rootless=rootless)
    try:
        for said in readme.said(readme.chapters()):
            story.follow(said)
    finally:
        story.close_window()
    assert story.told == NAMES | set(FOLLOWED), "the README does not say this any more"
    if story.rootless:
        assert (story.backup.top / "srv/borg/web1/config").stat().st_uid == pwd.getpwnam(NOBODY).pw_uid


def test_the_set_up_has_ten_steps_at_most_and_they_are_counted():
    numbers = readme.numbers(readme.chapters())
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) <= 10
