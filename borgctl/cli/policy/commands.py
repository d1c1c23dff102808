"""The commands about policies, `borgctl lint`, `explain` and `suggest`: arguments in, text out."""

import json
import os
from typing import Annotated

import typer

from borgctl.cli.common.json_option import AsJson, print_result
from borgctl.cli.policy import explain as explanation
from borgctl.cli.policy import lint as linter
from borgctl.cli.policy.describe import Description, describe
from borgctl.cli.policy.explanation import Explanation
from borgctl.cli.policy.suggest import suggest as suggest_entries
from borgctl.errors import BadValue

app = typer.Typer()


@app.command(short_help="Check policies for errors and warnings.")
def lint(
    policies: Annotated[
        list[str] | None,
        typer.Argument(metavar="POLICY", help="Without one: all in /etc/borgctl (~/.config/borgctl)."),
    ] = None,
    candidate: Annotated[
        str | None, typer.Option(metavar="FILE", help="Check this file as if it stood in the place of POLICY.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check policies for errors and warnings.

    Errors are what the gate refuses, such as a passphrase that is missing or that others can read. Paths in a hook that
    other users can change are errors, too.

    With --candidate a file can be checked before it is put in place.

    The exit status is 0, also where there are warnings, or 78.

    Example: borgctl lint /etc/borgctl/web1.yaml
    """
    if candidate is not None and len(policies or ()) != 1:
        raise BadValue("--candidate FILE stands in the place of one POLICY: name that, as /etc/borgctl/web1.yaml")
    reports = [linter.lint(file, candidate) for file in policies or linter.usual_policies()]
    for report in reports:
        if as_json:
            typer.echo(json.dumps(report.plain))
        else:
            typer.echo("".join(f"{line}\n" for line in report.lines), nl=False)
    raise typer.Exit(linter.status(reports))


@app.command(short_help="Explain what a policy allows, or how it decides one request.")
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
    """Explain how the gate would decide a request, and why.

    Without a request, explain what this policy lets a server do. Nothing is done.

    The exit status is 0 where the request is allowed, 76 where it is malformed, 77 where it is refused. It is 78 where
    the policy, or what it names, cannot be used. It is 69 where borg is missing or the log cannot be written.

    Example: borgctl explain /etc/borgctl/web1.yaml 'run default --log=json'
    """
    facts = explanation.facts(local=local)
    if request is None and env:
        raise BadValue("--env is a part of a request: say which, as in 'run default', or '' for the empty one")
    if request is None:
        result: Explanation | Description = describe(policy, facts)
    else:
        result = explanation.explain(policy, os.fsencode(request), explanation.variables(env or []), facts)
    print_result(result.plain, result.lines, as_json=as_json)
    raise typer.Exit(result.status)


@app.command(short_help="Print the policy lines that refused requests would have needed.")
def suggest(
    log: Annotated[str, typer.Argument(metavar="LOG", help="An audit log.")],
    as_json: AsJson = False,
) -> None:
    """Print, commented out, the lines that refused requests would have needed in the policy. Nothing is written.

    Example: borgctl suggest /var/log/borgctl/audit.jsonl
    """
    suggestions = suggest_entries(log, explanation.facts())
    print_result(suggestions.plain, suggestions.lines, as_json=as_json)
