"""Does sshd let this login in by key, and who else could: what is not about one key line."""

import os
from collections.abc import Iterator

from borgctl.cli.doctor.findings import Finding
from borgctl.cli.openssh import keyfiles
from borgctl.cli.openssh.keyline import KeyLine
from borgctl.cli.openssh.login import Login, trouble
from borgctl.cli.openssh.sshd import Settings, Unseen

_NO_SHELLS = ("nologin", "false")


def findings(login: Login, settings: Settings, lines: list[KeyLine], paths: list[str]) -> Iterator[Finding]:
    """Yield what holds for every key of this login."""
    yield from _lets_in(login, settings)
    yield from _key_files(login, settings, paths)
    yield from _other_ways(settings, lines)


def _lets_in(login: Login, settings: Settings) -> Iterator[Finding]:
    said = settings.said
    problems = []
    if not settings.yes("pubkeyauthentication"):
        problems.append((said("pubkeyauthentication"), "PubkeyAuthentication yes"))
    if login.uid == 0 and settings.one("permitrootlogin") == "no":
        problems.append((said("permitrootlogin"), "PermitRootLogin forced-commands-only, or --login sudo"))
    methods = settings.words("authenticationmethods")
    if methods and not {"any", "publickey"} & set(methods):
        problems.append((said("authenticationmethods"), f"AuthenticationMethods publickey for {login.name}"))
    if os.path.basename(login.shell) in _NO_SHELLS:
        problems.append((f"the login shell of {login.name} is {login.shell}", f"usermod --shell /bin/sh {login.name}"))
    if settings.one("chrootdirectory") != "none":
        problems.append((said("chrootdirectory"), f"ChrootDirectory none for {login.name}"))
    for reason, change in problems:
        yield Finding("error", "login", f"no pull can work as {login.name}", (reason,), change)
    limits = [said(key) for key in ("allowusers", "denyusers", "allowgroups", "denygroups") if settings.words(key)]
    if limits:
        yield Finding("warn", "login", f"see that these let {login.name} in", tuple(limits))
    if not problems and not limits:
        yield Finding("ok", "login", f"sshd lets {login.name} in by key")
    if login.uid == 0 and settings.one("permitrootlogin") == "yes" and settings.yes("passwordauthentication"):
        change = "PermitRootLogin forced-commands-only, or prohibit-password"
        yield Finding("warn", "login", "root may log in by password, too", (said("permitrootlogin"),), change)


def _key_files(login: Login, settings: Settings, paths: list[str]) -> Iterator[Finding]:
    """Look at whose hands the files of authorized keys are in."""
    strict = settings.yes("strictmodes")
    for path in paths:
        try:
            problem = trouble(path, login.owners)
        except OSError as error:
            yield Finding("unseen", "key-file", f"{path}: {error.strerror}", (), "ask again as root")
            continue
        if problem:
            text = f"another user can let himself in: {problem}"
            why = (settings.said("strictmodes"),)
            if strict:
                text = f"sshd refuses the file, or doesn't look so far up: {problem}"
            yield Finding("error" if strict else "open", "key-file", text, why, "chown and chmod go-w")
    if settings.one("authorizedkeyscommand") != "none":
        text = "a program may answer with keys before any file is read: it was not asked"
        yield Finding("unseen", "key-file", text, (settings.said("authorizedkeyscommand"),))


def _other_ways(settings: Settings, lines: list[KeyLine]) -> Iterator[Finding]:
    """Look at certificates, which let in without a line of their own."""
    authorities = [line for line in lines if line.options and line.options.cert_authority]
    trusted = settings.one("trustedusercakeys")
    if trusted != "none":
        text = "whoever has a certificate of these authorities gets in, with the options that it says"
        yield Finding("warn", "certificates", text, (settings.said("trustedusercakeys"),), "trust none for this login")
    for line in authorities:
        options = line.options
        assert options is not None
        if options.command is None:
            text = "whoever has a certificate of this authority may run what it allows"
            change = "give the line 'restrict' and a command, or take it away"
            yield Finding("warn", "certificates", text, (f"cert-authority ({line.place})",), change)
    if trusted == "none" and not authorities:
        yield Finding("ok", "certificates", "closed: no authority is trusted")


def signs_for_itself(settings: Settings, blob: str) -> str | None:
    """Return where this very key is trusted as an authority, so that its holder can make certificates of any kind."""
    path = settings.one("trustedusercakeys")
    if path == "none":
        return None
    try:
        found = [line for line in keyfiles.read(path) if line.blob == blob]
    except Unseen:
        return None
    return found[0].place if found else None
