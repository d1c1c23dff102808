"""The command that prints what starts borgpull every night: units."""

import os
import shlex
from typing import Annotated

import typer

from borgctl.pull.units import installation as installations
from borgctl.pull.units.installation import Installation
from borgctl.pull.units.units import CRON, NAMES, files
from borgctl.values import choice


def units(
    context: typer.Context,
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help=f"Print this file alone: {', '.join(NAMES)}.", show_default=False),
    ] = None,
) -> None:
    """Print systemd's units and a cron line for this installation, with what puts them in place.

    They have the paths of this borgpull, and run as the user that owns its folders. To an ordinary user they are for
    systemctl --user. Else root is to call this: what root puts in place must come from no process of another user. A
    unit lets runs write into the state and into the folders of the repositories, which the targets and defaults.yaml
    name now. Print it again for a target whose repository is elsewhere, and for a first one with transport local.

    Example: borgpull units        borgpull units borgpull.service
    """
    name = choice(file, NAMES) if file is not None else None
    installation = installations.read(context.obj, os.environ)
    texts = files(installation)
    if name is not None:
        print(texts[name], end="")
        return
    for name, text in texts.items():
        print(f"# ---- {_place(installation, name)}\n{text}")
    print(_steps(installation), end="")


def _place(installation: Installation, name: str) -> str:
    if name == CRON:
        return "crontab -e" if installation.own else "/etc/cron.d/borgpull"
    return f"{_directory(installation)}/{name}"


def _directory(installation: Installation) -> str:
    return "~/.config/systemd/user" if installation.own else "/etc/systemd/system"


def _steps(installation: Installation) -> str:
    """Return the commands that put the units in place.

    Root is to call the program by its path, no alias of it: what a process of another user prints, that user chooses.
    """
    directory, user = _directory(installation), " --user" if installation.own else ""
    steps = [f"mkdir -p {directory} && loginctl enable-linger    # so that it runs while you are not here"]
    units, program = " ".join(name for name in NAMES if name != CRON), shlex.join(installation.argv("units"))
    steps = [
        *(steps if installation.own else ()),
        f"for unit in {units}; do {program} $unit >{directory}/$unit; done",
        f"systemctl{user} daemon-reload",
        f"systemctl{user} enable --now borgpull.timer",
    ]
    return "\n".join(["# ---- in place with:", *(f"#     {step}" for step in steps), ""])
