"""The set-ups of the README and of docs/without-root.md, followed to the letter, with a real sshd in between.

One machine plays both, so that hosts, ports and paths are replaced; nothing else is, but that what is fetched from
elsewhere is copied, or here already. See walkthrough.py for what is followed, and what fails.
"""

import contextlib
import os
import pwd
import re
import shlex
import sys
import tomllib
from pathlib import Path

import machines
import people
import pytest
import readme
from machines import program, wait_for
from walkthrough import Stage, Walkthrough

TOP = readme.README.parent
WITHOUT_ROOT = TOP / "docs/without-root.md"
CHAPTERS = {
    readme.README: ("## Set up two machines", "## From day to day", "## Restore"),
    WITHOUT_ROOT: ("## Set up",),
}
# Topics of doctor's that are about the machine that the tests run on, and not about the set-up.
ODD = {"clock", "kernel", "sandbox"}


# ---- the README: two machines of root's, each a directory in the place of '/'

NOBODY = "nobody"
README_NAMES = {
    *("notify: [ntfys://ntfy.example.org/backup]", "ping:", "on_failure:"),
    *("backup", "web1", "PATH", "borg serve", "borgpull", "borgpull compact", "--nagios", "expect: 26h"),
    *("/root/borgctl", "/opt/borgctl/bin", "/root/.ssh/authorized_keys", "/var/log/borgctl/audit.jsonl"),
    *("borgpull@backup.example.org", "/root/.bashrc", "/etc/borgpull/targets/web1.yaml", "quota"),
}
# The packages of step 1, and what each is there for.
PACKAGES = {
    "borgbackup": "/usr/bin/borg",
    "openssh-client": "/usr/bin/ssh",
    "openssh-server": machines.SSHD,
    "git": "/usr/bin/git",
    "python3-venv": "",  # what made the environment that this runs in
}


class TwoRoots:
    """The machines of the README. Where `server_user`, the server's launcher runs as a user, whom NOBODY plays."""

    def __init__(self, scratch, sshd, *, server_user):
        self.sshd, self.server_user = sshd, server_user
        self.web1, self.backup = scratch / "web1", scratch / "backup"
        for top in (self.web1, self.backup):
            for made in ("etc", "home/somebody", "root", "tmp", "srv", "var/log"):
                (top / made).mkdir(parents=True, mode=0o700)
        (self.web1 / "etc/fstab").write_text("/dev/sda1 / ext4 defaults 0 1\n")
        self.policy = self.web1 / "etc/borgctl/web1.yaml"
        self.audit = self.web1 / "var/log/audit.jsonl"
        self.programs = scratch / "bin"
        self.programs.mkdir()
        folders = [f"--config-dir={self.backup}/etc/borgpull", f"--state-dir={self.backup}/var/lib/borgpull"]
        self.borgpull = shlex.join([program("borgpull"), *folders])
        self.launch(self.borgpull)

    def stage(self):
        return Stage(
            sshd=self.sshd,
            options=self.options,
            here=self.here,
            sampled=self.adapt,
            repository=self.backup / "srv/borg/web1",
            owner=pwd.getpwnam(NOBODY).pw_uid if self.server_user else os.geteuid(),
            saved=self.web1 / "etc/fstab",
            passphrase=self.web1 / "etc/borgctl/passphrase",
            log=self.web1.parent / "window.log",
            odd=ODD,
            names=README_NAMES,
            steps={
                ("both", r"apt-get install [a-z0-9 -]+"): self.packages,
                ("client", r"apt-get install openssh-server"): self.packages,
                ("client", r"useradd .+ _borgctl"): self.add_client_user,
                ("both", r"python3 -m venv /opt/borgctl"): Walkthrough.nothing,
                ("both", r"/opt/borgctl/bin/pip .+ -r /root/borgctl/requirements-gate\.lock"): self.require,
                ("both", r"/opt/borgctl/bin/pip .+ -r /root/borgctl/requirements\.lock"): self.require,
                ("both", r"/opt/borgctl/bin/pip .+ --no-deps .+ /root/borgctl"): self.install,
                ("both", r"man borgctl"): self.manual,
                ("server", r"useradd .+ borgpull"): self.add_server_user,
                ("server", r"install .+ /etc/borgpull /srv/borg"): self.make_server_directories,
                ("server", r"alias borgpull='runuser .+ borgpull'"): self.become,
                ("client", r"borgctl explain .+"): self.explain,
                ("server", r"borgpull (?:status|history)"): Walkthrough.just_type,
                ("server", r"borgpull report --html FILE"): Walkthrough.report,
                ("server", r"for unit in .+; do /opt/borgctl/bin/borgpull units .+; done"): self.print_units,
                ("server", r"systemctl (?:daemon-reload|enable --now borgpull\.timer)"): Walkthrough.nothing,
                ("server", r"borgpull run web1 --job prune && borgpull compact web1"): self.prune,
            },
        )

    def options(self, machine):
        top = self.web1 if machine == "web1" else self.backup
        programs = Path(sys.executable).parent if machine == "web1" else self.programs
        path = f"{programs}:/usr/sbin:/usr/bin:/bin"
        env = {"PATH": path, "HOME": f"{top}/root", "LANG": "C.UTF-8", "TMPDIR": f"{top}/tmp"}
        return {"env": env, "cwd": top}

    def launch(self, command):
        """Let `borgpull` mean this on the server: the program, with places of its own."""
        launcher = self.programs / "borgpull"
        launcher.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        launcher.chmod(0o755)

    def here(self, words):
        if words.startswith("useradd --prefix "):
            return words
        for path, top in {
            "/etc/borgctl": self.web1,
            "/root/.ssh": self.web1,
            "/etc/borgpull": self.backup,
            "/var/lib/borgpull": self.backup,
            "/etc/systemd/system": self.backup,
            "/srv/borg": self.backup,
        }.items():
            words = re.sub(rf"(?<![\w.-]){path}", f"{top}{path}", words)
        words = words.replace("/opt/borgctl/bin/borgpull", self.borgpull)  # which is no alias
        words = re.sub(r"^borgctl audit (show|verify)$", rf"\g<0> {self.audit}", words)
        words = re.sub(r"^borgctl status$", rf"\g<0> {self.policy}", words)
        there = f"{self.sshd.user}@127.0.0.1 --port {self.sshd.port} --repository {self.backup}/srv/borg/web1"
        if os.geteuid() != 0:  # root's policy is elsewhere than that of the user whom this one logs in as
            there += " --client-policy /etc/borgctl/web1.yaml"
        sshd = f"--sshd-config {self.sshd.directory}/sshd_config --login {self.sshd.user}"
        return (
            words.replace("root@web1.example.org", there)
            .replace("ADDRESS-OF-BACKUP", f"127.0.0.1 {sshd}")
            .replace("borgctl window", f"borgctl window --policy {self.policy} --wait 60")
            .replace("::NAME etc/fstab", f"::NAME {str(self.web1)[1:]}/etc/fstab")
        )

    def print_units(self, walk, machine, words):
        """Put the units in place; systemd finds nothing wrong in them (more of them is in test_units)."""
        place = self.backup / "etc/systemd/system"
        place.mkdir(parents=True)
        walk.type(machine, words)
        units = [place / name for name in ("borgpull.service", "borgpull.timer", "borgpull@.service")]
        done = machines.run(["systemd-analyze", "--recursive-errors=no", "verify", *units])
        stands_in = f"Special user {NOBODY} configured"  # for user borgpull, whom this machine has not
        assert (done.returncode, [line for line in done.stderr.splitlines() if stands_in not in line]) == (0, [])

    def adapt(self):
        """Let the policy be about this machine's directories."""
        text = self.here(self.policy.read_text())
        paths = f"[{self.web1}/etc, {self.web1}/home]"
        text = text.replace("[/etc, /home]", paths)
        if os.geteuid() != 0:  # an ordinary user's is elsewhere than the README, which is for root, made it
            text = re.sub(r"paths: \[.*\]", f"paths: {paths}", text)
            text = re.sub(r"/\S*/\.config/borgctl\b", f"{self.web1}/etc/borgctl", text)
        text += f"base: {self.web1}/var/lib\naudit: {{file: {self.audit}, syslog: no}}\nuser: '{machines.BORG_USER}'\n"
        self.policy.write_text(text)

    # ---- steps of its own

    def packages(self, walk, machine, words):
        for name in words.split()[2:]:
            assert os.path.exists(PACKAGES[name] or sys.executable), f"{name}: run 'make setup'"

    def add_client_user(self, walk, machine, words):
        if os.geteuid() == 0:  # who cannot add a user has borg run as themselves
            walk.type(machine, words.replace("useradd ", f"useradd --prefix {self.web1} "))
            assert "_borgctl:" in (self.web1 / "etc/passwd").read_text()

    def require(self, walk, machine, words):
        """What is in these files is held by tests/unit/test_requirements_lock.py, and fetched in no test."""
        assert "--require-hashes" in words and (TOP / Path(words.split()[-1]).name).exists()

    def install(self, walk, machine, words):
        for name in tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["scripts"]:
            assert os.access(program(name), os.X_OK)

    def manual(self, walk, machine, words):
        name = words.split()[1]
        assert Path(program(name)).parent.with_name("share").joinpath(f"man/man1/{name}.1").exists()  # see manpath(1)

    def explain(self, walk, machine, words):
        assert "may" in walk.type(machine, words)

    def prune(self, walk, machine, words):
        target = self.backup / "etc/borgpull/targets/web1.yaml"
        target.write_text(target.read_text().replace("#jobs: {prune:", "jobs: {prune:"))
        walk.type(machine, words)

    def add_server_user(self, walk, machine, words):
        if self.server_user:
            walk.type(machine, words.replace("useradd ", f"useradd --prefix {self.backup} "))
            assert "borgpull:" in (self.backup / "etc/passwd").read_text()

    def make_server_directories(self, walk, machine, words):
        if self.server_user:
            top, entry = self.backup, pwd.getpwnam(NOBODY)
            for above in (top.parent, top, top / "etc", top / "srv", top / "var"):
                above.chmod(0o755)
            walk.type(machine, words.replace("-o borgpull -g borgpull", f"-o {entry.pw_uid} -g {entry.pw_gid}"))
            os.chown(top / "var/lib/borgpull", entry.pw_uid, entry.pw_gid)

    def become(self, walk, machine, words):
        if not self.server_user:
            return
        before, _, after = words.removeprefix("alias borgpull='").removesuffix("'").partition(" -- ")
        assert walk.type(machine, f"{before.replace('borgpull', NOBODY)} -- id -un") == f"{NOBODY}\n"
        entry = pwd.getpwnam(NOBODY)
        # The clone may lie where that user cannot read, as /opt would not: they may read all, and write no more.
        become = ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
        become += ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
        self.launch(f"{shlex.join(become)} {after.replace('borgpull', self.borgpull)}")


@contextlib.contextmanager
def two_roots(scratch, *, server_user=False):
    if server_user and os.geteuid() != 0:
        pytest.skip("only root can become the server's user")
    keys = f"AuthorizedKeysFile {scratch}/web1/root/.ssh/authorized_keys"
    with machines.Sshd(scratch / "sshd", extra=keys, root_login="prohibit-password") as sshd:
        yield TwoRoots(scratch, sshd, server_user=server_user).stage()
        wait_for(lambda: not sshd.sessions(), what=f"the sessions to end; left: {sshd.sessions()}")


# ---- docs/without-root.md: two ordinary users, and no privilege anywhere

WITHOUT_ROOT_NAMES = {
    *("me", "keeper", "~/borgctl", "~/.local/share/borgctl/bin", "PATH", "umask 022", "crontab -e"),
    *("borgbackup openssh-server python3-venv git", "borgbackup openssh-client python3-venv git", "expect: 3d"),
    *("~/.ssh/authorized_keys", "borgpull status", "systemctl --user", "runuser -u me -- borgctl window …"),
}


@contextlib.contextmanager
def two_users(scratch):
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
        users = {"laptop": me, "backup": keeper}

        def here(words):
            for there, place in {
                "/home/keeper/": f"{keeper.home}/",
                "home/me/": f"{str(me.home)[1:]}/",
                "me@laptop.example.org": f"{me.name}@127.0.0.1 --port {sshd.port}",
                "ADDRESS-OF-BACKUP": f"127.0.0.1 --sshd-config {sshd.directory}/sshd_config",
            }.items():
                words = words.replace(there, place)
            return words

        def install(walk, machine, words):
            for user in users.values():
                place = user.home / ".local/share/borgctl"
                place.parent.mkdir(parents=True)
                people.install(place)
                user.own(user.home)

        yield Stage(
            sshd=sshd,
            options=lambda machine: users[machine].options(str(users[machine].home / ".local/share/borgctl/bin")),
            here=here,
            repository=keeper.home / "borg/laptop",
            owner=keeper.uid,
            saved=me.home / ".profile",
            passphrase=me.home / ".config/borgctl/passphrase",
            log=scratch / "window.log",
            odd=ODD,
            names=WITHOUT_ROOT_NAMES,
            steps={
                ("both", r"python3 -m venv .+ && .+pip install .+"): install,
                ("server", r"borgpull units"): Walkthrough.just_type,
                ("server", r"borgpull window \w+ --for 10m --allow passphrase"): Walkthrough.open_window,
                ("client", r"borgctl passphrase .+"): Walkthrough.change_passphrase,
            },
        )
        wait_for(lambda: not sshd.sessions(), what=f"the sessions to end; left: {sshd.sessions()}")


# ---- both


def with_server_user(scratch):
    return two_roots(scratch, server_user=True)


@pytest.mark.parametrize(
    ("page", "stage"),
    [(readme.README, two_roots), (readme.README, with_server_user), (WITHOUT_ROOT, two_users)],
    ids=["readme-all-as-root", "readme", "without-root"],
)
def test_the_set_up_works_as_it_is_written(scratch, page, stage):
    with stage(scratch) as machines_of_the_page:
        Walkthrough(machines_of_the_page).through(readme.said(readme.chapters(page, CHAPTERS[page])))


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.name)
def test_the_set_up_has_ten_steps_at_most_and_they_are_counted(page):
    numbers = readme.numbers(readme.chapters(page, CHAPTERS[page]))
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) <= 10


def test_the_page_without_root_is_named_in_the_readme():
    assert "(docs/without-root.md)" in readme.README.read_text()
