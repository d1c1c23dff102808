"""`borgctl doctor`: what can the holder of a key do on this machine, and will a pull work?

It asks sshd about each login, finds the lines of each key, and gathers findings: `logins` and `login_environment` about
a login, `key_report` and `key_findings` about a key line (`access_table` decides what is open), `programs` about the
interpreter, `policy_checks` about a policy, `host` about the machine. It writes nothing and reads no secret.

    examine(Examination()).status
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
class Examination:
    """What to examine: policies, one key, one login, as if it came from `addr`; None means all that there are."""

    policies: tuple[str, ...] = ()
    key: str | None = None
    login: str | None = None
    addr: str | None = None
    config: str = sshd.CONFIG


@dataclass(frozen=True, slots=True)
class LoginState:
    """What sshd says and reads for one login; `unseen`: why that could not be seen."""

    account: Login
    settings: Settings = field(default_factory=lambda: Settings({}))
    paths: tuple[str, ...] = ()
    lines: tuple[KeyLine, ...] = ()
    unseen: Unseen | None = None


def examine(wanted: Examination) -> Report:
    """Examine, and report; raise BadValue for a bad key, an unknown user or a bad address."""
    _require_address(wanted.addr)
    key = PublicKey.read(wanted.key) if wanted.key else None
    states = [_state(wanted, account) for account in _accounts(wanted)]
    blobs = {key.blob} if key else set(_keys_of_gates(states))
    if wanted.login is None and os.geteuid() == 0:
        states += [_state(wanted, account) for account in _elsewhere(states, blobs)]
    sections: list[Section] = []
    gates: list[tuple[Gate, Login]] = []
    for state in states:
        places = [place for blob in sorted(blobs) for place in keyfiles.places(state.lines, blob)]
        if places or state.unseen or len(states) == 1:
            sections.append(Section(f"login {state.account.name}", tuple(_login(wanted, state))))
        for place in places:
            sections.append(key_report.section(place, state.account, state.settings))
            if started := key_report.gate(place.line, state.settings):
                gates.append((started, state.account))
    if not any(state.unseen or any(line.blob in blobs for line in state.lines) for state in states):
        sections.append(Section("keys", (_no_line(states, key),)))
    sections += [*_programs(gates), *_policies(wanted, gates)]
    return Report((*sections, Section("this machine", tuple(host.findings(wanted.config)))))


def _require_address(addr: str | None) -> None:
    """Refuse a name: sshd would compare it with addresses, and no Match Address would seem to apply."""
    try:
        ipaddress.ip_address(addr or ELSEWHERE)
    except ValueError:
        raise BadValue(f"bad address {addr!r}: expected the server's IP address, like 203.0.113.7") from None


def _accounts(wanted: Examination) -> list[Login]:
    return [Login.named(wanted.login)] if wanted.login else Login.usual()


def _state(wanted: Examination, account: Login) -> LoginState:
    try:
        settings = sshd.ask(Question(account.name, wanted.addr or ELSEWHERE, config=wanted.config))
        paths = keyfiles.files(account, settings)
        read = [line for path in paths for line in keyfiles.read(path, account.uid)]
    except Unseen as error:
        return LoginState(account, unseen=error)
    return LoginState(account, settings, tuple(paths), tuple(read))


def _keys_of_gates(states: Iterable[LoginState]) -> Iterator[str]:
    """Yield the keys that have a line for the gate."""
    for state in states:
        for line in state.lines:
            if forced_command.names_gate(line.options.command if line.options else line.text) or (
                key_report.gate(line, state.settings) is not None
            ):
                yield line.blob


def _elsewhere(states: list[LoginState], blobs: set[str]) -> Iterator[Login]:
    """Yield the other accounts that one of the keys opens, in the files that sshd reads for the first one."""
    names = {state.account.name for state in states}
    for entry in pwd.getpwall():
        if entry.pw_name in names or not states or states[0].unseen:
            continue
        account = Login.named(entry.pw_name)
        try:
            paths = keyfiles.files(account, states[0].settings)
            lines = [line for path in paths for line in keyfiles.read(path, account.uid)]
        except Unseen:
            continue
        own = [line for line in lines if line.blob in blobs and line.file not in states[0].paths]
        if own:
            yield account


def _no_line(states: list[LoginState], key: PublicKey | None) -> Finding:
    names = " or ".join(state.account.name for state in states)
    what = "no line of authorized_keys has this key" if key else "no line of authorized_keys names the gate"
    change = "'borgctl authorize KEY POLICY' prints it; --login names another account"
    return Finding("error", "key-line", f"{what} for {names}", (), change)


def _login(wanted: Examination, state: LoginState) -> Iterator[Finding]:
    """Yield the findings that hold for every key of a login."""
    if state.unseen:
        yield Finding("unseen", "sshd", str(state.unseen), (), state.unseen.change)
        return
    settings = state.settings
    yield from logins.findings(state.account, settings, list(state.lines), list(state.paths))
    yield from login_environment.variables(settings)
    yield from login_environment.start_up(state.account, user_rc=settings.yes("permituserrc"))
    if wanted.addr is None and (matched := settings.configuration.matched_on("address", "host")):
        text = f"sshd's answer depends on where the key comes from; it was asked for {ELSEWHERE}"
        yield Finding("unseen", "address", text, (f"Match at {', '.join(matched)}",), "say --addr ADDRESS")
    names = ("host",) if settings.yes("usedns") else ()
    if matched := settings.configuration.matched_on("localaddress", "localport", "rdomain", *names):
        text = "sshd's answer depends on things that doctor cannot ask about"
        yield Finding("unseen", "address", text, (f"Match at {', '.join(matched)}",), "read those blocks")
    if settings.configuration.unread:
        files = ", ".join(settings.configuration.unread)
        yield Finding(
            "unseen",
            "sshd",
            f"{files} cannot be read, so the report does not name their lines",
            (),
            "ask again as root",
        )


def _programs(gates: list[tuple[Gate, Login]]) -> Iterator[Section]:
    """Yield a section for each interpreter, once."""
    interpreters = {}
    for started, account in gates:
        owners = frozenset((0,)) if started.sudo else account.owners
        interpreters[started.python, owners] = started
    for (python, owners), started in interpreters.items():
        yield Section(f"interpreter {python}", tuple(programs.findings(started, owners)))


def _policies(wanted: Examination, gates: list[tuple[Gate, Login]]) -> Iterator[Section]:
    """Yield a section for each policy, as the user that the gate runs as."""
    users = {started.policy: 0 if started.sudo else account.uid for started, account in gates}
    if not wanted.policies and not users:
        try:
            users = dict.fromkeys(lint.usual_policies(), os.geteuid())
        except BadValue as error:
            yield Section("policies", (Finding("error", "policy", str(error)),))
    for path in dict.fromkeys([*map(os.path.abspath, wanted.policies), *users]):
        uid = users.get(path, os.geteuid())
        if uid == os.geteuid():
            yield Section(f"policy {path}", tuple(policy_checks.findings(path)))
            continue
        text = f"the gate runs as uid {uid}, and sees other files than you do"
        finding = Finding("unseen", "policy", text, (), f"ask again as that user: borgctl doctor {path}")
        yield Section(f"policy {path}", (finding,))
