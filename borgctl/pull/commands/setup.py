"""The commands that make, change and list targets: add, trust, remove, rename, targets."""

import json
import os
from typing import Annotated

import typer

from borgctl.openssh_key import HostKey
from borgctl.pull.commands.arguments import Json, TargetArgument
from borgctl.pull.commands.output import warn_of_none
from borgctl.pull.run import dry_run
from borgctl.pull.targets import owner, paths
from borgctl.pull.targets import setup as target_setup
from borgctl.pull.targets.paths import TargetName
from borgctl.pull.targets.remove import remove as remove_target
from borgctl.pull.targets.rename import rename as rename_target


def add(
    context: typer.Context,
    target: TargetArgument,
    host: Annotated[
        str | None, typer.Argument(metavar="HOST", help="the client, as user@host", show_default=False)
    ] = None,
    repository: Annotated[
        str | None, typer.Option(metavar="PATH", help="the repository [/srv/borg/TARGET, or XDG]")
    ] = None,
    quota: Annotated[str, typer.Option(metavar="SIZE", help="what the client may fill")] = "500G",
    transport: Annotated[str, typer.Option(metavar="stdio|socket|local", help="how borg's protocol travels")] = "stdio",
    policy: Annotated[
        str | None, typer.Option(metavar="PATH", help="the policy of this machine, with --transport local")
    ] = None,
    port: Annotated[int | None, typer.Option(metavar="N", help="ssh's port")] = None,
    client_policy: Annotated[str | None, typer.Option(metavar="PATH", help="the policy's path on the client")] = None,
) -> None:
    """Make a target: key, file and directory; print the line to run on the client.

    Example: borgpull add web1 root@web1.example.org
    """
    name = TargetName(target)
    where = repository or paths.repository(name, dict(os.environ))
    public = target_setup.add(
        context.obj, name, host=host, port=port, repository=where, quota=quota, transport=transport, policy=policy
    )
    if public is not None:
        print("run this on the client, as its admin, once its policy and passphrase are there:\n")
        print(f"    {target_setup.authorize(public, host, name, client_policy, transport)}\n")
        print("it prints a line for authorized_keys there, and this one to run here:\n")
        print(f"    {owner.typed(f'borgpull trust {name}')} 'ssh-ed25519 AAAA…'\n")
    print("then:\n")
    print(f"    {owner.typed(f'borgpull run {name} --job init')}")
    print(f"    {owner.typed(f'borgpull run {name}')}")


def trust(
    context: typer.Context,
    target: TargetArgument,
    host_key: Annotated[list[str], typer.Argument(metavar="HOSTKEY", help="'ssh-ed25519 AAAA…'", show_default=False)],
    replace: Annotated[bool, typer.Option("--replace", help="replace the key that is there")] = False,
) -> None:
    """Write the client's host key into the target file.

    Example: borgpull trust web1 'ssh-ed25519 AAAA…'
    """
    name = TargetName(target)
    new = target_setup.trust(context.obj, name, HostKey.read(" ".join(host_key).strip()), replace)
    print(f"{name}: host key written" if new else f"{name}: the target file has this host key already")


def remove(context: typer.Context, target: TargetArgument) -> None:
    """Remove a target's key, file and state, never the repository, and say what is left to do.

    Example: borgpull remove web1
    """
    for line in remove_target(context.obj, TargetName(target)):
        print(line)


def rename(
    context: typer.Context,
    old: Annotated[str, typer.Argument(metavar="OLD", help="the name of the target", show_default=False)],
    new: Annotated[str, typer.Argument(metavar="NEW", help="its name from now on", show_default=False)],
) -> None:
    """Give a target another name. Its key, file and state go along; the repository stays where it is.

    It is refused while a launcher is at work on the target.

    Example: borgpull rename web1 www
    """
    for line in rename_target(context.obj, TargetName(old), TargetName(new)):
        print(line)


def targets(context: typer.Context, as_json: Json = False) -> None:
    """List the targets, and what is wrong in their files.

    Example: borgpull targets --json
    """
    entries = list(dry_run.overview(context.obj))
    for entry in entries:
        print(json.dumps(entry) if as_json else dry_run.sentence(entry))
    if not entries and not as_json:
        warn_of_none(context.obj)
    raise typer.Exit(2 if any(entry["errors"] for entry in entries) else 0)
