"""doctor's findings about a login as a whole: does sshd let it in by key, and can others get in?

list(findings(login, settings, lines, ["/root/.ssh/authorized_keys"]))
"""

import os
from collections.abc import Iterator

from borgctl.cli.doctor.findings import Finding
from borgctl.cli.openssh import keyfiles
from borgctl.cli.openssh.keyline import KeyLine
from borgctl.cli.openssh.login import Login, trouble
from borgctl.cli.openssh.sshd import Settings, Unseen

_NO_SHELLS = ("nologin", "false")


def findings(login: Login, settings: Settings, lines: list[KeyLine], paths: list[str]) -> Iterator[Finding]:
    """Yield the findings that hold for every key of this login."""
    yield from _lets_in(login, settings)
    yield from _key_files(login, settings, paths)
    yield from _other_ways(settings, lines)


def _lets_in(login: Login, settings: Settings) -> Iterator[Finding]:
    describe = settings.describe
    problems = []
    if not settings.yes("pubkeyauthentication"):
        problems.append((describe("pubkeyauthentication"), "PubkeyAuthentication yes"))
    if login.uid == 0 and settings.value("permitrootlogin") == "no":
        problems.append((describe("permitrootlogin"), "PermitRootLogin forced-commands-only, or --login sudo"))
    methods = settings.words("authenticationmethods")
    if methods and not {"any", "publickey"} & set(methods):
        problems.append((describe("authenticationmethods"), f"AuthenticationMethods publickey for {login.name}"))
    if os.path.basename(login.shell) in _NO_SHELLS:
        problems.append((f"the login shell of {login.name} is {login.shell}", f"usermod --shell /bin/sh {login.name}"))
    if settings.value("chrootdirectory") != "none":
        problems.append((describe("chrootdirectory"), f"ChrootDirectory none for {login.name}"))
    for reason, change in problems:
        yield Finding("error", "login", f"no pull can work as {login.name}", (reason,), change)
    limits = [describe(key) for key in ("allowusers", "denyusers", "allowgroups", "denygroups") if settings.words(key)]
    if limits:
        yield Finding("warn", "login", f"check that these let {login.name} in", tuple(limits))
    if not problems and not limits:
        yield Finding("ok", "login", f"sshd lets {login.name} in by key")
    if login.uid == 0 and settings.value("permitrootlogin") == "yes" and settings.yes("passwordauthentication"):
        change = "PermitRootLogin forced-commands-only, or prohibit-password"
        yield Finding("warn", "login", "root can log in by password, too", (describe("permitrootlogin"),), change)


def _key_files(login: Login, settings: Settings, paths: list[str]) -> Iterator[Finding]:
    """Check who can change the files of authorized keys."""
    strict = settings.yes("strictmodes")
    for path in paths:
        try:
            problem = trouble(path, login.owners)
        except OSError as error:
            yield Finding("unseen", "key-file", f"{path}: {error.strerror}", (), "ask again as root")
            continue
        if problem:
            text = f"another user can add a key: {problem}"
            why = (settings.describe("strictmodes"),)
            if strict:
                text = f"sshd refuses the file, or does not check so far up: {problem}"
            yield Finding("error" if strict else "open", "key-file", text, why, "chown and chmod go-w")
    if settings.value("authorizedkeyscommand") != "none":
        text = "a program may give keys before sshd reads any file: doctor did not start it"
        yield Finding("unseen", "key-file", text, (settings.describe("authorizedkeyscommand"),))


def _other_ways(settings: Settings, lines: list[KeyLine]) -> Iterator[Finding]:
    """Check certificates, which need no key line of their own."""
    authorities = [line for line in lines if line.options and line.options.cert_authority]
    trusted = settings.value("trustedusercakeys")
    if trusted != "none":
        text = "holders of certificates from these authorities get in, with the options that the certificates have"
        yield Finding(
            "warn", "certificates", text, (settings.describe("trustedusercakeys"),), "trust none for this login"
        )
    for line in authorities:
        options = line.options
        assert options is not None
        if options.command is None:
            text = "holders of certificates from this authority can run what the certificates allow"
            change = "give the line 'restrict' and a command, or remove it"
            yield Finding("warn", "certificates", text, (f"cert-authority ({line.place})",), change)
    if trusted == "none" and not authorities:
        yield Finding("ok", "certificates", "closed: no authority is trusted")


def authority_place(settings: Settings, blob: str) -> str | None:
    """Return where this key itself is trusted as an authority: its holder can then make certificates of any kind."""
    path = settings.value("trustedusercakeys")
    if path == "none":
        return None
    try:
        lines = [line for line in keyfiles.read(path) if line.blob == blob]
    except Unseen:
        return None
    return lines[0].place if lines else None
