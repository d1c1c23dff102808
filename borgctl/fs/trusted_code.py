"""Whose code is run when a program is started: its file, its script's interpreter, and the libraries of its Python.

All of it is held to the rule of `secure_path`: only root and the gate's user may change it. Python's own directories
are gone through file by file, also where a `.pth` file or a symlink leads out of them; of the C library's directories,
which hold the whole system's, the path is checked. What a shell script starts in turn cannot be told; its author can.

    require_borg("/usr/bin/borg")                      # raises InsecurePath, or OSError as open(2) does
    require_words(["/usr/bin/gpg", "-d", "/root/x"])   # a program, and each absolute path among its words
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence

from borgctl.fs import secure_path
from borgctl.fs.secure_path import InsecurePath, SecurePath

_HEAD = 4096  # bytes, more than the kernel reads of a script's first line
_DEEPEST = 4  # scripts that are interpreters of scripts; execve(2) gives up then
# PATH of what we start (`argv`)
_SEARCHED = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", "/etc/ld.so.cache")
_PYTHON = re.compile(r"python(3(?:\.[0-9]+)?)?")
_PACKAGES = frozenset(("site-packages", "dist-packages"))
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_LARGEST_PTH = 1 << 20
# A path in a word, or in a script that is one: after a sign that a shell, or --option=PATH, puts before it
_PATH = re.compile(r"(?:\A|(?<=[\s='\"(;|&<>,])|(?<=[^\s/]:)(?!//))/[^\s'\"(){}$`;|&<>*?\[\],:]*")


def require_program(path: str) -> None:
    """Raise InsecurePath or OSError unless the program, and the interpreters that it names, are in safe hands."""
    _interpreters(path)


def require_runnable(path: str) -> None:
    """Raise InsecurePath or OSError unless a program is there, may be executed, and is in safe hands as above."""
    require_program(path)
    with SecurePath.at(path) as pinned:
        if not pinned.status.st_mode & 0o111:
            raise InsecurePath(f"{path!r} is not executable: chmod 0755 {path}")


def require_words(words: Sequence[str]) -> None:
    """Raise InsecurePath or OSError unless a program and each absolute path among its words are in safe hands."""
    require_program(words[0])
    for path in paths(words[1:]):
        require_path(path)


def paths(words: Iterable[str]) -> Iterator[str]:
    """Yield the absolute paths that stand in words, also after `--option=` and in a shell's script."""
    for word in words:
        if word.startswith("/"):
            yield word
        yield from (found[0] for found in _PATH.finditer(word) if found[0] not in ("/", word))


def require_path(path: str) -> None:
    """Raise InsecurePath where another user could choose what is at this path; a missing one is nobody's."""
    try:
        with SecurePath.at(path) as pinned:
            _require_entry(pinned.status, path)
    except OSError:
        return


def require_borg(borg: str) -> None:
    """Raise InsecurePath or OSError unless all code of this borg is in safe hands: its file, its Python, libraries."""
    python = next((name for name in _interpreters(borg) if _PYTHON.fullmatch(os.path.basename(name))), None)
    for path in _LIBRARIES:
        _require_if_there(path)
    if python is not None:
        isolated = _isolated(python)
        # a virtual environment's Python takes the standard library of the one that made it, and none of its packages
        _Trees(skipped=_PACKAGES if isolated else frozenset()).walk(_python_directories(python, isolated=isolated))
        if isolated:
            _Trees().walk(f"{_above(python)}/{name}" for name in ("lib", "lib64"))


def _interpreters(program: str) -> list[str]:
    """Return the interpreters that lead from a script to an ELF file, each held."""
    found: list[str] = []
    path = program
    for _ in range(_DEEPEST):
        with SecurePath.at(path) as pinned:
            pinned.require(stat.S_IFREG)
            head = _head(pinned)
        if not head.startswith(b"#!"):
            return found
        path = _named(path, head)
        found.append(path)
    raise InsecurePath(f"{program!r} is a script of a script of a script")


def _head(pinned: SecurePath) -> bytes:
    try:
        fd = pinned.open(os.O_RDONLY)
    except PermissionError:  # a program that we may start and not read is no script
        return b""
    try:
        return os.read(fd, _HEAD)
    finally:
        os.close(fd)


def _named(script: str, head: bytes) -> str:
    """Return the interpreter of a script, and what env(1) would find where it is that."""
    words = head[2:].split(b"\n", 1)[0].decode("utf-8", "surrogateescape").split()
    if not words or not words[0].startswith("/"):
        raise InsecurePath(f"{script!r} does not name its interpreter by an absolute path")
    if os.path.basename(words[0]) != "env":
        return words[0]
    require_path(words[0])
    name = next((word for word in words[1:] if not word.startswith("-") and "=" not in word), "")
    for directory in _SEARCHED:
        _require_if_there(directory)
        if name and os.path.exists(f"{directory}/{name}"):
            return f"{directory}/{name}"
    raise InsecurePath(f"{script!r} is a script of {name!r}, which is not in {':'.join(_SEARCHED)}")


def _above(python: str) -> str:
    return os.path.dirname(os.path.dirname(python))


def _isolated(python: str) -> bool:
    """Tell whether this is the Python of a virtual environment that sees no other packages; its mark is held, too."""
    try:
        mark = secure_path.content(f"{_above(python)}/pyvenv.cfg", _HEAD)
    except FileNotFoundError:
        return False
    return not re.search(rb"(?mi)^\s*include-system-site-packages\s*=\s*true\s*$", mark)


def _python_directories(python: str, *, isolated: bool) -> Iterator[str]:
    """Yield where this Python finds its modules, its own virtual environment aside where it is `isolated`."""
    real = os.path.realpath(python)
    prefix, version = _above(real), _PYTHON.fullmatch(os.path.basename(real))
    names = [f"python{version[1]}"] if version and version[1] and "." in version[1] else []
    if not isolated and _above(python) != prefix and os.path.lexists(f"{_above(python)}/pyvenv.cfg"):
        yield from (f"{_above(python)}/{name}" for name in ("lib", "lib64"))
    for library in (f"{prefix}/lib", f"{prefix}/lib64"):
        found = names or [name for name in _listed(library) if _PYTHON.fullmatch(name)]
        yield from (f"{library}/{name}" for name in found)
        if not isolated:
            yield f"{library}/python3"
    if not isolated:
        yield from (f"/usr/local/{library}/{name}" for library in ("lib", "lib64") for name in (*names, "python3"))
    yield from (f"/etc/{name}" for name in (*names, "python3"))
    if prefix not in ("/", "/usr"):  # one that was built elsewhere, with its shared library
        yield from (path for name in _listed(f"{prefix}/lib") if ".so" in name and (path := f"{prefix}/lib/{name}"))


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _require_if_there(path: str) -> None:
    try:
        with SecurePath.at(path) as pinned:
            _require_entry(pinned.status, path)
    except FileNotFoundError:
        return


def _require_entry(status: os.stat_result, path: str) -> None:
    """Raise InsecurePath where others may write; a device node is no content, root's sticky directory is safe."""
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        return
    if secure_path.others_may_replace(status):
        raise InsecurePath(f"{path!r} has mode {stat.S_IMODE(status.st_mode):04o}: others may use it")


class _Trees:
    """Directories, gone through to the last file; each once."""

    def __init__(self, skipped: frozenset[str] = frozenset()) -> None:
        self._skipped = skipped  # names of directories that are not looked into
        self._owners = secure_path.ourselves()
        self._seen: set[tuple[int, int]] = set()

    def walk(self, directories: Iterable[str]) -> None:
        """Raise InsecurePath or OSError where another user could change anything below; a missing one is empty."""
        waiting = list(directories)
        while waiting:
            path = waiting.pop()
            try:
                with SecurePath.at(path) as pinned:
                    _require_entry(pinned.status, path)
                    place = (pinned.status.st_dev, pinned.status.st_ino)
                    if not stat.S_ISDIR(pinned.status.st_mode) or place in self._seen:
                        continue
                    self._seen.add(place)
                    fd = pinned.open(os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                continue
            try:
                waiting += self._below(fd, path)
            finally:
                os.close(fd)

    def _below(self, fd: int, path: str) -> list[str]:
        """Look at what is in an open directory and below; return the paths that lead out of it."""
        elsewhere: list[str] = []
        with os.scandir(fd) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # a package manager at work
                    continue
                kind = stat.S_IFMT(status.st_mode)
                if status.st_uid not in self._owners:
                    raise InsecurePath(f"'{path}/{entry.name}' is owned by uid {status.st_uid}")
                if kind == stat.S_IFLNK:
                    elsewhere.append(f"{path}/{entry.name}")
                elif status.st_mode & _OTHERS_WRITE:
                    mode = stat.S_IMODE(status.st_mode)
                    raise InsecurePath(f"'{path}/{entry.name}' has mode {mode:04o}: others may use it")
                elif kind == stat.S_IFDIR and entry.name not in self._skipped:
                    elsewhere += self._into(fd, entry.name, path)
                elif kind == stat.S_IFREG and entry.name.endswith(".pth"):
                    elsewhere += _added(f"{path}/{entry.name}", path)
        return elsewhere

    def _into(self, above: int, name: str, path: str) -> list[str]:
        try:
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        except FileNotFoundError:
            return []
        try:
            status = os.fstat(fd)
            self._seen.add((status.st_dev, status.st_ino))
            return self._below(fd, f"{path}/{name}")
        finally:
            os.close(fd)


def _added(file: str, directory: str) -> Iterator[str]:
    """Yield what a .pth file adds to Python's search (docs: site); what such a file executes is its owner's."""
    for line in secure_path.content(file, _LARGEST_PTH).decode("utf-8", "replace").splitlines():
        text = line.strip()
        if text and not text.startswith(("#", "import ", "import\t")):
            yield os.path.normpath(os.path.join(directory, text))
