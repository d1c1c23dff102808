"""List the mounted file systems (proc(5) mountinfo), and those that borg does not enter.

It reads the kernel's list, looks up the names on the way to a path, and asks btrfs for a place's subvolume. So no other
file system below, perhaps one that hangs, has to answer. It does not know what the answer is for.

    skipped(["/srv/a"]) == ("/srv/a/db",)      # another file system than that of /srv/a
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from borgctl.data_class import dataclass
from borgctl.fs import runtime_files

# Views of kernel state, and triggers of mounts that do not exist yet: no data to save.
_KERNEL = (
    "autofs binder binfmt_misc bpf cgroup cgroup2 configfs cpuset debugfs devpts devtmpfs efivarfs fusectl hugetlbfs "
    "mqueue nsfs pipefs proc pstore resctrl rpc_pipefs securityfs selinuxfs smackfs sockfs sysfs tracefs"
)
KERNEL = frozenset(_KERNEL.split())


@dataclass(frozen=True, slots=True)
class Mount:
    """One line: the mount's number and its parent's, the file system (`device`, `kind`), and where it is mounted."""

    number: str
    parent: str
    device: str
    place: str
    kind: str


def mounts() -> Iterator[Mount]:
    """Yield each mount."""
    # a user may mount at a name with a carriage return, which ends no line
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        for row in file:
            first, _, second = row.partition(" - ")
            number, parent, device, _, place, *_ = first.split(" ")
            yield Mount(number, parent, device, _unescaped(place), second.split(" ")[0])


def skipped(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the mount points below these paths that borg does not enter with `one-file-system`.

    A path of the list itself is none, nor is what the kernel and the boot make anew.
    """
    visible, sources = _visible(list(mounts())), [_real(path) for path in paths if not os.path.islink(path)]
    below = [mount for mount in visible if any(_saves(path, mount) for path in sources)]
    devices = {mount.place: mount.device for mount in visible}
    return tuple(sorted(mount.place for mount in below if not any(_enters(mount, path, devices) for path in sources)))


def kernel_mounts(paths: Iterable[str]) -> tuple[str, ...]:
    """Return where kernel file systems are mounted below these paths, the usual places aside."""
    sources = [_real(path) for path in paths if not os.path.islink(path)]
    return tuple(
        sorted(
            mount.place
            for mount in _visible(list(mounts()))
            if mount.kind in KERNEL - {"autofs"} and not _usual(mount.place)
            if any(_within(mount.place, path) for path in sources)
        )
    )


def _saves(path: str, mount: Mount) -> bool:
    """Tell whether people expect the mount's content in a backup of this path."""
    expected = _usual(path) or not _usual(mount.place)
    return mount.kind not in KERNEL and expected and _within(mount.place, path)


def _usual(place: str) -> bool:
    return any(_within(place, usual) for usual in runtime_files.PLACES)


def _enters(mount: Mount, path: str, devices: Mapping[str, str]) -> bool:
    """Tell whether borg enters the mount on its way down from this path; `devices` has the device at each place."""
    if not _within(mount.place, path):
        return False
    holder = next((devices[place] for place in _above(path) if place in devices), None)
    between = (devices[place] for place in _above(mount.place) if place in devices and _within(place, path))
    if holder is None or any(device != holder for device in between):
        return False
    if mount.kind != "btrfs":
        return True
    try:
        return os.lstat(mount.place).st_dev == os.lstat(path).st_dev  # each subvolume has a number of its own
    except OSError:  # unmounted meanwhile
        return True


def _visible(mounts: Sequence[Mount]) -> list[Mount]:
    """Return the mounts that no other mount hides; there may be thousands, so places are keys."""
    by_number, at = {mount.number: mount for mount in mounts}, dict[tuple[str, str], list[Mount]]()
    for mount in mounts:
        if mount.parent in by_number and mount.parent != mount.number:
            at.setdefault((mount.parent, mount.place), []).append(mount)

    def hidden(mount: Mount) -> bool:
        if (mount.number, mount.place) in at:
            return True
        while (below := by_number.get(mount.parent)) and below != mount:
            places = (place for place in _above(mount.place) if place != below.place)
            if any(other != mount for place in places for other in at.get((below.number, place), ())):
                return True
            mount = below
        return False

    return [mount for mount in mounts if not hidden(mount)]


def _above(place: str) -> Iterator[str]:
    """Yield a place and each directory above it."""
    yield place
    while place != (place := os.path.dirname(place)):
        yield place


def _within(place: str, path: str) -> bool:
    return f"{place}/".startswith(f"{path.rstrip('/')}/")


def _real(path: str) -> str:
    return f"{os.path.realpath(os.path.dirname(path)).rstrip('/')}/{os.path.basename(path)}"


def _unescaped(text: str) -> str:
    """Undo mountinfo's escapes, which stand for bytes."""
    raw = re.sub(rb"\\([0-7]{3})", lambda match: bytes((int(match[1], 8),)), os.fsencode(text))
    return os.fsdecode(raw)
