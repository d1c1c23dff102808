"""What a borg of ours has mounted, and how to unmount it. It knows no window.

Only borg's own parser knows for certain which word is the mount point. So any word may be. We unmount only a FUSE file
system that was not there before, by the numbers of mountinfo. What the admin has mounted there before stays, also where
borg fails.

    mount = Mount.of(["-o", "allow_other", "::", "/mnt"]); …; mount.undo("/usr/bin/borg", env)
"""

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from borgctl.borg.forbidden import COMMANDS as FORBIDDEN
from borgctl.borg.subcommands import COMMANDS
from borgctl.fs import mountinfo

_FOREGROUND = {"mount": "--foreground"}  # a process in the background would outlive its window
_SUBCOMMANDS = COMMANDS.keys() | FORBIDDEN.keys()


@dataclass(frozen=True, slots=True)
class Mount:
    """What borg may mount: at one of `places`, and not one of the mounts `before` it, which are their numbers."""

    places: frozenset[str]
    before: frozenset[str]

    @classmethod
    def of(cls, words: Sequence[str]) -> "Mount":
        """Return what `borg mount` with these words may mount; call it before borg starts."""
        places = frozenset(os.path.realpath(word) for word in words if not word.startswith(("-", "::")))
        return cls(places, frozenset(mount.number for mount in mountinfo.mounts()))

    @classmethod
    def of_command(cls, words: Sequence[str]) -> "Mount | None":
        """Return what a borg command line may mount; None where its subcommand is not mount."""
        if next((word for word in words if word in _SUBCOMMANDS), None) != "mount":
            return None
        return cls.of(words[words.index("mount") + 1 :])

    def undo(self, borg: str, env: Mapping[str, str], *, lazily: bool = False) -> None:
        """Unmount as borg does, if anything is mounted; borg then ends by itself.

        `lazily`: borg has ended, so unmount also where a program still uses it.
        """
        for place in self._mounted():
            subprocess.run([borg, "umount", place], env=env, stdin=subprocess.DEVNULL, check=False)
        for place in self._mounted() if lazily else ():
            with contextlib.suppress(FileNotFoundError):
                subprocess.run(["fusermount", "-u", "-z", place], env=env, stdin=subprocess.DEVNULL, check=False)

    def _mounted(self) -> list[str]:
        return [
            mount.place
            for mount in mountinfo.mounts()
            if mount.place in self.places and mount.number not in self.before and mount.kind.startswith("fuse")
        ]


def in_foreground(words: Sequence[str]) -> list[str]:
    """Add the option that keeps borg's subcommand, the first word that is one, from going to the background."""
    result = list(words)
    at = next((index for index, word in enumerate(result) if word in _SUBCOMMANDS), None)
    if at is not None and result[at] in _FOREGROUND:
        result.insert(at + 1, _FOREGROUND[result[at]])
    return result
