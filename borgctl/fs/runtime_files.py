"""What the kernel and the machine's start make anew each time: no file there is worth saving, and some never end.

It knows the places, not what is mounted there. The directories themselves are saved: a restored machine mounts there.

    >>> from borgctl.values import SourcePath
    >>> excludes((SourcePath("/"),), ())
    ('sh:/proc/*', 'sh:/sys/*', 'sh:/dev/*', 'sh:/run/*')
"""

from collections.abc import Collection, Iterable

PLACES = ("/proc", "/sys", "/dev", "/run")


def left_out(paths: Iterable[object], options: Collection[str]) -> tuple[str, ...]:
    """Return the places that these paths of a `create` hold and do not name, whose content is left out.

    With `one-file-system` borg itself stays out of what is mounted there.
    """
    named = [str(path) for path in paths]
    if "/" not in named or "one-file-system" in options:
        return ()
    return tuple(place for place in PLACES if not any(f"{path}/".startswith(f"{place}/") for path in named))


def excludes(paths: Iterable[object], options: Collection[str]) -> tuple[str, ...]:
    """Return borg's patterns for that; they stand behind those of the launch, and the first that matches counts."""
    return tuple(f"sh:{place}/*" for place in left_out(paths, options))
