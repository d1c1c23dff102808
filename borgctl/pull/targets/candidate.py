"""Candidate: a file that is to become a target's, or the defaults of all, read before it is put in place.

It writes nothing. Who may write the file now does not matter then.

    check(folders, TargetName("web1"), "/tmp/new.yaml")      PullError names every mistake
    check(folders, None, "/tmp/new.yaml")                    as defaults.yaml
"""

from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.targets import load_defaults, read, read_defaults
from borgctl.strict_yaml import LARGEST, Problems


def check(folders: Folders, name: TargetName | None, file: str) -> None:
    """Raise PullError with every mistake that this target's file, or with None `defaults.yaml`, would have."""
    text = _text(file)
    try:
        if name is None:
            read_defaults(text, folders)
        else:
            read(text, name, folders, load_defaults(folders))
    except Problems as problems:
        raise PullError("\n".join(map(str, problems.all))) from None


def _text(file: str) -> str:
    try:
        with open(file, "rb") as opened:
            content = opened.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise PullError(f"{file}:1:1: longer than {LARGEST} bytes")
        return content.decode("utf-8")
    except OSError as error:
        raise PullError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise PullError(f"{file}:1:1: not UTF-8") from None
