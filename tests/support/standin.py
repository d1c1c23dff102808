"""A stand-in for the gate: plays the steps of a JSON file, so that tests say what a client does.

python -I standin.py --policy STEPS.json          [["start"], ["borg", "create", …], ["exit", "ok", 0]]
"""

import contextlib
import fcntl
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import termios
import threading
import time

RUN = "run-1"
ASKED = shlex.split(os.environ.get("SSH_ORIGINAL_COMMAND", "run default --repository=/-"))
OPTIONS = dict(word[2:].split("=", 1) for word in ASKED if word.startswith("--") and "=" in word)
HERE = shlex.quote(os.path.abspath(__file__))
saved = True  # whether this run has nothing to save any more


def say(event: str, **fields: object) -> None:
    raw(json.dumps({"type": "borgctl", "event": event, "run": RUN, **fields}) + "\n")


def raw(text: str) -> None:
    os.write(2, text.encode("utf-8", "surrogateescape"))


def backup() -> None:
    """Save a manifest and commit it, as the smallest of all backups would; serve's answers are of no interest."""
    up = connected() if "socket" in OPTIONS else 1
    with contextlib.suppress(BrokenPipeError):  # serve has gone
        for message in messages(OPTIONS["repository"].encode()):
            os.write(up, message)
    os.close(up)


def messages(path: bytes) -> list[bytes]:
    """Return what borg would say: negotiate, open with the exclusive lock, put the manifest, commit."""
    length = bytes([0xA0 + len(path)]) if len(path) < 32 else b"\xda" + len(path).to_bytes(2, "big")
    flags = b"\xa6create\xc2\xa9lock_wait\x01\xa4lock\xc3\xa9exclusive\xc3\xabappend_only\xc2\xb0make_parent_dirs\xc2"
    negotiate = b"\x94\x01\x01\xa9negotiate\x91\x81\xaeclient_version\x94\x01\x02\x04\xff"
    opening = b"\x83\xa1i\x02\xa1m\xa4open\xa1a\x87\xa4path" + length + path + flags
    manifest = b"\x83\xa1i\x03\xa1m\xa3put\xa1a\x82\xa2id\xda\x00\x20" + bytes(32) + b"\xa4data\xa4data"
    threshold = b"\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a"
    commit = b"\x83\xa1i\x04\xa1m\xa6commit\xa1a\x84\xaasave_space\xc2\xa7compact\xc2\xa9threshold" + threshold
    return [negotiate, opening, manifest, commit + b"\xafcleanup_commits\xc2"]


def connected() -> int:
    end = socket.socket(socket.AF_UNIX)
    end.connect(OPTIONS["socket"])
    return end.detach()


def lend(path: str) -> None:
    """Give our fds 0 and 1 to whoever connects to the socket `path`, once."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        guest, _ = listener.accept()
        with guest:
            socket.send_fds(guest, [b"-"], [0, 1])


def borg(words: list[str], program: str) -> int:
    """Run borg with this file as its BORG_RSH, which gets our fds 0 and 1, or connects to the forwarded socket."""
    base = os.environ["BASE"] if "BASE" in os.environ else OPTIONS["repository"] + ".client"
    where = OPTIONS["socket"] if "socket" in OPTIONS else f"{OPTIONS['repository']}.socket-{os.getpid()}"
    if "socket" not in OPTIONS:
        threading.Thread(target=lend, args=(where,), daemon=True).start()
    env = {
        "PATH": "/usr/bin:/bin",
        "HOME": base,
        "BORG_BASE_DIR": base,
        "BORG_RSH": f"{sys.executable} -I {HERE} --relay {'forwarded' if 'socket' in OPTIONS else 'lent'} {where}",
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        "BORG_EXIT_CODES": "modern",
    }
    argv = [program, words[0], "--log-json", *words[1:]]
    argv = [word.replace("REPO", f"ssh://borgctl{OPTIONS['repository']}") for word in argv]
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    for stream, text in (("stderr", done.stderr), ("stdout", done.stdout)):
        for line in text.splitlines():
            say("output", source="borg", stream=stream, data=line)
    return done.returncode


def relay(kind: str, where: str) -> None:
    """Copy borg's stdin to the gate's fd 1 and the gate's fd 0 to borg's stdout, until either closes its end."""
    end = socket.socket(socket.AF_UNIX)
    end.connect(where)
    if kind == "forwarded":
        up = down = end.detach()
    else:
        _, (down, up), _, _ = socket.recv_fds(end, 1, 2)
    reader = os.fork()
    if reader == 0:
        while data := os.read(down, 65536):
            os.write(1, data)
        os._exit(0)
    os.close(1)  # the reader's alone: when serve is gone, borg is to see it
    while data := os.read(0, 65536):
        while data:
            data = data[os.write(up, data) :]
    os.kill(reader, signal.SIGKILL)
    os._exit(0)


def play(step: list) -> None:
    match step:
        case ["hello", *jobs]:
            say("start", command="hello")
            offered = [{"name": job, "command": "create"} for job in jobs]
            say("hello", protocol=1, version="0", policy="sha256:0", jobs=offered, commands={}, transports=["stdio"])
        case ["say", event, fields]:
            say(event, **fields)
        case ["protocol", number]:
            say("hello", protocol=number, jobs=[])
        case ["start", command]:
            say("start", job=ASKED[1], command=command, repository=OPTIONS["repository"])
            global saved  # noqa: PLW0603 - one process, one run
            saved = command != "create"
        case ["run", name]:
            global RUN  # noqa: PLW0603 - one process, one run
            RUN = name
        case ["start"]:
            play(["start", "create"])
        case ["out", data]:
            say("output", source="borg", stream="stdout", data=data)
        case ["err", data]:
            say("output", source="borg", stream="stderr", data=data)
        case ["raw", text]:
            raw(text)
        case ["flood", text, times]:
            for _ in range(times):
                raw(text)
        case ["note", path]:
            with open(path, "a", encoding="ascii") as file:
                print(os.getpid(), file=file)
        case ["sleep", seconds]:
            time.sleep(seconds)
        case ["until", path]:
            while not os.path.exists(path):
                time.sleep(0.02)
        case ["deaf"]:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        case ["hang-up"]:
            os.close(0), os.close(1)
        case ["cut-off"]:
            while any(fcntl.ioctl(2, termios.FIONREAD, bytes(4))):  # sshd has not read what was said
                time.sleep(0.02)
            time.sleep(0.5)  # for it to send that on
            os.kill(os.getppid(), signal.SIGKILL)
        case ["backup"]:
            backup()
            saved = True
        case ["claim", outcome, code]:
            say("exit", outcome=outcome, origin="borg", code=code)
            sys.exit(code)
        case ["borg", program, *words]:
            saved = True
            code = borg(words, program)
            outcome = "ok" if code == 0 else "warning" if code == 1 or 100 <= code < 128 else "failed"
            play(["exit", outcome, code])
        case ["exit", outcome, code, *audit]:
            if outcome in ("ok", "warning") and not saved:
                backup()
            say("exit", outcome=outcome, origin="borg", code=code, audit=audit[0] if audit else None)
            sys.exit(code)
        case ["asked", path]:
            with open(path, "a", encoding="ascii") as file:
                print(os.environ["SSH_ORIGINAL_COMMAND"], file=file)
        case ["refuse", outcome, code, reason]:
            say("exit", outcome=outcome, origin="gate", code=code, reason=reason)
            sys.exit(code)
        case ["status", code]:
            os._exit(code)


if __name__ == "__main__":
    if sys.argv[1] == "--relay":
        relay(sys.argv[2], sys.argv[3])
    with open(sys.argv[2], encoding="utf-8") as steps:
        scenes = json.load(steps)
    if isinstance(scenes, dict):  # one of a request, or of a job
        scenes = scenes.get(" ".join(ASKED[:2]), scenes.get(ASKED[0], []))
    for each in scenes:
        play(each)
