"""doctor's section about one line of authorized_keys: does it count, what does it run, what does it leave open?

It reads none of sshd's files. Of the gate's policy it needs only whether that offers the socket transport.

    section(place, account, settings).findings
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from borgctl import openssh_key
from borgctl.cli.doctor import forced_command, key_findings, login_environment, logins
from borgctl.cli.doctor.findings import Finding, Section
from borgctl.cli.doctor.forced_command import Gate
from borgctl.cli.openssh.key_options import KeyOptions
from borgctl.cli.openssh.keyfiles import Place
from borgctl.cli.openssh.keyline import KeyLine
from borgctl.cli.openssh.login import Login
from borgctl.cli.openssh.sshd import Settings
from borgctl.errors import BadValue, BorgctlError
from borgctl.policy import load

_AUTHORIZE = "use the command that 'borgctl authorize' prints"


def section(place: Place, account: Login, settings: Settings) -> Section:
    """Return all findings about one line."""
    line = place.line
    try:
        fingerprint = openssh_key.fingerprint(line.blob)
    except BadValue:  # sshd passes over it
        fingerprint = "(damaged)"
    title = f"key {fingerprint} {line.comment}".rstrip() + f", login {account.name} ({line.place})"
    return Section(title, tuple(_findings(place, account, settings, fingerprint)))


def gate(line: KeyLine, settings: Settings) -> Gate | None:
    """Return the gate that a line starts; sshd's ForceCommand overrides the line's own command."""
    command = _command(line.options, settings) if line.options else None
    return forced_command.gate(command) if command else None


def _command(options: KeyOptions, settings: Settings) -> str | None:
    forced = settings.value("forcecommand")
    return options.command if forced == "none" else forced


def _findings(place: Place, account: Login, settings: Settings, fingerprint: str) -> Iterator[Finding]:
    line, options = place.line, place.line.options
    if options is None:
        text = f"sshd ignores this line: {line.problem}"
        yield Finding("error", "key-line", text, (f"{line.text[:200]} ({line.place})",), "correct the options")
        return
    if authority := logins.authority_place(settings, line.blob):
        text = "this key is a trusted authority: its holder can make certificates for any login"
        yield Finding("open", "certificates", text, (f"TrustedUserCAKeys has it ({authority})",), "remove it there")
    started = gate(line, settings)
    if place.winner:
        yield Finding("error" if started else "ok", "key-line", f"never used: {place.winner} comes first")
        return
    if options.sources:
        yield Finding("ok", "from", f"valid for connections from {options.sources}")
    if options.expires and options.expires[:8] < f"{datetime.now(UTC):%Y%m%d}":
        yield Finding("error", "key-line", f"expired: expiry-time={options.expires}", (line.place,), "renew the line")
    yield _forced(line, options, settings, started, fingerprint)
    socket = _offers_socket(started)
    yield from key_findings.findings(
        key_findings.KeyAccess(line, options, settings, account.name, account.uid == 0, socket)
    )
    yield from login_environment.files_of_variables(account, settings, options)


def _forced(line: KeyLine, options: KeyOptions, settings: Settings, started: Gate | None, fingerprint: str) -> Finding:
    """Return a finding about the command that runs, whatever the key's holder asks for."""
    setting = settings.describe("forcecommand")
    why = f"command= ({line.place})" if settings.value("forcecommand") == "none" else setting
    command = _command(options, settings)
    if command is None:
        text = "the key's holder can run any command"
        return Finding("open", "command", text, (f"no command= ({line.place})", setting), _AUTHORIZE)
    if started is None:
        text = f"this runs something other than the gate, or starts the gate in another way: {command[:200]}"
        return Finding("open", "command", text, (why,), _AUTHORIZE)
    if started.key not in (None, fingerprint):
        text = f"closed: the gate with {started.policy}, but the log will name another key"
        return Finding("error", "command", text, (f"--key {started.key} ({line.place})",), _AUTHORIZE)
    return Finding("ok", "command", f"closed: nothing but the gate with {started.policy}")


def _offers_socket(started: Gate | None) -> bool:
    """Tell whether the gate's policy offers the socket transport; one that cannot be read has its own section."""
    try:
        return started is not None and "socket" in load.read(started.policy).transports
    except BorgctlError:
        return False
