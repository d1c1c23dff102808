"""The command that copies what another server needs: export."""

import os
import sys
import time
from typing import Annotated

import typer

from borgctl.pull.export import export as exporting
from borgctl.pull.export.destination import MANIFEST
from borgctl.pull.process.signals import Stop
from borgctl.text import printable_excerpt


def export(
    context: typer.Context,
    to: Annotated[
        str, typer.Option(metavar="DIR", help="A directory that is not there yet, or empty.", show_default=False)
    ],
) -> None:
    """Copy what another server needs, if this one is lost: targets, defaults, keys, states and history.

    With it another server goes on where this one ended, and no client has to be authorised again. It has the private
    keys: whoever reads them can ask the clients for all that their policies offer. So only its owner can read it, and
    you keep it as safe as this server. The repositories are not in it.

    Runs go on meanwhile. The manifest in it says what is missing, and how to put it back. The exit status is 1 where
    something is missing.

    Example: borgpull export --to /mnt/safe/borgpull-2026-11-30
    """
    path = os.path.abspath(to)
    with Stop() as stop:
        exported = exporting.export(context.obj, path, stop, time.time())
    for line in exported.missing:
        print(f"warning: not in the export: {printable_excerpt(line)}", file=sys.stderr)
    print(f"{path}: {exported.targets} targets, {exported.files} files; how to put it back: {path}/{MANIFEST}")
    print("it has private keys: whoever reads them can ask the clients for all that their policies offer")
    raise typer.Exit(1 if exported.missing else 0)
