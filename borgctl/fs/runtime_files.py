"""Directories that the kernel and the boot fill anew each time: no file there is worth saving, and some never end.

It knows the paths, not what is mounted there. The directories themselves are saved: a restored machine mounts there.

    >>> from borgctl.values import SourcePath
    >>> excludes((SourcePath("/"),), ())
    ('sh:/proc/*', 'sh:/sys/*', 'sh:/dev/*', 'sh:/run/*')
"""

from collections.abc import Collection, Iterable

PLACES = ("/proc", "/sys", "/dev", "/run")


def left_out(paths: Iterable[object], options: Collection[str]) -> tuple[str, ...]:
    """Return the directories below these paths of a `create` whose content is left out: all that no path names.

    With `one-file-system`, borg itself does not enter what is mounted there.
    """
    named = [str(path) for path in paths]
    if "/" not in named or "one-file-system" in options:
        return ()
    return tuple(place for place in PLACES if not any(f"{path}/".startswith(f"{place}/") for path in named))


def excludes(paths: Iterable[object], options: Collection[str]) -> tuple[str, ...]:
    """Return borg's patterns for `left_out`; they follow the command's own, and borg takes the first that matches."""
    return tuple(f"sh:{place}/*" for place in left_out(paths, options))
