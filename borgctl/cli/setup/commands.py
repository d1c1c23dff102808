"""The commands of the set-up, `borgctl sample` and `borgctl authorize`: arguments in, text out."""

from pathlib import Path
from typing import Annotated

import typer

from borgctl.cli.policy.sample import render
from borgctl.cli.setup import authorize as key_line
from borgctl.cli.setup.authorize import Authorization, Login
from borgctl.cli.setup.sshd_settings import Transport
from borgctl.policy import load

app = typer.Typer()


@app.command(short_help="Print a commented policy to start from.")
def sample(
    repository: Annotated[
        str, typer.Option(help="The repository's absolute path on the server; {hostname} stands for this host.")
    ] = "/srv/borg/{hostname}",
    paths: Annotated[
        list[str] | None,
        typer.Option(
            "--path",
            help="A directory to back up; may be repeated. Without it: /etc and /home, or an ordinary user's home.",
        ),
    ] = None,
) -> None:
    """Print a commented policy, and how to make its passphrase. Nothing is written.

    For an ordinary user it is about their home directory, and its files lie there.

    Example: borgctl sample --repository /srv/borg/web1 > /etc/borgctl/web1.yaml
    """
    typer.echo(render(repository, paths or []), nl=False)


@app.command(short_help="Print the key line, the settings for sshd and the server's line.")
def authorize(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="The server's public key, as text or as the name of its .pub file.")
    ],
    policy: Annotated[
        Path, typer.Argument(metavar="POLICY", help="The policy that this key is to have: an absolute path.")
    ],
    transport: Annotated[Transport, typer.Option(help="How borg's protocol is to travel.")] = Transport.STDIO,
    login: Annotated[
        Login, typer.Option(help="Who logs in: root, this ordinary user, or a user 'borgctl' with one sudo rule.")
    ] = Login.AUTO,
    source: Annotated[
        str | None, typer.Option("--from", help="Addresses that the key may come from, as in authorized_keys(5).")
    ] = None,
    host_key: Annotated[Path, typer.Option(help="This machine's public host key.")] = Path(
        "/etc/ssh/ssh_host_ed25519_key.pub"
    ),
) -> None:
    """Print the line for authorized_keys, the settings for sshd, and the line for the server. Nothing is written.

    The exit status is 78 where the policy is missing or cannot be used; the lines are printed all the same.

    Example: borgctl authorize 'ssh-ed25519 AAAA… borgpull-web1' /etc/borgctl/web1.yaml
    """
    wanted = Authorization(key, str(policy), transport, login, source, str(host_key))
    typer.echo(key_line.render(wanted), nl=False)
    load.read(wanted.policy)  # its error is this command's, once the lines are printed
