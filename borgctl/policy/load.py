"""Open a policy's file, read it strictly and check it whole.

`secure_path` opens the file and checks its descriptor, so that only root or the gate's user can have written it. One
error reports every mistake, as `file:line:column: text`. What each key takes is in `keys` and `jobs`.

    policy = read("/etc/borgctl/web1.yaml")
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Sequence

from borgctl.errors import BorgctlError
from borgctl.fs.secure_path import InsecurePath, SecurePath
from borgctl.node_reader import NodeReader
from borgctl.policy import jobs as policy_jobs
from borgctl.policy import keys, locations
from borgctl.policy.model import Environment, Limits, Passphrase, Policy
from borgctl.reasons import Code
from borgctl.strict_yaml import LARGEST, Node, Problem, Problems, parse
from borgctl.values import boolean, choice


class InvalidPolicy(BorgctlError):  # noqa: N818 - named for what it is
    """The policy cannot be used; `log` is the audit log that it names, if that much could be read."""

    def __init__(self, code: Code, detail: str, problems: Iterable[Problem] = (), log: str | None = None) -> None:
        super().__init__(code, detail)
        self.problems = tuple(problems)
        self.log = log


def read(path: str) -> Policy:
    """Read, check and return the policy at this absolute path."""
    return from_bytes(_content(path), path)


def _content(path: str) -> bytes:
    try:
        with SecurePath.at(path) as pinned:
            return pinned.require(stat.S_IFREG).read(LARGEST)
    except InsecurePath as error:
        raise InvalidPolicy("policy-unsafe", str(error)) from None
    except OSError as error:
        raise InvalidPolicy("policy-unreadable", f"{path!r}: {error.strerror}") from None


def from_bytes(content: bytes, path: str) -> Policy:
    """Check and return the policy that these bytes are at this absolute path."""
    try:
        root = parse(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise _invalid(path, [Problem(1, 1, "not UTF-8")]) from None
    except Problems as problems:
        raise _invalid(path, problems.all) from None
    reader = NodeReader()
    policy = _policy(reader, root, path, hashlib.sha256(content).hexdigest())
    try:
        reader.finish()
    except Problems as problems:
        raise _invalid(path, problems.all, policy.audit.file) from None
    return policy


def _invalid(path: str, problems: Sequence[Problem], log: str | None = None) -> InvalidPolicy:
    """Return (to be raised) an error that reports all the problems as `file:line:column: text`."""
    return InvalidPolicy("policy-invalid", "; ".join(f"{path}:{problem}" for problem in problems), problems, log)


def _policy(reader: NodeReader, root: Node, path: str, digest: str) -> Policy:
    fields = reader.fields(root, keys.KEYS, keys.REQUIRED)
    if "version" in fields:
        reader.scalar(fields["version"], lambda text: choice(text, ("1",)), "1")
    repositories = keys.repositories(reader, fields["repositories"]) if "repositories" in fields else ()
    if "passphrase" not in fields and any(repository.encrypted for repository in repositories):
        reader.add(root, "missing key 'passphrase'")
    jobs = policy_jobs.jobs(reader, fields["jobs"]) if "jobs" in fields else {}
    policy_jobs.check_encryption(reader, jobs, repositories)
    name = os.path.basename(path).removesuffix(".yaml").removesuffix(".yml")
    socket = reader.fields(fields["socket"], ("directory",)) if "socket" in fields else {}
    runtime = "/run/borgctl" if os.geteuid() == 0 else f"/run/user/{os.geteuid()}/borgctl"
    return Policy(
        file=path,
        digest=digest,
        repositories=repositories,
        passphrase=keys.passphrase(reader, fields["passphrase"]) if "passphrase" in fields else Passphrase(),
        jobs=jobs,
        base=keys.path_of(reader, fields, "base", f"{locations.state_directory()}/{name}"),
        audit=keys.audit(reader, fields.get("audit")),
        socket_directory=keys.path_of(reader, socket, "directory", runtime),
        borg=keys.path_of(reader, fields, "borg", "/usr/bin/borg"),
        user=reader.scalar(fields["user"], keys.user, "") if "user" in fields else "_borgctl",
        commands=policy_jobs.commands(reader, fields["commands"]) if "commands" in fields else {},
        environment=keys.environment(reader, fields["environment"]) if "environment" in fields else Environment(),
        transports=keys.transports(reader, fields.get("transports")),
        published=reader.scalar(fields.get("published", Node(1, 1, "no")), boolean, False),
        names_disclosed=keys.one_of(reader, fields, "disclose", ("counts", "names")) == "names",
        limits=keys.limits(reader, fields["limits"]) if "limits" in fields else Limits(),
        sandbox=keys.one_of(reader, fields, "sandbox", ("require", "prefer", "off")),
        window=reader.scalar(fields["window"], keys.longest_window, 0) if "window" in fields else 0,
    )
