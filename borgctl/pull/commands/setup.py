"""The commands that make, change and list targets: add, trust, remove, rename, targets."""

import json
import sys
from typing import Annotated

import typer

from borgctl.openssh_key import HostKey
from borgctl.pull.commands.arguments import All, AllTargets, Json, TargetArgument
from borgctl.pull.commands.output import warn_of_history, warn_of_none
from borgctl.pull.commands.selection import all_or, for_each
from borgctl.pull.report import target_list
from borgctl.pull.state import history
from borgctl.pull.targets import candidate as candidates
from borgctl.pull.targets import origins, owner
from borgctl.pull.targets import setup as target_setup
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.remove import remove as remove_target
from borgctl.pull.targets.rename import rename as rename_target
from borgctl.pull.targets.targets import Target, load, tree


def add(
    context: typer.Context,
    target: TargetArgument,
    host: Annotated[
        str | None,
        typer.Argument(
            metavar="HOST", help="The client, as user@host; left out with --transport local.", show_default=False
        ),
    ] = None,
    repository: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="The repository.",
            show_default="what defaults.yaml says, else /srv/borg/TARGET, for an ordinary user "
            "~/.local/share/borgpull/TARGET",
        ),
    ] = None,
    quota: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="How much the client may store.", show_default="what defaults.yaml says, else 500G"
        ),
    ] = None,
    transport: Annotated[
        str | None,
        typer.Option(
            metavar="stdio|socket|local",
            help="How borg's protocol is to travel.",
            show_default="what defaults.yaml says, else stdio",
        ),
    ] = None,
    policy: Annotated[
        str | None, typer.Option(metavar="PATH", help="The policy of this machine, with --transport local.")
    ] = None,
    port: Annotated[int | None, typer.Option(metavar="N", help="The port of the client's sshd.")] = None,
    client_policy: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="The policy's path on the client.",
            show_default="/etc/borgctl/TARGET.yaml, where an ordinary user logs in ~/.config/borgctl/TARGET.yaml",
        ),
    ] = None,
) -> None:
    """Make a target: key, file and directory; print the line to run on the client.

    Example: borgpull add web1 root@web1.example.org
    """
    name = TargetName(target)
    public = target_setup.add(
        context.obj, name, host=host, port=port, repository=repository, quota=quota, transport=transport, policy=policy
    )
    transport = load(context.obj, name).transport
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
    host_key: Annotated[
        list[str],
        typer.Argument(
            metavar="HOSTKEY", help="The client's public host key, in quotes or as several words.", show_default=False
        ),
    ],
    replace: Annotated[bool, typer.Option("--replace", help="Replace the key that is there.")] = False,
) -> None:
    """Write the client's host key into the target file.

    Example: borgpull trust web1 'ssh-ed25519 AAAA…'
    """
    name = TargetName(target)
    new = target_setup.trust(context.obj, name, HostKey.read(" ".join(host_key).strip()), replace)
    print(f"{name}: host key written" if new else f"{name}: the target file has this host key already")


def remove(context: typer.Context, target: TargetArgument) -> None:
    """Remove a target's key, file, state and history, never the repository, and say what is left to do.

    Example: borgpull remove web1
    """
    name = TargetName(target)
    for line in remove_target(context.obj, name):
        print(line)
    warn_of_history(name, lambda: history.remove(context.obj, name))


def rename(
    context: typer.Context,
    old: Annotated[str, typer.Argument(metavar="OLD", help="The name of the target.", show_default=False)],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Its new name.", show_default=False)],
) -> None:
    """Give a target another name. It keeps its key, its file, its alerts, and the records of its runs.

    It also keeps what is known of its client's audit log. The repository stays where it is, and nothing has to change
    on the client. It is refused while another borgpull is at work on the target.

    Example: borgpull rename web1 www
    """
    before, after = TargetName(old), TargetName(new)
    for line in rename_target(context.obj, before, after):
        print(line)
    warn_of_history(after, lambda: history.rename(context.obj, before, after))


def targets(
    context: typer.Context,
    targets: AllTargets = None,
    all: All = False,
    show: Annotated[
        bool, typer.Option("--show", help="Show all that holds for each, and the file and line that it comes from.")
    ] = False,
    candidate: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Check this file as if it were the target's, or without a target defaults.yaml; - is stdin.",
            show_default=False,
        ),
    ] = None,
    put: Annotated[
        bool, typer.Option("--put", help="Put the candidate in its place, where it is another one and has no mistake.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the targets, and what is wrong in their files.

    With --candidate a file can be checked before it is put in place. With --put too, it then is: whole, or not at all.

    The exit status is 0 where all is well, 1 where there were warnings, as of two targets with one repository. It is 2
    where a target cannot be used.

    Example: borgpull targets --json        borgpull targets --show web1
    """
    if candidate is not None:
        if all or show or as_json or len(targets or ()) > 1:
            raise PullError("--candidate takes one target, or none for defaults.yaml, and no other option")
        _candidate(context.obj, TargetName(targets[0]) if targets else None, candidate, put)
        return
    if put:
        raise PullError("--put puts a candidate in its place", "borgpull targets TARGET --candidate FILE --put")
    found = all_or(context.obj, targets, every=all)
    if show and found.texts:
        raise typer.Exit(for_each(context.obj, found, None, lambda target: _show(context.obj, target, as_json)))
    entries = list(target_list.overview(context.obj, found.texts))
    for entry in entries:
        print(json.dumps(entry) if as_json else target_list.sentence(entry))
    if not entries and not as_json:
        warn_of_none(context.obj)
    if any(entry["errors"] for entry in entries):
        raise typer.Exit(2)
    raise typer.Exit(1 if any(entry["warnings"] for entry in entries) else 0)


def _candidate(folders: Folders, name: TargetName | None, file: str, put: bool) -> None:
    if put:
        owner.require(folders, sys.argv[1:])
    act, word = (candidates.put, "written") if put else (candidates.check, "differs")
    if place := act(folders, name, candidates.read(file), file):
        print(f"{word}: {place}")


def _show(folders: Folders, target: Target, as_json: bool) -> int:
    root = tree(folders, target.name)
    if as_json:
        print(json.dumps({"target": str(target.name), "values": origins.plain(root, target)}))
    else:
        print(f"# {target.name}", *origins.lines(root, target), sep="\n")
    return 0
