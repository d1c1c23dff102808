"""The commands about a repository, `borgctl window`, `recovery`, `passphrase` and `moved`: arguments in, text out."""

from typing import Annotated

import typer

from borgctl.cli.common import policy_argument
from borgctl.cli.window import change_passphrase
from borgctl.cli.window.recovery_page import recovery_page
from borgctl.cli.window.relocate import relocate
from borgctl.cli.window.window import run_borg, run_shell
from borgctl.cli.window.window_session import WAIT
from borgctl.values import RepositoryPath

app = typer.Typer()

RepositoryOption = Annotated[
    str | None, typer.Option(metavar="PATH", help="Which of the policy's repositories, where it has several.")
]
Wait = Annotated[float, typer.Option(metavar="SECONDS", help="How long to wait for a window.")]


@app.command(
    short_help="Run borg, or a shell, through a restore window.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
def window(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- borg ...", help="The command, its options and paths. Without it: a shell."),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Without it: the one in /etc/borgctl (~/.config/borgctl) with 'window'."),
    ] = None,
    ask: Annotated[bool, typer.Option("--ask", help="Let borg ask for the passphrase.")] = False,
    wait: Wait = WAIT,
) -> None:
    """Run one borg command of your own through a restore window that the server holds open, or a shell with such a
    'borg'.

    The server says what it may do: 'borgpull window --allow', see borgpull(1). The repository is filled in: say ::NAME
    for an archive, and nothing for the repository. The exit status is borg's.

    Example: borgctl window -- borg extract ::web1-default-2026-11-23T04:05:06 etc/fstab
    """
    raise typer.Exit(run_borg(policy, words, ask=ask, wait=wait) if words else run_shell(policy))


@app.command(short_help="Print one page for the safe.")
def recovery(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="The policy.")],
    repository: RepositoryOption = None,
    wait: Wait = WAIT,
) -> None:
    """Print one page for the safe: location, id, passphrase, key and what to do with them. It needs an open window.

    Example: borgctl recovery /etc/borgctl/web1.yaml | lp
    """
    read = policy_argument.read(policy)
    typer.echo(recovery_page(read, policy_argument.repository(read, repository), wait), nl=False)


@app.command(short_help="Change the passphrase, in borg and in the policy's file.")
def passphrase(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="The policy.")],
    repository: RepositoryOption = None,
    ask: Annotated[bool, typer.Option("--ask", help="Type the new one; without it, a random one.")] = False,
    adopt: Annotated[bool, typer.Option("--adopt", help="The passphrase is changed already: pin the new key.")] = False,
    wait: Wait = WAIT,
) -> None:
    """Change the passphrase, in borg and in the policy's file.

    It needs a window for that, which the server opens with 'borgpull window --allow passphrase'. It can be called again
    at any time.

    Example: borgctl passphrase /etc/borgctl/web1.yaml
    """
    read = policy_argument.read(policy)
    path = policy_argument.repository(read, repository)
    if adopt:
        typer.echo(change_passphrase.adopt(read, path, wait))
        return
    new = typer.prompt("new passphrase", hide_input=True, confirmation_prompt=True).encode() if ask else None
    for line in change_passphrase.change(read, path, new, wait):
        typer.echo(line)


@app.command(short_help="Tell the gate that a repository has moved or was replaced.")
def moved(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="The policy, with the new path.")],
    repository: RepositoryOption = None,
    old: Annotated[
        str | None, typer.Option("--from", metavar="PATH", help="Where the same repository was before.")
    ] = None,
    forget: Annotated[bool, typer.Option("--forget", help="Another one is there now: forget the old one.")] = False,
    earlier: Annotated[
        bool, typer.Option("--earlier", help="The same one was put back to an earlier state: accept that.")
    ] = False,
) -> None:
    """Tell the gate that the repository has another path, or that another one, or an earlier state of it, has taken its
    place.

    Example: borgctl moved /etc/borgctl/web1.yaml --from /srv/borg/old
    """
    read = policy_argument.read(policy)
    before = None if old is None else RepositoryPath(old)
    path = policy_argument.repository(read, repository)
    typer.echo(relocate(read, path, before, forget=forget, earlier=earlier))
