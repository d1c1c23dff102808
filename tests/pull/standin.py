"""A stand-in for the gate: plays the steps of a JSON file, so that tests say what a client does.

python -I standin.py --policy STEPS.json          [["start"], ["borg", "create", …], ["exit", "ok", 0]]
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time

RUN = "run-1"
ASKED = shlex.split(os.environ.get("SSH_ORIGINAL_COMMAND", "run default --repository=/-"))
OPTIONS = dict(word[2:].split("=", 1) for word in ASKED if word.startswith("--"))
HERE = os.path.abspath(__file__)


def say(event: str, **fields: object) -> None:
    raw(json.dumps({"type": "borgctl", "event": event, "run": RUN, **fields}) + "\n")


def raw(text: str) -> None:
    os.write(2, text.encode("utf-8", "surrogateescape"))


def borg(words: list[str], program: str) -> int:
    """Run borg with this file as its BORG_RSH, which finds our fds 0 and 1 in /proc."""
    base = os.environ["BASE"] if "BASE" in os.environ else OPTIONS["repository"] + ".client"
    door = f" --socket {OPTIONS['socket']}" if "socket" in OPTIONS else ""
    env = {
        "PATH": "/usr/bin:/bin",
        "HOME": base,
        "BORG_BASE_DIR": base,
        "BORG_RSH": f"{sys.executable} -I {HERE} --relay {os.getpid()}{door}",
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


def relay(gate: str) -> None:
    """Copy borg's stdin to the gate's fd 1 and the gate's fd 0 to borg's stdout, until either closes its end."""
    if "--socket" in sys.argv:
        end = socket.socket(socket.AF_UNIX)
        end.connect(sys.argv[sys.argv.index("--socket") + 1])
        up = down = end.detach()
    else:
        up, down = os.open(f"/proc/{gate}/fd/1", os.O_WRONLY), os.open(f"/proc/{gate}/fd/0", os.O_RDONLY)
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
        case ["deaf"]:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        case ["hang-up"]:
            os.close(0), os.close(1)
        case ["borg", program, *words]:
            code = borg(words, program)
            outcome = "ok" if code == 0 else "warning" if code == 1 or 100 <= code < 128 else "failed"
            play(["exit", outcome, code])
        case ["exit", outcome, code]:
            say("exit", outcome=outcome, origin="borg", code=code)
            sys.exit(code)
        case ["exit", outcome, code, audit]:
            say("exit", outcome=outcome, origin="borg", code=code, audit=audit)
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
        relay(sys.argv[2])
    with open(sys.argv[2], encoding="utf-8") as steps:
        scenes = json.load(steps)
    for each in scenes.get(ASKED[0], []) if isinstance(scenes, dict) else scenes:
        play(each)
