"""doctor's findings about variables that sshd takes from outside, and files that the login shell runs first.

Both act before the gate can drop them. It checks the owners of files, and reads none of them.

    list(variables(settings))
"""

import fnmatch
import os
from collections.abc import Iterator

from borgctl.cli.doctor.findings import Finding
from borgctl.cli.openssh.key_options import KeyOptions
from borgctl.cli.openssh.login import Login, trouble
from borgctl.cli.openssh.sshd import Settings

# Read by the loader, the C library, shells and interpreters when they start
_ACTING = (
    *("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "GLIBC_TUNABLES", "GCONV_PATH", "LOCPATH", "NLSPATH", "TZDIR"),
    *("BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS", "PS4", "IFS", "CDPATH", "BASH_FUNC_exec%%", "ZDOTDIR", "FPATH"),
    *("XDG_CONFIG_HOME", "XDG_DATA_DIRS", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PERL5LIB", "PERL5OPT"),
    *("RUBYOPT", "NODE_OPTIONS", "HOSTALIASES", "RES_OPTIONS", "TMPDIR"),
)


def variables(settings: Settings) -> Iterator[Finding]:
    """Check which variables the key's holder may send (AcceptEnv)."""
    dangerous = False
    for pattern in settings.words("acceptenv"):
        names = [name for name in _ACTING if _matches(name, pattern)]
        if names:
            dangerous = True
            text = f"sshd takes variables that act before the gate starts: {', '.join(names[:4])}"
            text += f" and {len(names) - 4} more" if len(names) > 4 else ""
            change = "take no more than AcceptEnv LANG LC_*; the gate needs none"
            yield Finding("open", "environment", text, (settings.describe("acceptenv", pattern),), change)
    if not dangerous:
        patterns = " ".join(settings.words("acceptenv")) or "nothing"
        yield Finding("ok", "environment", f"closed: AcceptEnv takes {patterns}, which the gate drops")


def _matches(text: str, pattern: str) -> bool:
    """Match as sshd does: '*' and '?' alone are special."""
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))


def files_of_variables(login: Login, settings: Settings, options: KeyOptions) -> Iterator[Finding]:
    """Check variables that files set: ~/.ssh/environment and `environment=`, where sshd reads them."""
    value = settings.value("permituserenvironment", "no")
    if value == "no":
        yield Finding("ok", "user-env", f"closed: {settings.describe('permituserenvironment')}")
        return
    names = [entry.partition("=")[0] for entry in options.environment]
    why = (settings.describe("permituserenvironment"), *([f"environment= sets {', '.join(names)}"] if names else []))
    path = f"{login.home}/.ssh/environment"
    try:
        problem = trouble(path, login.owners)
    except OSError as error:
        yield Finding("unseen", "user-env", f"{path}: {error.strerror}", why, "ask again as root")
        return
    if problem:
        text = f"another user can set variables for this login: {problem}"
        yield Finding("open", "user-env", text, why, "PermitUserEnvironment no")
    else:
        text = f"OPEN to {login.name}: ~/.ssh/environment and environment= act before the gate starts"
        yield Finding("warn", "user-env", text, why, "PermitUserEnvironment no")


def start_up(login: Login, *, user_rc: bool) -> Iterator[Finding]:
    """Check who owns the files that run before the forced command."""
    paths = start_up_files(login.shell, login.home) + ((f"{login.home}/.ssh/rc",) if user_rc else ())
    problems, unseen = [], []
    for path in (login.shell, *paths):
        try:
            problem = trouble(path, login.owners)
        except OSError as error:
            unseen.append(f"{path}: {error.strerror}")
            continue
        if problem:
            problems.append(f"{path}: {problem}")
    if problems:
        text = f"another user can run code as {login.name} at each connection"
        change = f"chown them to root or {login.name}, chmod go-w"
        yield Finding("open", "start-up", text, tuple(problems), change)
    elif unseen:
        yield Finding("unseen", "start-up", "start-up files cannot be checked", tuple(unseen), "ask again as root")
    else:
        there = [path for path in paths if os.path.exists(path)]
        text = (
            f"nobody else can change what runs before the gate: {', '.join(there)}"
            if there
            else "nothing runs before the gate"
        )
        yield Finding("ok", "start-up", text)
    if os.path.exists("/etc/ssh/sshrc"):
        text = "/etc/ssh/sshrc runs at each connection; its output would mix with borg's protocol"
        yield Finding("warn", "start-up", text, (), "check that it prints nothing")


def start_up_files(shell: str, home: str) -> tuple[str, ...]:
    """Return what a login shell may run before `-c COMMAND` (bash as Debian builds it, zsh, csh, fish)."""
    match os.path.basename(shell):
        case "bash":
            return (f"{home}/.bashrc", "/etc/bash.bashrc")
        case "zsh":
            return (f"{home}/.zshenv", "/etc/zsh/zshenv", "/etc/zshenv")
        case "csh" | "tcsh":
            return (f"{home}/.tcshrc", f"{home}/.cshrc", "/etc/csh.cshrc")
        case "fish":
            return (f"{home}/.config/fish/config.fish", "/etc/fish/config.fish")
        case _:
            return ()
