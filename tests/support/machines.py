"""Both machines on loopback: a real sshd, a client to be backed up and a server to back it up.

Used by the end-to-end tests, the demo and the benchmarks. Standard library only; it knows no module of borgctl, only
the gate's command line and the two programs' names, so that it can judge them from outside.

    with scratch() as directory, Sshd(directory / "sshd") as sshd:
        key = keypair(directory)
        client = Client(directory / "client", directory / "server/web1", borg="/usr/bin/borg")
        client.policy(jobs={"default": {"paths": [client.source]}})
        sshd.authorize(key_line(key, client.command(key)))
        run([*sshd.ssh_argv(key), "hello"])

Every process that the sshd starts stays below a *keeper*, also when its parent dies (prctl(2), PR_SET_CHILD_SUBREAPER):
so `Sshd.sessions()` finds whatever a gate leaves behind, and stopping takes all of it along. The keeper ends with the
process that started it, however that one ends.
"""

import contextlib
import ctypes
import getpass
import json
import os
import re
import resource
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from borgctl.wire import gate_argv

SSHD = "/usr/sbin/sshd"
# Recognisable, so that a test can look for it in every log, argv and environment.
PASSPHRASE = "passphrase-that-must-never-be-seen"
PR_SET_CHILD_SUBREAPER = 36
# Whom borg runs as where the gate is root: a number that nobody here has.
BORG_USER = "64123"


# ---- small things


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Make a private directory with a short name (a unix socket's path has 107 bytes) and remove it at the end."""
    directory = Path(tempfile.mkdtemp(prefix="bt-", dir="/tmp"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def seeing_opens(path: str) -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether a file was opened since it was last asked (inotify(7))."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)

    def seen() -> bool:
        try:
            return bool(os.read(watch, 1000))
        except BlockingIOError:
            return False

    try:
        assert libc.inotify_add_watch(watch, os.fsencode(path), 0x20) > 0  # IN_OPEN
        yield seen
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        assert seen()
    finally:
        os.close(watch)


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """Let no file of ours grow, as on a full disk: write(2) fails with EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(predicate: Callable[[], Any], seconds: float = 10, what: str = "") -> Any:
    """Return the first true value of `predicate`; raise AssertionError when there is none within `seconds`."""
    begun = time.monotonic()
    while not (value := predicate()):
        waited = time.monotonic() - begun
        if waited > seconds:
            raise AssertionError(f"waited {seconds} s in vain for {what or predicate}")
        time.sleep(max(0.02, waited / 20))  # what takes long is asked for seldom: others need this processor
    return value


def run(argv: list[Any], timeout: float = 60, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end with no stdin (unless `input` is given); text out and err, any exit status."""
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    words = [str(word) for word in argv]
    options = {"capture_output": True, "errors": "backslashreplace", "timeout": timeout, **options}
    return subprocess.run(words, text=True, check=False, **options)


@dataclass(frozen=True, slots=True)
class Key:
    """An ed25519 key pair: `path` of the private half, `public` line, `fingerprint` as SHA256:…"""

    path: Path
    public: str
    fingerprint: str


def keypair(directory: Path, name: str = "key") -> Key:
    """Make a key without a passphrase in `directory`; its comment is `name`."""
    path = Path(directory, name)
    made = run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path])
    assert made.returncode == 0, f"ssh-keygen: {made.stderr}"
    shown = run(["ssh-keygen", "-l", "-E", "sha256", "-f", f"{path}.pub"])
    return Key(path, Path(f"{path}.pub").read_text().strip(), shown.stdout.split()[1])


def key_line(key: Key, command: str, options: str = "restrict") -> str:
    """Compose a line of authorized_keys that ties `key` to `command`."""
    escaped = command.replace('"', '\\"')
    return f'{options},command="{escaped}" {key.public}'


# ---- what is left behind


@dataclass(frozen=True, slots=True)
class Process:
    """A process as /proc shows it; `started` tells it from a later one with the same number."""

    pid: int
    parent: int
    state: str
    started: str
    command: str


def processes() -> list[Process]:
    """Return every process of this machine that is not a zombie."""
    return _alive(_pids())


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _alive(pids: list[int]) -> list[Process]:
    found = map(_process, pids)
    return [process for process in found if process and process.state not in "ZX"]


def _read(path: str) -> str:
    with open(path, "rb", buffering=0) as file:
        return file.readall().decode(errors="replace")


def _stat(pid: int) -> tuple[str, list[str]] | None:
    """Return the name of `pid` and the fields behind it (proc(5)): state, parent and so on; None where it is gone."""
    try:
        name, _, rest = _read(f"/proc/{pid}/stat").rpartition(")")
    except OSError:
        return None
    return name.partition("(")[2], rest.split()


def _process(pid: int) -> Process | None:
    try:
        argv = _read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
    except OSError:
        return None
    if not (stat := _stat(pid)):
        return None
    name, fields = stat
    return Process(pid, int(fields[1]), fields[0], fields[19], argv or name)


def may(capability: int) -> bool:
    """Tell whether we have a capability (capabilities(7)): 12 is CAP_NET_ADMIN, 21 CAP_SYS_ADMIN; a container's root
    may have neither."""
    status = Path("/proc/self/status").read_text()
    return bool(int(re.search(r"CapEff:\s*([0-9a-f]+)", status)[1], 16) >> capability & 1)


def alive(pid: int) -> bool:
    """Tell whether `pid` runs; a zombie does not."""
    process = _process(pid)
    return process is not None and process.state not in "ZX"


def stop(pid: int) -> None:
    """Stop a process, and return when it is: until then a fatal signal ends it at once, and does not wait."""
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: (told := _stat(pid)) is not None and told[1][0] == "T", what=f"the stop of {pid}")


def descendants(ancestor: int) -> list[Process]:
    """Return what runs below `ancestor`, itself not included."""
    children: dict[int, list[int]] = {}
    for pid in _pids():  # asked for again and again by who waits: of most, only the parent is read
        if stat := _stat(pid):
            children.setdefault(int(stat[1][1]), []).append(pid)
    found: list[int] = []
    waiting = [ancestor]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.extend(below)
        waiting.extend(below)
    return _alive(found)


def adopt_orphans() -> None:
    """Make this process the parent of every orphan below it, so that `descendants` misses none."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


@contextlib.contextmanager
def tidy() -> Iterator[None]:
    """End whatever still runs below us, however the block ends: SIGTERM and SIGHUP raise KeyboardInterrupt in it."""
    adopt_orphans()

    def stop(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        yield
    finally:
        for process in descendants(os.getpid()):
            with contextlib.suppress(OSError):
                os.kill(process.pid, signal.SIGKILL)


def _below_us() -> list[Process]:
    """Return our descendants, at once where there are none: who adopts orphans and has no living child has none."""
    try:
        tasks = [_read(f"/proc/self/task/{task}/children") for task in os.listdir("/proc/self/task")]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN, or a thread that has just ended
        return descendants(os.getpid())
    return descendants(os.getpid()) if _alive([int(pid) for task in tasks for pid in task.split()]) else []


class Watch:
    """Finds what came into being since it was made and is still there: processes below us, names with 'borg' in them.

    Names are looked for in the directories that programs share; another run of the tests on the same machine shows
    there too, so ask for `names` only where a test is about them.
    """

    def __init__(self, *directories: str) -> None:
        adopt_orphans()
        self.directories = directories or (tempfile.gettempdir(), "/tmp", "/run", "/dev/shm")
        self._processes = set(_below_us())
        self._names = self._listed()

    def processes(self) -> list[Process]:
        known = {(process.pid, process.started) for process in self._processes}
        return [process for process in _below_us() if (process.pid, process.started) not in known]

    def names(self) -> set[str]:
        return self._listed() - self._names

    def _listed(self) -> set[str]:
        found = set()
        for directory in self.directories:
            with contextlib.suppress(OSError):
                found |= {f"{directory}/{name}" for name in os.listdir(directory) if "borg" in name}
        return found

    def assert_no_process(self, seconds: float = 5) -> None:
        """Raise AssertionError with the command lines of what still runs after `seconds`."""
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not self.processes(), seconds)
        left = self.processes()
        assert not left, "left running: " + "; ".join(f"{process.pid} {process.command}" for process in left)


# ---- the client's sshd


class Sshd:
    """A real sshd on a free port of 127.0.0.1, with a configuration, a host key and authorized keys of its own.

    `extra` holds lines of sshd_config (text or a list); a keyword in it replaces our line, a Match block may end it; a
    LogLevel must be INFO or more, since the log tells when sshd listens. Root logs in by key alone;
    `root_login="forced-commands-only"` is what a production client would say; `within` are words before sshd's own,
    such as those of ip-netns(8).
    """

    def __init__(
        self,
        directory: Path,
        *,
        extra: str | list[str] = "",
        root_login: str = "yes",
        user: str | None = None,
        within: tuple[str, ...] = (),
    ) -> None:
        self.directory = Path(directory)
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.user = user or getpass.getuser()
        self.port = 0
        self._root_login = root_login
        self._within = within
        self._first = self._extra = extra if isinstance(extra, str) else "\n".join(extra)
        self._keeper: subprocess.Popen[bytes] | None = None
        self._keys = self.directory / "authorized_keys"
        self._log = self.directory / "sshd.log"
        self._config = self.directory / "sshd_config"

    def __enter__(self) -> "Sshd":
        if not os.access(SSHD, os.X_OK):
            raise AssertionError(f"no {SSHD}: run 'make setup', or 'apt-get install openssh-server'")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.replace_keys()
        self._host = keypair(self.directory, "host_key")
        for _ in range(5):
            self.port = free_port()
            if self._start():
                return self
        raise AssertionError(f"sshd did not start:\n{self.log()}")

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def host_key(self) -> str:
        """The public host key as `borgpull trust` takes it: 'ssh-ed25519 AAAA…'."""
        return " ".join(self._host.public.split()[:2])

    @property
    def host_key_file(self) -> Path:
        return Path(f"{self._host.path}.pub")

    @property
    def listener(self) -> int:
        """The pid of the sshd that listens; what its sessions have used is added to it as they end (proc(5))."""
        return self._listener()

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def authorize(self, line: str) -> None:
        """Append one line (or several) to the authorized keys; it counts from the next connection on."""
        with self._keys.open("a") as keys:
            keys.write(line.rstrip("\n") + "\n")

    def replace_keys(self, *lines: str) -> None:
        self._keys.write_text("".join(f"{line}\n" for line in lines))
        self._keys.chmod(0o644)

    def configure(self, extra: str | list[str]) -> None:
        """Put other lines in the place of `extra` and make the running sshd read them (SIGHUP)."""
        self._extra = extra if isinstance(extra, str) else "\n".join(extra)
        self._write_config()
        listening = self.log().count("Server listening on")
        os.kill(self._listener(), signal.SIGHUP)
        wait_for(lambda: self.log().count("Server listening on") > listening, what=f"sshd to restart:\n{self.log()}")

    def renew(self) -> None:
        """Be as after the start, for the next test: no keys, no other settings, an empty log, no memory of anybody."""
        self.replace_keys()
        self.configure(self._first)
        os.truncate(self._log, 0)

    def ssh_argv(self, key: Key, *options: str, user: str | None = None) -> list[str]:
        """Compose an ssh command line for this sshd that reads no configuration; append the request as one word."""
        known_hosts = self.directory / "known_hosts"
        known_hosts.write_text(f"[127.0.0.1]:{self.port} {self.host_key}\n")
        settings = {
            "BatchMode": "yes",
            "ConnectTimeout": "10",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
        }
        argv = ["ssh", "-F", "none", "-T", "-p", str(self.port), "-i", str(key.path), *options]
        for name, value in settings.items():
            argv += ["-o", f"{name}={value}"]  # an option of the caller's comes first and wins
        return [*argv, f"{user or self.user}@127.0.0.1"]

    def sessions(self) -> list[Process]:
        """Return every process that connections started and that still runs, orphans included."""
        if self._keeper is None:
            return []
        listener = self._listener(missing=0)
        return [process for process in descendants(self._keeper.pid) if process.pid != listener]

    def end_sessions(self) -> None:
        """Kill what connections started, and wait until it is gone."""
        for process in self.sessions():
            with contextlib.suppress(OSError):
                os.kill(process.pid, signal.SIGKILL)
        wait_for(lambda: not self.sessions(), what="the sessions that were killed")

    def stop(self) -> None:
        """End sshd and everything it started; safe to call twice."""
        if self._keeper is None:
            return
        assert self._keeper.stdin
        self._keeper.stdin.close()  # the keeper's word to kill what is below it and go
        try:
            self._keeper.wait(20)
        finally:
            if self._keeper.poll() is None:
                self._keeper.kill()
                self._keeper.wait()
            self._keeper = None

    def _start(self) -> bool:
        """Start sshd on self.port; False when that port is taken."""
        self._write_config()
        self._log.write_text("")
        with self._log.open("ab") as log:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", __file__, "keep", *self._within, SSHD, "-D", "-e", "-f", str(self._config)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"},
            )
        keeper = self._keeper
        wait_for(lambda: "Server listening on" in self.log() or keeper.poll() is not None, what="sshd to listen")
        if keeper.poll() is None:
            return True
        self.stop()
        if "already in use" in self.log():
            return False
        raise AssertionError(f"sshd did not start:\n{self.log()}")

    def _listener(self, missing: int | None = None) -> int:
        """Return the pid of the sshd that listens: the keeper's child that execs `sshd -D`."""
        assert self._keeper
        named = f"-f {self._config}"
        for process in descendants(self._keeper.pid):
            if process.parent == self._keeper.pid and named in process.command and " -R" not in process.command:
                return process.pid
        if missing is None:
            raise AssertionError(f"sshd has ended:\n{self.log()}")
        return missing

    def _write_config(self) -> None:
        own = {
            "ListenAddress": "127.0.0.1",
            "Port": str(self.port),
            "HostKey": str(self._host.path),
            "AuthorizedKeysFile": str(self._keys),
            "PermitRootLogin": self._root_login,
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "StrictModes": "no",
            "UsePAM": _use_pam(self.user),
            "PidFile": "none",
            "UseDNS": "no",
            "PrintMotd": "no",
            "PrintLastLog": "no",
            "MaxStartups": "100",
            "LogLevel": "VERBOSE",
        }
        if self.user == getpass.getuser():  # whose start-up files may take as long as a backup
            own["SetEnv"] = f"HOME={self.directory}"
        everywhere = re.split(r"(?im)^\s*match\s", self._extra)[0]
        taken = {words[0].lower() for line in everywhere.splitlines() if (words := line.split())}
        lines = [f"{name} {value}" for name, value in own.items() if name.lower() not in taken]
        self._config.write_text("\n".join([*lines, self._extra, ""]))
        checked = run([SSHD, "-t", "-f", self._config])
        assert checked.returncode == 0, f"sshd -t: {checked.stderr}{self._config.read_text()}"


def _use_pam(user: str) -> str:
    """Return what lets `user` in by key: without PAM sshd(8) refuses an account whose password is locked with '!'."""
    try:
        shadow = Path("/etc/shadow").read_text().splitlines()
    except OSError:
        return "no"
    return "yes" if any(line.startswith(f"{user}:!") for line in shadow) else "no"


def keep(argv: list[str]) -> int:
    """Be the keeper: run argv, adopt and reap what it leaves behind; when stdin ends, or argv does, kill all of it."""
    adopt_orphans()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which the sshd would inherit
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
    while child.returncode is None and not select.select([0], [], [], 0.05)[0]:
        child.poll()
        _reap(child.pid)
    while left := descendants(os.getpid()):
        for process in left:
            with contextlib.suppress(OSError):
                os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.01)
        child.poll()
        _reap(child.pid)
    return child.wait()


def _reap(but: int) -> None:
    """Collect the exit statuses of adopted orphans, not that of our own child."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and ended.si_pid != but:
            os.waitpid(ended.si_pid, 0)


# ---- the two machines


class Client:
    """The machine that is backed up: a policy, a passphrase, a tree of files, and the gate's command line for a key."""

    def __init__(self, directory: Path, repository: Path, *, borg: str = "/usr/bin/borg") -> None:
        self.directory = Path(directory)
        self.repository = Path(repository)
        self.borg = str(borg)
        self.policy_file = self.directory / "policy.yaml"
        self.passphrase_file = self.directory / "passphrase"
        self.base = self.directory / "base"
        self.audit_file = self.directory / "log" / "audit.jsonl"
        self.source = self.directory / "source"
        self.socket_directory = self.directory / "s"
        for made in (self.directory, self.base, self.audit_file.parent, self.source, self.socket_directory):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.passphrase_file.touch(mode=0o600)
        self.passphrase_file.write_text(f"{PASSPHRASE}\n")
        fill(self.source)
        self.policy()

    def policy(self, template: str | None = None, **changes: Any) -> Path:
        """Write the policy: `template`, or version 1 with every key pointing into this directory.

        A change is YAML text, or a value that becomes it; None leaves the key out: policy(sandbox="off", user=None).
        """
        keys = {
            "version": 1,
            "repositories": {self.repository: {"encryption": "required"}},
            "passphrase": {"file": self.passphrase_file},
            "jobs": {
                "default": {"paths": [self.source]},
                "prune": {"command": "prune", "options": {"keep-last": 1, "glob-archives": "{hostname}-default-*"}},
                "init": {"command": "init", "options": {"encryption": "repokey-blake2"}},
            },
            "borg": self.borg,
            "base": self.base,
            "user": BORG_USER,
            "audit": {"file": self.audit_file, "syslog": False},
            "transports": ["stdio", "socket"],
            "socket": {"directory": self.socket_directory},
        } | changes
        text = "".join(f"{name}: {flow(value)}\n" for name, value in keys.items() if value is not None)
        self.policy_file.write_text(text if template is None else template)
        self.policy_file.chmod(0o600)
        return self.policy_file

    def command(self, key: Key) -> str:
        """Return the forced command for `key`."""
        return shlex.join(gate_argv.build(str(self.policy_file), key.fingerprint))

    def arguments(self, key: Key) -> list[str]:
        return ["--policy", str(self.policy_file), "--key", key.fingerprint]

    def records(self, *types: str) -> list[dict[str, Any]]:
        """Return the audit log's records, all of them or those of the named types (accept, refuse, exit, alert)."""
        if not self.audit_file.exists():
            return []
        records = [json.loads(line) for line in self.audit_file.read_text().splitlines()]
        return [record for record in records if not types or record["type"] in types]

    def wait_for_a_new_name(self) -> None:
        """Wait until an archive's name, in which the time has seconds, cannot be that of the last run's archive."""
        log = self.audit_file.read_text(errors="replace") if self.audit_file.exists() else ""
        if times := re.findall(r'^\{"time": "([0-9T:-]{19})[^"]*".*"type": "accept"', log, re.MULTILINE):
            wait_for(lambda: datetime.now(UTC).isoformat()[:19] > times[-1], what="the next second")


class Server:
    """The machine that holds the repositories: the launcher's two directories and a parent for repositories."""

    def __init__(self, directory: Path, name: str = "web1") -> None:
        self.directory = Path(directory)
        self.config = self.directory / "config"
        self.state = self.directory / "state"
        self.repositories = self.directory / "borg"
        self.repository = self.repositories / name
        for made in (self.directory, self.config, self.state, self.repositories):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)

    def borgpull(self, *words: Any) -> list[str]:
        """Compose a command line of the launcher with this server's directories."""
        return [program("borgpull"), "--config-dir", str(self.config), "--state-dir", str(self.state), *map(str, words)]


def program(name: str) -> str:
    """Return the path of a program that is installed beside this interpreter."""
    return str(Path(sys.executable).with_name(name))


def fill(directory: Path) -> None:
    """Write a small tree with what tends to go wrong: odd names, links, an empty directory, modes, bytes."""
    (directory / "etc/empty").mkdir(parents=True)
    (directory / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (directory / "etc/secret").write_text("only the owner may read this\n")
    (directory / "etc/secret").chmod(0o600)
    (directory / "etc/link").symlink_to("hosts")
    os.link(directory / "etc/hosts", directory / "etc/hosts.hard")
    (directory / "data.bin").write_bytes(bytes(range(256)) * 4096)
    (directory / "a name with spaces, ümlaut and a\nnewline").write_text("odd\n")
    (directory / "-n").write_text("looks like an option\n")


def same_tree(one: Path, other: Path) -> list[str]:
    """Compare two trees: names, kinds, modes, link targets, bytes. Return the relative paths that differ."""
    first, second = _tree(one), _tree(other)
    return sorted(path for path in first.keys() | second.keys() if first.get(path) != second.get(path))


def _tree(top: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for directory, names, files in os.walk(top):
        for name in names + files:
            path = Path(directory, name)
            what: Any = os.readlink(path) if path.is_symlink() else None if path.is_dir() else path.read_bytes()
            found[os.path.relpath(path, top)] = (path.lstat().st_mode, what)
    return found


def flow(value: Any) -> str:
    """Write a value as YAML in flow style; text stays as it is at the top, so a caller can write their own YAML."""
    return value if isinstance(value, str) else _flow(value)


def _flow(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case dict():
            return "{" + ", ".join(f"{_flow(name)}: {_flow(item)}" for name, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(_flow(item) for item in value) + "]"
        case _:
            text = str(value)
            plain = re.fullmatch(r"[A-Za-z0-9/_.][A-Za-z0-9/_.-]*", text)
            return text if plain else json.dumps(text, ensure_ascii=False)


if __name__ == "__main__":
    if sys.argv[1:2] != ["keep"]:
        raise SystemExit("usage: machines.py keep COMMAND…")
    sys.exit(keep(sys.argv[2:]))
