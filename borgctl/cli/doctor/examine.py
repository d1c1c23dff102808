"""The story of doctor: ask sshd for each login, find the lines of each key, look at the doors, the gate, the machine.

examine(Order()).status
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from borgctl import policyfile
from borgctl.cli import lint
from borgctl.cli.authorize import PublicKey
from borgctl.cli.doctor import commands, doors, keyfiles, logins, machine, programs, sshd, state, surface
from borgctl.cli.doctor.commands import Gate
from borgctl.cli.doctor.findings import Finding, Report, Section
from borgctl.cli.doctor.keyfiles import Place
from borgctl.cli.doctor.keyline import KeyLine, Options
from borgctl.cli.doctor.login import Login
from borgctl.cli.doctor.sshd import Question, Settings, Unseen
from borgctl.errors import BadValue, BorgctlError

ELSEWHERE = "192.0.2.1"  # an address for documentation (RFC 5737): nobody's


@dataclass(frozen=True, slots=True)
class Order:
    """What to look at: policies, one key, one login, as if it came from `addr`; what is None is found out."""

    policies: tuple[str, ...] = ()
    key: str | None = None
    login: str | None = None
    addr: str | None = None
    config: str = sshd.CONFIG


def examine(order: Order) -> Report:
    """Look, and report; raise BadValue for a key or a user that is none."""
    key = PublicKey.read(order.key) if order.key else None
    accounts = [Login.named(order.login)] if order.login else Login.usual()
    sections: list[Section] = []
    gates: list[tuple[Gate, Login]] = []
    seen = False
    for account in accounts:
        try:
            settings = sshd.ask(Question(account.name, order.addr or ELSEWHERE, config=order.config))
            paths = keyfiles.files(account, settings)
            lines = [line for path in paths for line in keyfiles.read(path)]
        except Unseen as error:
            finding = Finding("unseen", "sshd", str(error), (), error.change)
            sections.append(Section(f"login {account.name}", (finding,)))
            seen = True  # there may be lines
            continue
        blobs = [key.blob] if key else _keys_of_gates(lines)
        if not blobs and len(accounts) > 1:
            continue
        found = tuple(_login(order, account, settings, lines, paths))
        sections.append(Section(f"login {account.name}", found))
        for blob in blobs:
            places = keyfiles.places(lines, blob)
            sections += [_key(place, account, settings) for place in places]
            gates += [(gate, account) for place in places if (gate := _gate(place.line.options, settings))]
            seen = seen or bool(places)
    if not seen:
        sections.append(Section("keys", (_nobody(accounts, key),)))
    sections += _programs(gates)
    sections += _policies(order, gates)
    return Report((*sections, Section("this machine", tuple(machine.findings(order.config)))))


def _keys_of_gates(lines: list[KeyLine]) -> list[str]:
    """Return the keys that have a line for the gate."""
    named = (line.blob for line in lines if commands.names_gate(line.options.command if line.options else line.text))
    return list(dict.fromkeys(named))


def _nobody(accounts: list[Login], key: PublicKey | None) -> Finding:
    names = " or ".join(account.name for account in accounts)
    what = "no line of authorized_keys has this key" if key else "no line of authorized_keys names the gate"
    change = "'borgctl authorize KEY POLICY' prints it; --login says whom to look at"
    return Finding("error", "key-line", f"{what} for {names}", (), change)


def _login(
    order: Order, account: Login, settings: Settings, lines: list[KeyLine], paths: list[str]
) -> Iterator[Finding]:
    yield from logins.findings(account, settings, lines, paths)
    yield from surface.variables(settings)
    yield from surface.start_up(account, user_rc=settings.yes("permituserrc"))
    matched = settings.configuration.matched_on("address", "host", "localaddress", "localport", "rdomain")
    if order.addr is None and matched:
        text = f"sshd's answer depends on where the key comes from; it was asked for {ELSEWHERE}"
        yield Finding("unseen", "address", text, (f"Match at {', '.join(matched)}",), "say --addr ADDRESS")
    if settings.configuration.unread:
        files = ", ".join(settings.configuration.unread)
        yield Finding("unseen", "sshd", f"lines of {files} are not named here", (), "ask again as root")


def _gate(options: Options | None, settings: Settings) -> Gate | None:
    """Return the gate that a line starts; sshd's ForceCommand comes before the line's own."""
    forced = settings.one("forcecommand")
    command = forced if forced != "none" else options.command if options else None
    return commands.gate(command) if command else None


def _key(place: Place, account: Login, settings: Settings) -> Section:
    line = place.line
    fingerprint = PublicKey(line.kind, line.blob, "").fingerprint
    title = f"key {fingerprint} {line.comment}".rstrip() + f", login {account.name} ({line.place})"
    return Section(title, tuple(_line(place, account, settings, fingerprint)))


def _line(place: Place, account: Login, settings: Settings, fingerprint: str) -> Iterator[Finding]:
    line, options = place.line, place.line.options
    if options is None:
        text = f"sshd ignores this line: {line.problem}"
        yield Finding("error", "key-line", text, (f"{line.text[:200]} ({line.place})",), "correct the options")
        return
    if signed := logins.signs_for_itself(settings, line.blob):
        text = "this key is a trusted authority: its holder can make certificates for any login"
        yield Finding("open", "certificates", text, (f"TrustedUserCAKeys has it ({signed})",), "take it out there")
    if place.winner:
        level = "error" if _gate(options, settings) else "ok"
        yield Finding("error" if level == "error" else "ok", "key-line", f"never used: {place.winner} comes first")
        return
    yield from _limits(line, options)
    gate = _gate(options, settings)
    yield _command(line, options, settings, gate, fingerprint)
    socket = _offers_socket(gate)
    yield from doors.findings(doors.Door(line, options, settings, account.name, account.uid == 0, socket))
    yield from surface.files_of_variables(account, settings, options)


def _limits(line: KeyLine, options: Options) -> Iterator[Finding]:
    if options.sources:
        yield Finding("ok", "from", f"counts for connections from {options.sources}")
    if options.expires and options.expires[:8] < f"{datetime.now(UTC):%Y%m%d}":
        yield Finding("error", "key-line", f"expired: expiry-time={options.expires}", (line.place,), "renew the line")


def _command(line: KeyLine, options: Options, settings: Settings, gate: Gate | None, fingerprint: str) -> Finding:
    forced = settings.one("forcecommand") != "none"
    command = settings.one("forcecommand") if forced else options.command
    why = settings.said("forcecommand") if forced else f"command= ({line.place})"
    change = "give the line the command that 'borgctl authorize' prints"
    if command is None:
        text = "the key's holder can run any command"
        return Finding("open", "command", text, (f"no command= ({line.place})", settings.said("forcecommand")), change)
    if gate is None:
        text = f"something else than the gate runs, or the gate is started in another way: {command[:200]}"
        return Finding("open", "command", text, (why,), change)
    if gate.key not in (None, fingerprint):
        text = f"closed: the gate with {gate.policy}, but records will name another key"
        return Finding("error", "command", text, (f"--key {gate.key} ({line.place})",), change)
    return Finding("ok", "command", f"closed: nothing but the gate with {gate.policy}")


def _offers_socket(gate: Gate | None) -> bool:
    """Tell whether the gate's policy offers the socket transport; an unreadable one is looked at in its own section."""
    try:
        return gate is not None and "socket" in policyfile.read(gate.policy).transports
    except BorgctlError:
        return False


def _programs(gates: list[tuple[Gate, Login]]) -> Iterator[Section]:
    """Look at each interpreter once."""
    seen = {}
    for gate, account in gates:
        owners = frozenset((0,)) if gate.sudo else account.owners
        seen[gate.python, owners] = gate
    for (python, owners), gate in seen.items():
        yield Section(f"interpreter {python}", tuple(programs.findings(gate, owners)))


def _policies(order: Order, gates: list[tuple[Gate, Login]]) -> Iterator[Section]:
    """Look at each policy, as the user whom the gate runs as."""
    users = {gate.policy: 0 if gate.sudo else account.uid for gate, account in gates}
    if not order.policies and not users:
        try:
            users = dict.fromkeys(lint.usual_policies(), os.geteuid())
        except BadValue as error:
            yield Section("policies", (Finding("error", "policy", str(error)),))
    for path in dict.fromkeys([*order.policies, *users]):
        uid = users.get(path, os.geteuid())
        if uid == os.geteuid():
            yield Section(f"policy {path}", tuple(state.findings(path)))
            continue
        text = f"the gate runs as uid {uid}, and sees other files than you do"
        finding = Finding("unseen", "policy", text, (), f"ask again as that user: borgctl doctor {path}")
        yield Section(f"policy {path}", (finding,))
