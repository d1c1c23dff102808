"""What is mounted where, as the kernel says it (proc(5) mountinfo), and what of that borg stays out of.

The kernel's list is read, names on the way to a path are looked up, and btrfs is asked which subvolume a place is in:
no other file system that is mounted below has to answer. It does not know who asks.

    skipped(["/srv/a"]) == ("/srv/a/db",)      # another file system than that of /srv/a
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from borgctl import runtime_files

# Views of the kernel's own state, and triggers of mounts that are not there yet: no data to save.
_KERNEL = (
    "autofs binder binfmt_misc bpf cgroup cgroup2 configfs cpuset debugfs devpts devtmpfs efivarfs fusectl hugetlbfs "
    "mqueue nsfs pipefs proc pstore resctrl rpc_pipefs securityfs selinuxfs smackfs sockfs sysfs tracefs"
)
KERNEL = frozenset(_KERNEL.split())


@dataclass(frozen=True, slots=True)
class Mount:
    """One line: its number and that of what it is mounted on, the file system (`device`, `kind`), and the place."""

    number: str
    parent: str
    device: str
    place: str
    kind: str


def mounted() -> Iterator[Mount]:
    """Yield each mount."""
    # a user may have a place of his own that is called with a carriage return, which ends no line
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        for row in file:
            first, _, second = row.partition(" - ")
            number, parent, device, _, place, *_ = first.split(" ")
            yield Mount(number, parent, device, _unescaped(place), second.split(" ")[0])


def skipped(paths: Iterable[str]) -> tuple[str, ...]:
    """Return where other file systems are mounted below these paths, which `one-file-system` stays out of.

    Not what a path names itself, nor what the kernel and the machine's start make anew.
    """
    visible, named = _visible(list(mounted())), [_real(path) for path in paths if not os.path.islink(path)]
    below = [mount for mount in visible if _holds_data(mount) and any(_within(mount.place, path) for path in named)]
    return tuple(sorted(mount.place for mount in below if not any(_entered(mount, path, visible) for path in named)))


def of_the_kernel(paths: Iterable[str]) -> tuple[str, ...]:
    """Return where the kernel's own file systems are mounted below these paths, besides the usual places."""
    named = [_real(path) for path in paths if not os.path.islink(path)]
    return tuple(
        sorted(
            mount.place
            for mount in _visible(list(mounted()))
            if mount.kind in KERNEL - {"autofs"} and not _usual(mount.place)
            if any(_within(mount.place, path) for path in named)
        )
    )


def _holds_data(mount: Mount) -> bool:
    return mount.kind not in KERNEL and not _usual(mount.place)


def _usual(place: str) -> bool:
    return any(_within(place, usual) for usual in runtime_files.PLACES)


def _entered(mount: Mount, path: str, visible: Sequence[Mount]) -> bool:
    """Tell whether borg, on its way down from this path, goes on into the mount."""
    if not _within(mount.place, path):
        return False
    holder = max((one for one in visible if _within(path, one.place)), key=lambda one: len(one.place), default=None)
    between = (one for one in visible if _within(one.place, path) and _within(mount.place, one.place))
    if holder is None or any(one.device != holder.device for one in between):
        return False
    if mount.kind != "btrfs":
        return True
    try:
        return os.lstat(mount.place).st_dev == os.lstat(path).st_dev  # each subvolume has a number of its own
    except OSError:  # it is gone by now
        return True


def _visible(mounts: Sequence[Mount]) -> list[Mount]:
    """Return the mounts that no other one hides."""
    known = {mount.number: mount for mount in mounts}
    on: dict[str, list[Mount]] = {mount.number: [] for mount in mounts}
    for mount in mounts:
        if mount.parent in known and mount.parent != mount.number:
            on[mount.parent].append(mount)

    def hidden(mount: Mount) -> bool:
        if any(other.place == mount.place for other in on[mount.number]):
            return True
        while (below := known.get(mount.parent)) and below != mount:
            beside = (other for other in on[below.number] if other != mount)
            if any(_within(mount.place, other.place) and other.place != below.place for other in beside):
                return True
            mount = below
        return False

    return [mount for mount in mounts if not hidden(mount)]


def _within(place: str, path: str) -> bool:
    return f"{place}/".startswith(f"{path.rstrip('/')}/")


def _real(path: str) -> str:
    return f"{os.path.realpath(os.path.dirname(path)).rstrip('/')}/{os.path.basename(path)}"


def _unescaped(text: str) -> str:
    """Undo mountinfo's escapes, which are of bytes."""
    raw = re.sub(rb"\\([0-7]{3})", lambda match: bytes((int(match[1], 8),)), os.fsencode(text))
    return os.fsdecode(raw)
