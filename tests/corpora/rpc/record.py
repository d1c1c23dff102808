"""Record what borg's client says to `borg serve`, for each command: record.py BORG SERIES (say, /usr/bin/borg 1.2)

Writes SERIES-NAME beside this file: the client's bytes, as base64 in lines. The tree and the repository are tiny, and
the repository's path is always /tmp/borgctl-rpc/repo. As BORG_RSH it is the shim itself: record.py --shim FILE BORG …
"""

import base64
import os
import shutil
import subprocess
import sys
import tempfile

PLACE = "/tmp/borgctl-rpc"
REPOSITORY = f"{PLACE}/repo"
URL = f"ssh://server{REPOSITORY}"
COMMANDS = (
    ("init", "init --encryption=repokey-blake2 URL"),
    ("create-first", "create URL::one TREE"),
    ("create-unchanged", "create URL::two TREE"),
    ("create-cache-lost", "create URL::three TREE"),
    ("create-interrupted", "create --checkpoint-interval=1 URL::four -"),
    ("list", "list URL"),
    ("info", "info URL::one"),
    ("extract", "extract --dry-run URL::one"),
    ("check", "check URL"),
    ("check-data", "check --verify-data URL"),
    ("check-repository", "check --repository-only URL"),
    ("prune-dry-run", "prune --dry-run --keep-last=1 URL"),
    ("prune", "prune --keep-last=2 URL"),
    ("rename", "rename URL::two five"),
    ("recreate", "recreate --exclude=*b URL::five"),
    ("delete-archive", "delete URL::five"),
    ("with-lock", "with-lock URL true"),
    ("key-export", "key export URL KEY"),
    ("key-import", "key import URL KEY"),
    ("key-change-passphrase", "key change-passphrase URL"),
    ("wrong-passphrase", "list URL"),
    ("compact", "compact URL"),
    ("break-lock", "break-lock URL"),
    ("check-repair", "check --repair URL"),
    ("delete-repository", "delete URL"),
)


def shim(file, borg):
    """Be borg's remote shell: write down what it says, and hand it to serve."""
    serve = [borg, "serve", "--append-only", "--restrict-to-repository", REPOSITORY, "--umask=0077"]
    with subprocess.Popen(serve, stdin=subprocess.PIPE) as process, open(file, "ab", buffering=0) as log:
        while words := os.read(0, 1 << 16):
            log.write(words)
            process.stdin.write(words)
            process.stdin.flush()
        process.stdin.close()
    return process.returncode


def record(borg, series):
    """Run every command and write down what was said."""
    here = os.path.dirname(os.path.abspath(__file__))
    os.mkdir(PLACE, 0o700)
    try:
        _tree(f"{PLACE}/tree")
        for name, command in COMMANDS:
            with tempfile.NamedTemporaryFile(dir=PLACE) as said:
                _run(borg, name, command.split(), said.name)
                text = base64.encodebytes(said.read())
            with open(f"{here}/{series}-{name}", "wb") as file:
                file.write(text)
            print(f"{series}-{name}: {len(text)} bytes")
    finally:
        shutil.rmtree(PLACE)


def _tree(path):
    os.mkdir(path)
    for name in "abc":
        with open(f"{path}/{name}", "w") as file:
            file.write(name * 2000)


def _run(borg, name, words, said):
    """Run one command, with all that it could ask a person for."""
    env = {
        "PATH": "/usr/bin:/bin",
        "HOME": PLACE,
        "BORG_BASE_DIR": f"{PLACE}/base",
        "LANG": "C.UTF-8",
        "BORG_RSH": f"{sys.executable} {os.path.abspath(__file__)} --shim {said} {borg}",
        "BORG_PASSPHRASE": "wrong" if name == "wrong-passphrase" else "x",
        "BORG_NEW_PASSPHRASE": "x",
        "BORG_CHECK_I_KNOW_WHAT_I_AM_DOING": "YES",
        "BORG_DELETE_I_KNOW_WHAT_I_AM_DOING": "YES",
    }
    if name == "create-cache-lost":
        shutil.rmtree(f"{PLACE}/base/.cache")
    words = [{"URL": URL, "TREE": f"{PLACE}/tree", "KEY": f"{PLACE}/key"}.get(word, word) for word in words]
    argv = [borg, *(word.replace("URL", URL) for word in words)]
    if name != "create-interrupted":
        subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
        return
    process = subprocess.Popen(
        argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    before = os.path.getsize(said)
    while os.path.getsize(said) == before:  # until it has opened the repository
        pass
    process.stdin.write(os.urandom(1000))
    process.stdin.flush()
    process.send_signal(2)
    process.stdin.close()
    process.wait(120)


if __name__ == "__main__":
    if sys.argv[1] == "--shim":
        sys.exit(shim(*sys.argv[2:4]))
    record(*sys.argv[1:])
