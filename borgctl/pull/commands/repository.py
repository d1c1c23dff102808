"""The commands about a target's repository, which the server does itself: compact, copies, unlock."""

import json
import time
from typing import Annotated

import typer

from borgctl.pull.commands.arguments import All, Json, Targets
from borgctl.pull.commands.selection import chosen, for_each
from borgctl.pull.process.signals import Stop
from borgctl.pull.report import screens
from borgctl.pull.report.progress import View
from borgctl.pull.repository import copies as config_copies
from borgctl.pull.repository import unlock as lock_removal
from borgctl.pull.run import compact as compaction
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.targets import Target, load
from borgctl.text import printable_excerpt


def compact(context: typer.Context, targets: Targets = None, all: All = False) -> None:
    """Free the space that pruning has marked, by borg's compact, run by the server itself.

    It is refused while the target has an alert, so that what was deleted can still be brought back.

    Example: borgpull compact web1
    """
    found, view = chosen(context.obj, targets, every=all), View(screens.screen(json=False))
    with Stop() as stop:
        status = for_each(context.obj, found, stop, lambda target: compaction.compact(context.obj, target, view, stop))
    raise typer.Exit(status)


def copies(
    context: typer.Context,
    targets: Targets = None,
    all: All = False,
    put_back: Annotated[
        int | None,
        typer.Option(
            "--put-back", metavar="N", help="Write this copy into the repository; what is there becomes a copy."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the copies of a repository's config, which holds its key, and of its nonce, with times and hashes.

    With --put-back, put one back into the place of one target, where no borg uses the repository.

    Example: borgpull copies web1        borgpull copies web1 --put-back 3
    """
    found = chosen(context.obj, targets, every=all)
    if put_back is None:
        raise typer.Exit(for_each(context.obj, found, None, lambda target: _list_copies(context.obj, target, as_json)))
    if len(found.texts) != 1:
        raise PullError("--put-back takes one target", "name it: borgpull copies TARGET --put-back N")
    target = load(context.obj, TargetName(found.texts[0]))
    copy = config_copies.put_back(context.obj, target, put_back, time.time())
    print(f"{target.name}: copy {copy.number} is {target.repository}/{copy.file} again; what was there is a copy now")


def _list_copies(folders: Folders, target: Target, as_json: bool) -> int:
    for entry in config_copies.overview(folders, target):
        print(json.dumps(entry) if as_json else config_copies.sentence(entry))
    return 0


def unlock(
    context: typer.Context,
    targets: Targets = None,
    all: All = False,
    really: Annotated[bool, typer.Option("--yes", help="Remove the lock.")] = False,
) -> None:
    """Show who holds borg's lock of the repository, and since when.

    With --yes, remove the lock, unless a running borg on this machine holds it. The next run itself removes a lock
    that dead processes of this machine left.

    The exit status is 0 where the repository is not locked, or no longer, and 1 where it is.

    Example: borgpull unlock web1        borgpull unlock web1 --yes
    """
    found = chosen(context.obj, targets, every=all)
    raise typer.Exit(for_each(context.obj, found, None, lambda target: _unlock(context.obj, target, really)))


def _unlock(folders: Folders, target: Target, really: bool) -> int:
    holders = lock_removal.unlock(folders, target, really=really, now=time.time())
    for holder in holders:
        print(printable_excerpt(f"{target.name}: {'was' if really else 'is'} locked by {holder}"))
    if not holders:
        print(f"{target.name}: nobody holds the lock of {target.repository}")
    elif not really:
        print(f"{target.name}: if that has ended, remove the lock: borgpull unlock {target.name} --yes")
    return 1 if holders and not really else 0
