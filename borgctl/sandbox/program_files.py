"""Find the files that a program needs to start: its own, a script's interpreter, their ELF loaders and libraries.

It reads the files that execve(2) would read, by their real paths. It does not know who starts the program, nor why.

    needed("/usr/bin/borg").files == ("/usr/bin/borg", "/usr/bin/python3.11", "/usr/lib/x86_64-linux-gnu/ld-…")
"""

import os
import re
import stat
import struct

from borgctl.data_class import dataclass
from borgctl.errors import BadValue

_HEAD = 4096  # bytes: a script's first line, or an ELF file's headers
_PYTHON = re.compile(r"python[0-9.]*")
_PT_INTERP = 3
_LONGEST_PATH = 4096
# Where the dynamic loader and Python look on every distribution.
_LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")


@dataclass(frozen=True, slots=True)
class Needed:
    """Real paths: `files` must be executable, `libraries` readable with all below."""

    files: tuple[str, ...]
    libraries: tuple[str, ...]


def needed(program: str) -> Needed:
    """Return what a program needs, an ELF file or a Python script; raise BadValue for any other, or OSError."""
    script = os.path.realpath(program)
    head = _head(script)
    if not head.startswith(b"#!"):
        return Needed((script, *_loader(script)), _LIBRARIES)
    name = _interpreter(program, head)
    interpreter = os.path.realpath(name)
    environment = os.path.dirname(os.path.dirname(name))  # a virtual environment's root, if it is one
    own = (environment,) if os.path.exists(f"{environment}/pyvenv.cfg") else ()
    return Needed((script, interpreter, *_loader(interpreter)), (*_LIBRARIES, *own, *_prefix(interpreter)))


def python(interpreter: str) -> Needed:
    """Return what this Python needs for a script that imports only the standard library."""
    real = os.path.realpath(interpreter)
    return Needed((real, *_loader(real)), (*_LIBRARIES, *_prefix(real)))


def _prefix(interpreter: str) -> tuple[str, ...]:
    """Return the library directory of a Python with its own prefix; below '/usr' there is no other."""
    library = f"{os.path.dirname(os.path.dirname(interpreter))}/lib"
    return () if library in _LIBRARIES else (library,)


def _interpreter(program: str, head: bytes) -> str:
    line = head[2:].split(b"\n", 1)[0].decode("utf-8", "surrogateescape").strip(" \t")
    name = line.split(" ", 1)[0].split("\t", 1)[0]
    if os.path.basename(name) == "env":
        raise BadValue(f"{program!r} lets {line!r} choose its Python: write the path of one, like #!/usr/bin/python3")
    if not name.startswith("/") or not _PYTHON.fullmatch(os.path.basename(name)):
        what = f"{program!r} is a script of {name!r}, and what that starts is unknown"
        raise BadValue(f"{what}: name borg itself with 'borg:', and its variables with 'environment: {{set: …}}'")
    return name


def _loader(path: str) -> tuple[str, ...]:
    """Return the program interpreter that an ELF file asks for (elf(5), PT_INTERP); nothing for a static one."""
    head = _head(path)
    if head[:4] != b"\x7fELF":
        raise BadValue(f"{path!r} is neither an ELF file nor a script")
    order = "<" if head[5:6] == b"\x01" else ">"
    try:
        if head[4:5] == b"\x02":  # 64 bits
            (table,), (size, count) = (
                struct.unpack_from(f"{order}Q", head, 32),
                struct.unpack_from(f"{order}HH", head, 54),
            )
            layout, place = f"{order}IIQQQQ", 2
        else:
            (table,), (size, count) = (
                struct.unpack_from(f"{order}I", head, 28),
                struct.unpack_from(f"{order}HH", head, 42),
            )
            layout, place = f"{order}IIIII", 1
        for index in range(count):
            fields = struct.unpack_from(layout, head, table + index * size)
            if fields[0] == _PT_INTERP:
                length = fields[5] if place == 2 else fields[4]
                return (os.path.realpath(_text(path, fields[place], length)),)
    except (struct.error, OverflowError, ValueError):
        raise BadValue(f"{path!r} has headers that cannot be read") from None
    return ()


def _text(path: str, offset: int, length: int) -> str:
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(min(length, _LONGEST_PATH)).split(b"\0", 1)[0].decode()


def _head(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)  # a FIFO must not block us
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise BadValue(f"{path!r} is not a regular file")
        return file.read(_HEAD)
