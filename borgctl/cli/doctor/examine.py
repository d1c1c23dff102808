"""The story of doctor: ask sshd for each login, find the lines of each key, look at the doors, the gate, the machine.

examine(Order()).status
"""

import ipaddress
import os
import pwd
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from borgctl.cli.doctor import forced_command, host, key_report, login_environment, logins, policy_checks, programs
from borgctl.cli.doctor.findings import Finding, Report, Section
from borgctl.cli.doctor.forced_command import Gate
from borgctl.cli.openssh import keyfiles, sshd
from borgctl.cli.openssh.keyline import KeyLine
from borgctl.cli.openssh.login import Login
from borgctl.cli.openssh.sshd import Question, Settings, Unseen
from borgctl.cli.policy import lint
from borgctl.errors import BadValue
from borgctl.openssh_key import PublicKey

ELSEWHERE = "192.0.2.1"  # an address for documentation (RFC 5737): nobody's


@dataclass(frozen=True, slots=True)
class Order:
    """What to look at: policies, one key, one login, as if it came from `addr`; what is None is found out."""

    policies: tuple[str, ...] = ()
    key: str | None = None
    login: str | None = None
    addr: str | None = None
    config: str = sshd.CONFIG


@dataclass(frozen=True, slots=True)
class Visit:
    """What sshd says and reads for one login; `unseen` where that could not be seen."""

    account: Login
    settings: Settings = field(default_factory=lambda: Settings({}))
    paths: tuple[str, ...] = ()
    lines: tuple[KeyLine, ...] = ()
    unseen: Unseen | None = None


def examine(order: Order) -> Report:
    """Look, and report; raise BadValue for a key, a user or an address that is none."""
    _require_address(order.addr)
    key = PublicKey.read(order.key) if order.key else None
    visits = [_visit(order, account) for account in _accounts(order)]
    blobs = {key.blob} if key else set(_keys_of_gates(visits))
    if order.login is None and os.geteuid() == 0:
        visits += [_visit(order, account) for account in _elsewhere(visits, blobs)]
    sections: list[Section] = []
    gates: list[tuple[Gate, Login]] = []
    for visit in visits:
        places = [place for blob in sorted(blobs) for place in keyfiles.places(visit.lines, blob)]
        if places or visit.unseen or len(visits) == 1:
            sections.append(Section(f"login {visit.account.name}", tuple(_login(order, visit))))
        for place in places:
            sections.append(key_report.section(place, visit.account, visit.settings))
            if started := key_report.gate(place.line, visit.settings):
                gates.append((started, visit.account))
    if not any(visit.unseen or any(line.blob in blobs for line in visit.lines) for visit in visits):
        sections.append(Section("keys", (_nobody(visits, key),)))
    sections += [*_programs(gates), *_policies(order, gates)]
    return Report((*sections, Section("this machine", tuple(host.findings(order.config)))))


def _require_address(addr: str | None) -> None:
    """Refuse a name: sshd would compare it with addresses, and every Match Address would seem not to apply."""
    try:
        ipaddress.ip_address(addr or ELSEWHERE)
    except ValueError:
        raise BadValue(f"bad address {addr!r}: expected the server's IP address, like 203.0.113.7") from None


def _accounts(order: Order) -> list[Login]:
    return [Login.named(order.login)] if order.login else Login.usual()


def _visit(order: Order, account: Login) -> Visit:
    try:
        settings = sshd.ask(Question(account.name, order.addr or ELSEWHERE, config=order.config))
        paths = keyfiles.files(account, settings)
        read = [line for path in paths for line in keyfiles.read(path)]
    except Unseen as error:
        return Visit(account, unseen=error)
    return Visit(account, settings, tuple(paths), tuple(read))


def _keys_of_gates(visits: Iterable[Visit]) -> Iterator[str]:
    """Yield the keys that have a line for the gate."""
    for visit in visits:
        for line in visit.lines:
            if forced_command.names_gate(line.options.command if line.options else line.text) or (
                key_report.gate(line, visit.settings) is not None
            ):
                yield line.blob


def _elsewhere(visits: list[Visit], blobs: set[str]) -> Iterator[Login]:
    """Yield the other accounts that one of the keys opens, by the files that sshd reads for the first one."""
    known = {visit.account.name for visit in visits}
    for entry in pwd.getpwall():
        if entry.pw_name in known or not visits or visits[0].unseen:
            continue
        account = Login.named(entry.pw_name)
        try:
            found = [line for path in keyfiles.files(account, visits[0].settings) for line in keyfiles.read(path)]
        except Unseen:
            continue
        own = [line for line in found if line.blob in blobs and line.file not in visits[0].paths]
        if own:
            yield account


def _nobody(visits: list[Visit], key: PublicKey | None) -> Finding:
    names = " or ".join(visit.account.name for visit in visits)
    what = "no line of authorized_keys has this key" if key else "no line of authorized_keys names the gate"
    change = "'borgctl authorize KEY POLICY' prints it; --login says whom to look at"
    return Finding("error", "key-line", f"{what} for {names}", (), change)


def _login(order: Order, visit: Visit) -> Iterator[Finding]:
    """Look at what holds for every key of a login."""
    if visit.unseen:
        yield Finding("unseen", "sshd", str(visit.unseen), (), visit.unseen.change)
        return
    settings = visit.settings
    yield from logins.findings(visit.account, settings, list(visit.lines), list(visit.paths))
    yield from login_environment.variables(settings)
    yield from login_environment.start_up(visit.account, user_rc=settings.yes("permituserrc"))
    if order.addr is None and (matched := settings.configuration.matched_on("address", "host")):
        text = f"sshd's answer depends on where the key comes from; it was asked for {ELSEWHERE}"
        yield Finding("unseen", "address", text, (f"Match at {', '.join(matched)}",), "say --addr ADDRESS")
    names = ("host",) if settings.yes("usedns") else ()
    if matched := settings.configuration.matched_on("localaddress", "localport", "rdomain", *names):
        text = "sshd's answer depends on what cannot be said here"
        yield Finding("unseen", "address", text, (f"Match at {', '.join(matched)}",), "read those blocks")
    if settings.configuration.unread:
        files = ", ".join(settings.configuration.unread)
        yield Finding("unseen", "sshd", f"lines of {files} are not named here", (), "ask again as root")


def _programs(gates: list[tuple[Gate, Login]]) -> Iterator[Section]:
    """Look at each interpreter once."""
    seen = {}
    for started, account in gates:
        owners = frozenset((0,)) if started.sudo else account.owners
        seen[started.python, owners] = started
    for (python, owners), started in seen.items():
        yield Section(f"interpreter {python}", tuple(programs.findings(started, owners)))


def _policies(order: Order, gates: list[tuple[Gate, Login]]) -> Iterator[Section]:
    """Look at each policy, as the user whom the gate runs as."""
    users = {started.policy: 0 if started.sudo else account.uid for started, account in gates}
    if not order.policies and not users:
        try:
            users = dict.fromkeys(lint.usual_policies(), os.geteuid())
        except BadValue as error:
            yield Section("policies", (Finding("error", "policy", str(error)),))
    for path in dict.fromkeys([*map(os.path.abspath, order.policies), *users]):
        uid = users.get(path, os.geteuid())
        if uid == os.geteuid():
            yield Section(f"policy {path}", tuple(policy_checks.findings(path)))
            continue
        text = f"the gate runs as uid {uid}, and sees other files than you do"
        finding = Finding("unseen", "policy", text, (), f"ask again as that user: borgctl doctor {path}")
        yield Section(f"policy {path}", (finding,))
