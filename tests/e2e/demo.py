"""Plays a backup server and a client on this one machine, with a real sshd and a real borg: run by `make demo`.

Every step runs the commands that an admin would type and shows what they print. The exit status is 0 only if each step
did what it says. Everything lies in one temporary directory, which is removed at the end, also after Ctrl-C.
"""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import machines
import windows
from machines import Client, Server, Sshd

BORG = "/usr/bin/borg"
BOLD, DIM, GREEN, RED, PLAIN = "1", "2", "32", "31", "0"
COLOUR = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
WIDTH, HEIGHT = 160, 14  # what is shown of a command's output

POLICY = """\
version: 1
repositories:
  {repository}: {{encryption: required}}
passphrase: {{file: {client}/passphrase}}
jobs:
  default: {{paths: [{client}/source], options: {{compression: zstd}}}}
  init: {{command: init, options: {{encryption: repokey-blake2}}}}
  list: {{command: list}}
  prune: {{command: prune, options: {{keep-last: 1, glob-archives: "{{hostname}}-default-*"}}}}
borg: {borg}
base: {client}/base
transports: [stdio, socket]
window: 30m
socket: {{directory: {client}/s}}
user: "{user}"
audit: {{file: {client}/log/audit.jsonl, syslog: no}}
"""


class Failed(Exception):  # noqa: N818 - reads as what it says where it is raised
    """A step did not do what it says."""


def coloured(code: str, text: str) -> str:
    return f"\033[{code}m{text}\033[{PLAIN}m" if COLOUR else text


class Story:
    """Tells the steps: numbers them, runs their commands, shows what they print, and stops at the first that fails."""

    def __init__(self, directory: Path) -> None:
        self.steps = 0
        self.began = time.monotonic()
        self.short = {f"{directory}/server": "$S", f"{directory}/client": "$C", f"{directory}/ssh_config": "$SSH"}

    def step(self, title: str) -> None:
        self.steps += 1
        print(coloured(BOLD, f"\n{self.steps}. {title}"))

    def say(self, text: str) -> None:
        print(f"   {text}")

    def run(self, argv: list[str], where: str, *, status: int | None = 0, env: dict[str, str] | None = None) -> str:
        """Run a command of `where` (server or client); `status` is what it must end with, None for anything but 0."""
        shown = shlex.join(argv)
        for path, name in self.short.items():
            shown = shown.replace(path, name)
        print(f"   {coloured(DIM, where + '$')} {shown}")
        try:
            done = machines.run(argv, capture_output=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env)
        except subprocess.TimeoutExpired as error:
            self.show((error.output or b"").decode(errors="backslashreplace"), whole=True)
            raise Failed("the command above did not end within a minute") from None
        good = done.returncode == status if status is not None else done.returncode != 0
        self.show(done.stdout, whole=not good)
        if not good:
            expected = "a refusal" if status is None else f"exit status {status}"
            raise Failed(f"the command above ended with status {done.returncode}; expected {expected}")
        if done.returncode:
            self.say(coloured(DIM, f"(exit status {done.returncode}, as it should)"))
        return done.stdout

    def show(self, text: str, *, whole: bool = False) -> None:
        lines = text.rstrip("\n").split("\n") if text.strip() else []
        left_out = 0 if whole or len(lines) <= HEIGHT else len(lines) - HEIGHT
        for line in lines[: HEIGHT if left_out else None]:
            print("     | " + (line if whole or len(line) <= WIDTH else f"{line[:WIDTH]} …"))
        if left_out:
            print(f"     | … {left_out} more lines")

    def check(self, truth: object, claim: str) -> None:
        """Hold the story to one claim."""
        if not truth:
            raise Failed(f"not so: {claim}")
        print(f"   {coloured(GREEN, 'ok')} {claim}")


def tell(story: Story, directory: Path) -> None:
    """The whole story."""
    server, client = (
        Server(directory / "server"),
        Client(directory / "client", directory / "server/borg/web1", borg=BORG),
    )
    client.policy(
        template=POLICY.format(
            client=client.directory, repository=server.repository, borg=BORG, user=machines.BORG_USER
        )
    )
    grow(client.source)
    with Sshd(directory / "sshd") as sshd:
        print(f"A client and a server on this machine: S={server.directory} C={client.directory}")
        print(f"The client has an sshd of its own on port {sshd.port}, and {size_of(client.source)} to back up.")
        set_up(story, server, client, sshd)
        pull(story, server, client)
        pull_by_socket(story, server, client, sshd)
        find_nothing_new(story, server)
        refuse(story, directory, server, client, sshd)
        list_archives(story, server)
        prune_and_compact(story, server, client)
        restore(story, directory, server, client)
        read_the_log(story, client)
        story.step("Nothing is left running")
        machines.wait_for(lambda: not sshd.sessions(), what=f"sessions to end: {sshd.sessions()}")
        story.check(not sshd.sessions(), "no process of any ssh session runs on the client")
        mine = [process for process in machines.descendants(os.getpid()) if "sshd" not in process.command]
        story.check(not mine, "no borg, no ssh and no borgpull runs on the server")
        story.check(not os.listdir(client.socket_directory), "no socket is left on the client")
    story.check(not machines.descendants(os.getpid()), "the sshd of this demo is stopped too")


def set_up(story: Story, server: Server, client: Client, sshd: Sshd) -> None:
    story.step("Set-up in two pastes. The client's admin has written a policy:")
    story.show(client.policy_file.read_text(), whole=True)
    paste(story, server, client, sshd, "web1", "stdio")
    story.step("Make the repository: the client's own job 'init', so the server never sees a key or a passphrase")
    said = story.run(borgpull(server, "run", "web1", "--job", "init"), "server")
    story.check("web1 init: ok" in said, "the repository is there")
    config = (server.repository / "config").read_text()
    story.check("key = " in config, "and it is encrypted (its config holds a wrapped key)")


def paste(story: Story, server: Server, client: Client, sshd: Sshd, target: str, transport: str) -> None:
    """Add a target; paste what that prints on the client, and what the client prints on the server."""
    words = ["--repository", str(server.repository), "--port", str(sshd.port), "--quota", "1G"]
    words += ["--client-policy", str(client.policy_file)]
    words += ["--transport", transport] if transport != "stdio" else []
    said = story.run(borgpull(server, "add", target, f"{sshd.user}@127.0.0.1", *words), "server")
    first = next((line.strip() for line in said.splitlines() if line.strip().startswith("borgctl authorize ")), "")
    story.check(first, "the first paste, for the client's admin, is the line that begins with 'borgctl authorize'")
    argv = [*shlex.split(first), "--host-key", str(sshd.host_key_file)]
    said = story.run([machines.program("borgctl"), *argv[1:]], "client")
    keys, drop_in, trust = authorized(said)
    sshd.authorize(keys)
    if drop_in:
        sshd.configure(drop_in)
    story.say(
        "The key line is now in authorized_keys"
        + (", and the lines for sshd_config stand in the sshd's configuration." if drop_in else "; sshd needs no more.")
    )
    argv = shlex.split(trust)
    story.check(
        argv[:2] == ["borgpull", "trust"],
        "the second paste, for the server, is the line that begins with 'borgpull trust'",
    )
    story.run(borgpull(server, "trust", target, *argv[3:]), "server")


def authorized(said: str) -> tuple[str, str, str]:
    """Take apart what `borgctl authorize` prints: key line, drop-in for sshd_config (if any), line for the server."""
    keys = [line for line in said.splitlines() if line and not line.startswith("#")]
    _, _, second = said.partition("\n# 2. ")
    drop_in = re.findall(r"(?m)^#   ((?: {4})?[A-Z][A-Za-z]+ .*)$", second.partition("\n#\n")[0])
    trust = re.search(r"(?m)^#\s*(borgpull trust .*)$", said)
    if not keys or trust is None:
        raise Failed("'borgctl authorize' printed no key line or no line for the server")
    return "\n".join(keys), "\n".join(drop_in), trust[1]


def pull(story: Story, server: Server, client: Client) -> None:
    story.step(
        "A pull over stdio: no forwarding at all; the forced command's own stdin and stdout carry borg's protocol"
    )
    said = story.run(borgpull(server, "run", "web1"), "server")
    story.check(
        "web1 default: ok" in said, f"{size_of(client.source)} are in the repository: {size_of(server.repository)}"
    )


def pull_by_socket(story: Story, server: Server, client: Client, sshd: Sshd) -> None:
    story.step("The same client over a forwarded socket, with a key line of its own")
    paste(story, server, client, sshd, "web1-socket", "socket")
    target = server.config / "targets/web1-socket.yaml"
    story.run(["sh", "-c", f"echo 'socket_directory: {client.socket_directory}' >>{target}"], "server")
    said = story.run(borgpull(server, "run", "web1-socket"), "server")
    story.check("web1-socket default: ok" in said, "the pull is done")
    story.check(not os.listdir(client.socket_directory), "the socket's name is gone from the client")


def find_nothing_new(story: Story, server: Server) -> None:
    story.step("Another pull finds nothing new")
    before = size_in_bytes(server.repository)
    story.run(borgpull(server, "run", "web1"), "server")
    grown = size_in_bytes(server.repository) - before
    story.check(grown < 100_000, f"the repository grew by {grown} bytes")


def refuse(story: Story, directory: Path, server: Server, client: Client, sshd: Sshd) -> None:
    story.step("What the server cannot do with that very key, typed by hand")
    config = directory / "ssh_config"
    known_hosts = directory / "known_hosts"
    known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {sshd.host_key}\n")
    key = server.config / "keys/web1"
    config.write_text(
        f"Host web1\n  HostName 127.0.0.1\n  Port {sshd.port}\n  User {sshd.user}\n  IdentityFile {key}\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {known_hosts}\n  BatchMode yes\n  LogLevel ERROR\n"
    )
    ssh = ["ssh", "-T", "-F", str(config)]
    before = len(client.records("refuse"))
    for request, reason in (
        ("borg create ::x /root", "command-not-offered"),
        ("run no-such-job", "unknown-job"),
        ("borg create --rsh='touch /tmp/p' ::x /etc", "unknown-option"),
        ("sh -c id", "unknown-verb"),
    ):
        said = story.run([*ssh, "web1", request], "server", status=None)
        story.check(reason in said, f"refused: {reason}")
    refused = len(client.records("refuse")) - before
    story.check(refused == 4, "each of the four is in the client's audit log")
    story.run([*ssh, "-W", f"127.0.0.1:{sshd.port}", "web1"], "server", status=None)
    story.run(
        [*ssh, "-N", "-o", "ExitOnForwardFailure=yes", "-R", "/tmp/p.sock:/tmp/q.sock", "web1"], "server", status=None
    )
    story.check(not os.path.lexists("/tmp/p.sock"), "no TCP connection and no socket through the client")


def list_archives(story: Story, server: Server) -> None:
    story.step("The list of archives, which this policy discloses")
    story.say("The server's own file says what each job may do to the repository; what is not in it may only add.")
    target, jobs = server.config / "targets/web1.yaml", "{list: {kind: read, run: no}, prune: {deletes: 5000, run: no}}"
    story.run(["sh", "-c", f"echo 'jobs: {jobs}' >>{target}"], "server")
    said = story.run(borgpull(server, "run", "web1", "--job", "list"), "server")
    story.check(len(archives(said)) == 3, f"three archives: {', '.join(archives(said))}")


def prune_and_compact(story: Story, server: Server, client: Client) -> None:
    story.step(
        "The client loses a big file; a prune through the gate only marks, the server's own compact frees the space"
    )
    (client.source / "old-dump.bin").unlink()
    story.run(borgpull(server, "run", "web1"), "server")
    full = size_in_bytes(server.repository)
    said = story.run(borgpull(server, "run", "web1", "--job", "prune"), "server")
    story.check("web1 prune: ok" in said, "the client's job 'prune' has marked what is old")
    story.check(
        size_in_bytes(server.repository) >= full, "and nothing is gone yet: the server appends, whatever a client says"
    )
    said = story.run(borgpull(server, "compact", "web1"), "server")
    freed = full - size_in_bytes(server.repository)
    story.check(freed > 5_000_000, f"compact, without key or passphrase, freed {freed / 1e6:.1f} MB")


def restore(story: Story, directory: Path, server: Server, client: Client) -> None:
    story.step("A restore through a window, compared byte for byte")
    story.say("The server opens a window; the client's own admin uses it. The server never sees the passphrase.")
    target = directory / "client/restored"
    target.mkdir()
    window = [machines.program("borgctl"), "window", "--policy", str(client.policy_file), "--wait", "60", "--", "borg"]
    print(f"   {coloured(DIM, 'server$')} borgpull window web1 --for 600s &")
    with windows.opened(SimpleNamespace(server=server)):
        newest = story.run([*window, "list", "--last", "1", "--format", "{archive}{NL}"], "client")
        with contextlib.chdir(target):
            story.run([*window, "extract", f"::{newest.split()[-1]}"], "client")
    different = machines.same_tree(client.source, target / str(client.source).lstrip("/"))
    story.check(not different, f"{sum(1 for _ in client.source.rglob('*'))} files and directories are as they were")


def read_the_log(story: Story, client: Client) -> None:
    story.step("The client's audit log: who asked for what, and what came of it")
    records = client.records()
    for record in records:
        asked = record.get("request") or " ".join(filter(None, (record.get("command"), record.get("job"))))
        outcome = record.get("reason") or record.get("outcome") or ""
        story.say(f"{record['time']}  {record['type']:<7} {outcome:<20} {asked[:90]}")
    text = client.audit_file.read_text()
    story.check(len(client.records("accept")) == len(client.records("exit")), "every accepted run has its end")
    story.check(machines.PASSPHRASE not in text, "and the passphrase is nowhere in it")


# ---- small things


def borgpull(server: Server, *words: str) -> list[str]:
    argv = server.borgpull(*words)
    return ["borgpull", *argv[1:]]


def archives(said: str) -> list[str]:
    """Return the archives' names in what `borg list` printed, as text or as JSON."""
    return list(dict.fromkeys(re.findall(r"[\w.-]+-default-[0-9T:-]+", said)))


def grow(source: Path) -> None:
    """Add a real tree to the client's files: Python's own library; and one big file that will be lost."""
    library = Path(sysconfig.get_path("stdlib"))
    ignored = shutil.ignore_patterns(
        "__pycache__", "site-packages", "dist-packages", "test", "tests", "config-*", "*.so"
    )
    shutil.copytree(library, source / "library", symlinks=True, ignore=ignored)
    (source / "old-dump.bin").write_bytes(os.urandom(8_000_000))


def size_in_bytes(directory: Path) -> int:
    return sum(path.lstat().st_size for path in directory.rglob("*") if path.is_file() and not path.is_symlink())


def size_of(directory: Path) -> str:
    files = sum(1 for path in directory.rglob("*") if not path.is_dir())
    return f"{files} files, {size_in_bytes(directory) / 1e6:.1f} MB"


def main() -> int:
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '/usr/bin:/bin')}"
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        with machines.tidy(), machines.scratch() as directory:
            story = Story(directory)
            tell(story, directory)
    except KeyboardInterrupt:
        print("\nstopped; nothing is left behind", file=sys.stderr)
        return 130
    except (Failed, AssertionError, OSError, subprocess.SubprocessError) as error:
        print(coloured(RED, f"\ndemo failed: {error}"), file=sys.stderr)
        return 1
    print(coloured(BOLD, f"\nAll {story.steps} steps held, in {time.monotonic() - story.began:.0f} s."))
    return 0


if __name__ == "__main__":
    sys.exit(main())
