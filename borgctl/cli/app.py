"""The command line of borgctl: arguments in, text out; what a command knows lies in a module of its own."""

import json
import os
import sys
import traceback
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from borgctl import __version__
from borgctl.cli.common import policy_argument
from borgctl.cli.doctor.examine import Order as Examination
from borgctl.cli.doctor.examine import examine
from borgctl.cli.log import audit, status
from borgctl.cli.openssh.sshd import CONFIG
from borgctl.cli.policy import explain as explanation
from borgctl.cli.policy import lint as linter
from borgctl.cli.policy.explanation import Explanation
from borgctl.cli.policy.policy_summary import Description, described
from borgctl.cli.policy.sample import sampled
from borgctl.cli.policy.suggest import suggested
from borgctl.cli.setup.authorize import Login, Order, authorized
from borgctl.cli.setup.sshd_settings import Transport
from borgctl.cli.window import change_passphrase
from borgctl.cli.window import relocate as relocation
from borgctl.cli.window import window_session as visiting
from borgctl.cli.window.recovery_page import printed_page
from borgctl.cli.window.window import admit, shell
from borgctl.console import completion
from borgctl.console.completion import Shell
from borgctl.errors import REASONS, BadValue, BorgctlError
from borgctl.text import printable
from borgctl.values import RepositoryPath, duration

_INTERNAL = REASONS["internal"].status

app = typer.Typer(
    name="borgctl",
    help="Say what a backup server may make happen on this machine.",
    no_args_is_help=True,
    add_completion=False,  # typer's own asks what shell it runs in, and writes into its files
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


_USUAL = "/etc/borgctl (~/.config/borgctl)"  # root's; an ordinary user's


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"borgctl {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    shell: Annotated[
        Shell | None, completion.option("borgctl", "Print the completion script for bash, zsh or fish.")
    ] = None,
) -> None:
    """Say what a backup server may make happen on this machine."""


@app.command(short_help="Print a commented policy to start from.")
def sample(
    repository: Annotated[
        str, typer.Option(help="The repository's absolute path on the server; {hostname} stands for this host.")
    ] = "/srv/borg/{hostname}",
    paths: Annotated[
        list[str] | None,
        typer.Option("--path", help="A directory to back up; may be repeated. Without it: /etc and /home, or yours."),
    ] = None,
) -> None:
    """Print a commented policy, and how to make its passphrase. Nothing is written.

    For an ordinary user it is about his home directory, and its files lie there.

    Example: borgctl sample --repository /srv/borg/web1 > /etc/borgctl/web1.yaml
    """
    typer.echo(sampled(repository, paths or []), nl=False)


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

    Example: borgctl authorize 'ssh-ed25519 AAAA… borgpull-web1' /etc/borgctl/web1.yaml
    """
    order = Order(key, str(policy), transport, login, source, str(host_key))
    typer.echo(authorized(order), nl=False)


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def _print(plain: object, lines: Iterable[str], as_json: bool) -> None:
    typer.echo(json.dumps(plain, indent=2) if as_json else "\n".join(lines))


@app.command(short_help="Say all that is wrong or unwise in policies.")
def lint(
    policies: Annotated[
        list[str] | None, typer.Argument(metavar="POLICY", help=f"Without one: all in {_USUAL}.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say all that is wrong or unwise in policies. Exit status 0 (warnings allowed) or 78: the gate
    would refuse, or another user could make use of its rights.

    Example: borgctl lint /etc/borgctl/web1.yaml
    """
    reports = [linter.lint(file) for file in policies or linter.usual_policies()]
    for report in reports:
        if as_json:
            typer.echo(json.dumps(report.plain))
        else:
            typer.echo("".join(f"{line}\n" for line in report.lines), nl=False)
    raise typer.Exit(linter.status(reports))


@app.command(short_help="Say what a policy allows, or how it decides one request.")
def explain(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="The policy.")],
    request: Annotated[
        str | None, typer.Argument(metavar="REQUEST", help="What the server would send, as one word: 'run default'.")
    ] = None,
    env: Annotated[
        list[str] | None, typer.Option("--env", metavar="NAME=VALUE", help="A variable that it sends; may be repeated.")
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="As if started on this machine and not over ssh.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say how the gate would decide a request, and why; without one, what this policy lets a server do.

    Nothing is done. Exit status 0: allowed, 76: malformed, 77: refused, 78: the policy, or what it names, cannot be
    used, 69: borg is missing, or the log cannot be written.

    Example: borgctl explain /etc/borgctl/web1.yaml 'run default --log=json'
    """
    facts = explanation.facts(local=local)
    if request is None and env:
        raise BadValue("--env is a part of a request: say which, as in 'run default', or '' for the empty one")
    if request is None:
        found: Explanation | Description = described(policy, facts)
    else:
        found = explanation.explained(policy, os.fsencode(request), explanation.variables(env or []), facts)
    _print(found.plain, found.lines, as_json)
    raise typer.Exit(found.status)


@app.command(short_help="Print the policy lines that refused requests would have needed.")
def suggest(
    log: Annotated[str, typer.Argument(metavar="LOG", help="An audit log: /var/log/borgctl/audit.jsonl")],
    as_json: AsJson = False,
) -> None:
    """Print, commented out, the lines that refused requests would have needed in the policy. Nothing is written.

    Example: borgctl suggest /var/log/borgctl/audit.jsonl
    """
    found = suggested(log, explanation.facts())
    _print(found.plain, found.lines, as_json)


@app.command(short_help="Say what a key can do here, and whether a pull will work.")
def doctor(
    policies: Annotated[
        list[str] | None, typer.Argument(metavar="POLICY", help="Without one: those that key lines name.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="The server's public key, as text or as the name of its .pub file.")
    ] = None,
    login: Annotated[
        str | None, typer.Option(metavar="USER", help="Who logs in. Without it: root and 'borgctl', or yourself.")
    ] = None,
    addr: Annotated[str | None, typer.Option(metavar="ADDRESS", help="The IP address the server comes from.")] = None,
    sshd_config: Annotated[str, typer.Option(metavar="FILE", help="The configuration that sshd was started with.")] = (
        CONFIG
    ),
    as_json: AsJson = False,
) -> None:
    """Say what the holder of a key can do on this machine, and whether a pull will work. Nothing is changed.

    Exit status 0: all is well; 1: something to mend, or not seen; 2: something is open or broken.

    Example: borgctl doctor --addr 203.0.113.7
    """
    report = examine(Examination(tuple(policies or ()), key, login, addr, sshd_config))
    _print(report.plain, report.lines, as_json)
    raise typer.Exit(report.status)


@app.command("status", short_help="Say how old the last good pull of each job is.")
def status_(
    policies: Annotated[
        list[str] | None, typer.Argument(metavar="POLICY", help=f"Without one: all in {_USUAL}.")
    ] = None,
    max_age: Annotated[str, typer.Option(metavar="DURATION", help="Older than this is overdue.")] = "26h",
    as_json: AsJson = False,
) -> None:
    """Say whether anyone still pulls this machine: the last good run of each job, from its own log.

    Exit status 0: all well, 1: the last run had warnings or failed, 2: overdue, never, or damage found.

    Example: borgctl status --max-age 26h
    """
    files = [os.path.abspath(file) for file in policies or linter.usual_policies()]
    found = status.status(files, duration(max_age), datetime.now(UTC))
    _print(found.plain, found.lines, as_json)
    raise typer.Exit(found.status)


RepositoryOption = Annotated[
    str | None, typer.Option(metavar="PATH", help="Which of the policy's repositories, where it has several.")
]
Wait = Annotated[float, typer.Option(metavar="SECONDS", help="How long to wait for a window.")]


@app.command(
    short_help="Run borg, or a shell, through a window that the server holds.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
def window(
    words: Annotated[list[str] | None, typer.Argument(metavar="-- borg ...", help="Nothing: a shell.")] = None,
    policy: Annotated[str | None, typer.Option(help=f"Without it: the one in {_USUAL} with 'window:'.")] = None,
    ask: Annotated[bool, typer.Option("--ask", help="Let borg ask for the passphrase.")] = False,
    wait: Wait = visiting.WAIT,
) -> None:
    """Run one borg command of your own through a window that the server holds open, or a shell with such a 'borg'.

    The repository is filled in: say ::NAME for an archive, and nothing for the repository. The exit status is borg's.

    Example: borgctl window -- borg extract ::web1-default-2026-11-23T04:05:06 etc/fstab
    """
    raise typer.Exit(admit(policy, words, ask=ask, wait=wait) if words else shell(policy))


@app.command(short_help="Print one page for the safe.")
def recovery(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="The policy.")],
    repository: RepositoryOption = None,
    wait: Wait = visiting.WAIT,
) -> None:
    """Print one page for the safe: location, id, passphrase, key and what to do with them. Needs an open window.

    Example: borgctl recovery /etc/borgctl/web1.yaml | lp
    """
    read = policy_argument.read(policy)
    typer.echo(printed_page(read, policy_argument.repository(read, repository), wait), nl=False)


@app.command(short_help="Change the passphrase, in borg and in the policy's file.")
def passphrase(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="The policy.")],
    repository: RepositoryOption = None,
    ask: Annotated[bool, typer.Option("--ask", help="Type the new one; without it, a random one.")] = False,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="It is changed already: know the new key from now on.")
    ] = False,
    wait: Wait = visiting.WAIT,
) -> None:
    """Change the passphrase, in borg and in the policy's file. Needs a window for it; can be called again at any time.

    Example: borgctl passphrase /etc/borgctl/web1.yaml
    """
    read = policy_argument.read(policy)
    path = policy_argument.repository(read, repository)
    if adopt:
        typer.echo(change_passphrase.adopted(read, path, wait))
        return
    new = typer.prompt("new passphrase", hide_input=True, confirmation_prompt=True).encode() if ask else None
    for line in change_passphrase.changed(read, path, new, wait):
        typer.echo(line)


@app.command(short_help="Say that a repository has moved or was replaced.")
def moved(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="The policy, with the new path.")],
    repository: RepositoryOption = None,
    old: Annotated[
        str | None, typer.Option("--from", metavar="PATH", help="Where the same repository was before.")
    ] = None,
    forget: Annotated[bool, typer.Option("--forget", help="Another one stands there now: forget the old one.")] = False,
    earlier: Annotated[
        bool, typer.Option("--earlier", help="The same one was put back to an earlier state: take that.")
    ] = False,
) -> None:
    """Say that the repository has another path, that another one has taken its place, or an earlier state of it.

    Example: borgctl moved /etc/borgctl/web1.yaml --from /srv/borg/old
    """
    read = policy_argument.read(policy)
    before = None if old is None else RepositoryPath(old)
    path = policy_argument.repository(read, repository)
    typer.echo(relocation.moved(read, path, before, forget=forget, earlier=earlier))


app.add_typer(audit.app)


def main() -> None:
    """Run the command line; errors of ours are one line and a hint.

    What nobody foresaw has a status of its own: Python's is 1, which here means that all is well but for a warning.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        app()
    except BadValue as error:
        typer.echo(f"borgctl: {error}", err=True)
        sys.exit(2)
    except BorgctlError as error:
        typer.echo(f"borgctl: {error.detail}\nhint: {error.hint}", err=True)
        sys.exit(error.reason.status)
    except Exception:
        typer.echo("\n".join(map(printable, traceback.format_exc().splitlines())), err=True)
        sys.exit(_INTERNAL)
