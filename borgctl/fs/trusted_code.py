"""Check who may change the code that a program runs: its file, its script's interpreter, and its Python's libraries.

All of it must obey the rule of `secure_path`: only root and the gate's user may change it. Python's own directories are
checked file by file (`trusted_tree`). The C library's directories hold the whole system's libraries, so only their path
is checked. It cannot know what a shell script starts in turn; the script's author does.

    require_borg("/usr/bin/borg")                      # raises InsecurePath, or OSError as open(2) does
    require_words(["/usr/bin/gpg", "-d", "/root/x"])   # a program, and each absolute path among its words
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence

from borgctl.fs import secure_path
from borgctl.fs.secure_path import InsecurePath, SecurePath
from borgctl.fs.trusted_tree import TrustedTree, require_entry, require_if_there

_HEAD = 4096  # bytes, more than the kernel reads of a script's first line
_DEEPEST = 4  # scripts that are interpreters of scripts; execve(2) gives up then
# PATH of the programs that we start (`borg.environment`)
_SEARCHED = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", "/etc/ld.so.cache")
_PYTHON = re.compile(r"python(3(?:\.[0-9]+)?)?")
_PACKAGES = frozenset(("site-packages", "dist-packages"))
# A path in a word, or in a script that is a word: after a character that a shell, or --option=PATH, has before it
_PATH = re.compile(r"(?:\A|(?<=[\s='\"(;|&<>,])|(?<=[^\s/]:)(?!//))/[^\s'\"(){}$`;|&<>*?\[\],:]*")


def require_program(path: str) -> None:
    """Raise InsecurePath or OSError unless only trusted users can change a program and the interpreters it names."""
    _interpreters(path)


def require_runnable(path: str) -> None:
    """Raise InsecurePath or OSError unless a program exists, is executable, and is trusted as above."""
    require_program(path)
    with SecurePath.at(path) as pinned:
        if not pinned.status.st_mode & 0o111:
            raise InsecurePath(f"{path!r} is not executable: chmod 0755 {path}")


def require_words(words: Sequence[str]) -> None:
    """Raise InsecurePath or OSError unless a program and each absolute path among its words are trusted."""
    require_program(words[0])
    for path in paths(words[1:]):
        require_path(path)


def paths(words: Iterable[str]) -> Iterator[str]:
    """Yield the absolute paths in words, also after `--option=` and in a shell script."""
    for word in words:
        if word.startswith("/"):
            yield word
        yield from (match[0] for match in _PATH.finditer(word) if match[0] not in ("/", word))


def require_path(path: str) -> None:
    """Raise InsecurePath where another user could choose what is at this path; a missing path is fine."""
    try:
        with SecurePath.at(path) as pinned:
            require_entry(pinned.status, path)
    except OSError:
        return


def require_borg(borg: str) -> None:
    """Raise InsecurePath or OSError unless all code of this borg is trusted: its file, its Python, the libraries."""
    python = next((name for name in _interpreters(borg) if _PYTHON.fullmatch(os.path.basename(name))), None)
    for path in _LIBRARIES:
        require_if_there(path)
    if python is not None:
        isolated = _isolated(python)
        # a virtual environment uses the standard library of the Python that made it, and none of its packages
        TrustedTree(skipped=_PACKAGES if isolated else frozenset()).walk(_python_directories(python, isolated=isolated))
        if isolated:
            TrustedTree().walk(f"{_above(python)}/{name}" for name in ("lib", "lib64"))


def _interpreters(program: str) -> list[str]:
    """Return the interpreters from a script down to an ELF file, each checked."""
    interpreters: list[str] = []
    path = program
    for _ in range(_DEEPEST):
        with SecurePath.at(path) as pinned:
            pinned.require(stat.S_IFREG)
            head = _head(pinned)
        if not head.startswith(b"#!"):
            return interpreters
        path = _named_interpreter(path, head)
        interpreters.append(path)
    raise InsecurePath(f"{program!r} is a script of a script of a script")


def _head(pinned: SecurePath) -> bytes:
    try:
        fd = pinned.open(os.O_RDONLY)
    except PermissionError:  # a program that we may start but not read is no script
        return b""
    try:
        return os.read(fd, _HEAD)
    finally:
        os.close(fd)


def _named_interpreter(script: str, head: bytes) -> str:
    """Return the interpreter of a script; where that is env(1), the program that env would find."""
    words = head[2:].split(b"\n", 1)[0].decode("utf-8", "surrogateescape").split()
    if not words or not words[0].startswith("/"):
        raise InsecurePath(f"{script!r} does not name its interpreter by an absolute path")
    if os.path.basename(words[0]) != "env":
        return words[0]
    require_path(words[0])
    name = next((word for word in words[1:] if not word.startswith("-") and "=" not in word), "")
    for directory in _SEARCHED:
        require_if_there(directory)
        if name and os.path.exists(f"{directory}/{name}"):
            return f"{directory}/{name}"
    raise InsecurePath(f"{script!r} is a script of {name!r}, which is not in {':'.join(_SEARCHED)}")


def _above(python: str) -> str:
    return os.path.dirname(os.path.dirname(python))


def _isolated(python: str) -> bool:
    """Tell whether this is the Python of a virtual environment without system packages; its pyvenv.cfg is checked."""
    try:
        config = secure_path.read_file(f"{_above(python)}/pyvenv.cfg", _HEAD)
    except FileNotFoundError:
        return False
    return not re.search(rb"(?mi)^\s*include-system-site-packages\s*=\s*true\s*$", config)


def _python_directories(python: str, *, isolated: bool) -> Iterator[str]:
    """Yield the directories where this Python finds modules, without its own virtual environment if `isolated`."""
    real = os.path.realpath(python)
    prefix, version = _above(real), _PYTHON.fullmatch(os.path.basename(real))
    names = [f"python{version[1]}"] if version and version[1] and "." in version[1] else []
    if not isolated and _above(python) != prefix and os.path.lexists(f"{_above(python)}/pyvenv.cfg"):
        yield from (f"{_above(python)}/{name}" for name in ("lib", "lib64"))
    for library in (f"{prefix}/lib", f"{prefix}/lib64"):
        versions = names or [name for name in _listed(library) if _PYTHON.fullmatch(name)]
        yield from (f"{library}/{name}" for name in versions)
        if not isolated:
            yield f"{library}/python3"
    if not isolated:
        yield from (f"/usr/local/{library}/{name}" for library in ("lib", "lib64") for name in (*names, "python3"))
    yield from (f"/etc/{name}" for name in (*names, "python3"))
    if prefix not in ("/", "/usr"):  # built elsewhere, with its shared library
        yield from (path for name in _listed(f"{prefix}/lib") if ".so" in name and (path := f"{prefix}/lib/{name}"))


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []
