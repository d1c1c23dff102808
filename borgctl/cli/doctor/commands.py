"""The command `borgctl doctor`: arguments in, text out."""

from typing import Annotated

import typer

from borgctl.cli.common.json_option import AsJson, print_result
from borgctl.cli.doctor.examine import Examination, examine
from borgctl.cli.openssh.sshd import CONFIG

app = typer.Typer()


@app.command(short_help="Check what a key can do here, and whether a pull will work.")
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
    """Check what the holder of a key can do on this machine, and whether a pull will work. Nothing is changed.

    The exit status is 0 where all is well, and 1 where something is to fix or could not be seen. It is 2 where
    something is open or broken.

    Example: borgctl doctor --addr 203.0.113.7
    """
    report = examine(Examination(tuple(policies or ()), key, login, addr, sshd_config))
    print_result(report.plain, report.lines, as_json=as_json)
    raise typer.Exit(report.status)
