"""Mounts: what a borg of ours has mounted, and its end.

Which word is the place, only borg's own parser knows for certain. So every word may be, and what is unmounted is a FUSE
file system that was not there before, by mountinfo's numbers. What the admin himself has mounted at that place stays,
also where borg fails. It knows no window.

    mount = Mount.of(["-o", "allow_other", "::", "/mnt"]); …; mount.undo("/usr/bin/borg", env)
"""

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from borgctl.fs import mountinfo


@dataclass(frozen=True, slots=True)
class Mount:
    """What borg may mount: at one of `places`, and none of the mounts that were there `before`, by their numbers."""

    places: frozenset[str]
    before: frozenset[str]

    @classmethod
    def of(cls, words: Sequence[str]) -> "Mount":
        """Return what a `borg mount` with these words behind it may mount; to be called before it starts."""
        places = frozenset(os.path.realpath(word) for word in words if not word.startswith(("-", "::")))
        return cls(places, frozenset(mount.number for mount in mountinfo.mounts()))

    def undo(self, borg: str, env: Mapping[str, str], *, lazily: bool = False) -> None:
        """Unmount it the way borg does, if it is mounted; borg then ends by itself.

        `lazily`: nobody serves it any more, so it goes also where somebody still uses it.
        """
        for place in self._found():
            subprocess.run([borg, "umount", place], env=env, stdin=subprocess.DEVNULL, check=False)
        for place in self._found() if lazily else ():
            with contextlib.suppress(FileNotFoundError):
                subprocess.run(["fusermount", "-u", "-z", place], env=env, stdin=subprocess.DEVNULL, check=False)

    def _found(self) -> list[str]:
        return [
            mount.place
            for mount in mountinfo.mounts()
            if mount.place in self.places and mount.number not in self.before and mount.kind.startswith("fuse")
        ]
