"""Decide what a parsed request is granted. The default is no.

`judge(policy, request, facts)` is pure: host name and time come in as facts, so that `explain` and the gate agree. It
returns a BorgCommand, a HelloReply or a WindowGrant, or raises BorgctlError, mostly with a reason of status 77.

    judge(policy, Request(Run(JobName("default"))), facts).command == "create"
"""

from typing import assert_never

from borgctl import __version__
from borgctl.borg.command import BorgCommand, HelloReply, WindowGrant
from borgctl.borg.subcommands import COMMANDS
from borgctl.data_class import dataclass
from borgctl.errors import BadValue, BorgctlError
from borgctl.policy.model import Job, Policy, Repository
from borgctl.policy.placeholders import Names, Template
from borgctl.values import ArchiveName, RepositoryPath
from borgctl.wire import frames
from borgctl.wire.request import Borg, Hello, Request, Run, Window


@dataclass(frozen=True, slots=True)
class Facts:
    """The surroundings: names for templates (`judge` fills in `job`), and whether the peer is on this host."""

    names: Names
    local: bool = False


def judge(policy: Policy, request: Request, facts: Facts) -> BorgCommand | HelloReply | WindowGrant:
    """Return what the gate runs or answers, or raise BorgctlError."""
    match request.order:
        case Hello():
            return HelloReply(_offers(policy, facts))
        case Run(name):
            job = policy.jobs.get(str(name))
            if job is None:
                raise BorgctlError("unknown-job", f"no job {str(name)!r} in {policy.file}")
            transport = _transport(policy, request, facts)
            repository, path = _repository(policy, request, facts)
            return _run(policy, job, repository, path, transport, request, facts)
        case Borg() as order:
            transport = _transport(policy, request, facts)
            repository, path = _repository(policy, request, facts)
            return _spelled_out(policy, order, repository, path, transport, request)
        case Window(seconds):
            return _window(policy, seconds, request, facts)
        case _:
            assert_never(request.order)


def _window(policy: Policy, seconds: int | None, request: Request, facts: Facts) -> WindowGrant:
    if not policy.window:
        raise BorgctlError("window-closed", f"{policy.file} says 'window: no'")
    if seconds is not None and seconds > policy.window:
        raise BorgctlError("window-too-long", f"{seconds} s requested; {policy.file} allows {policy.window} s")
    transport = _transport(policy, request, facts)
    _, path = _repository(policy, request, facts)
    return WindowGrant(policy.file, path, transport, seconds or policy.window)


def _transport(policy: Policy, request: Request, facts: Facts) -> str:
    """Return 'socket' if the request names one; else 'local' for a peer on this host, 'stdio' for all others."""
    transport = "socket" if request.options.socket else "local" if facts.local else "stdio"
    if transport not in policy.transports:
        raise BorgctlError("transport-not-offered", f"transport {transport!r} is not in 'transports' of {policy.file}")
    return transport


def _offers(policy: Policy, facts: Facts) -> dict[str, object]:
    return {
        "protocol": frames.PROTOCOL,
        "version": __version__,
        "policy": f"sha256:{policy.digest}",
        "jobs": [{"name": str(job.name), "command": job.command} for job in policy.jobs.values()],
        "commands": {name: {"options": sorted(offer.options)} for name, offer in sorted(policy.commands.items())},
        "transports": sorted(policy.transports),
        "repositories": [repository.path.expand(facts.names) for repository in policy.repositories],
    }


def _repository(policy: Policy, request: Request, facts: Facts) -> tuple[Repository, RepositoryPath]:
    offered = {_path(repository, facts.names): repository for repository in policy.repositories}
    if len(offered) < len(policy.repositories):
        raise BorgctlError("policy-invalid", f"{policy.file}: two entries of 'repositories' are the same path")
    named = request.options.repository
    if named is None and len(offered) > 1:
        raise BorgctlError(
            "repository-needed", f"{policy.file} has {len(offered)} repositories, the request names none"
        )
    path = named or next(iter(offered))
    if path not in offered:
        raise BorgctlError("unknown-repository", f"repository {str(path)!r} is not in {policy.file}")
    return offered[path], path


def _path(repository: Repository, names: Names) -> RepositoryPath:
    try:
        return RepositoryPath(repository.path.expand(names))
    except BadValue as error:  # a host name with strange characters
        raise BorgctlError("policy-invalid", str(error)) from None


def _run(
    policy: Policy,
    job: Job,
    repository: Repository,
    path: RepositoryPath,
    transport: str,
    request: Request,
    facts: Facts,
) -> BorgCommand:
    names = Names(facts.names.hostname, str(job.name), facts.names.now)
    try:
        archive = ArchiveName(job.archive.expand(names)) if job.archive else None
        options = tuple((name, _expanded(job, name, value, names)) for name, value in job.options)
    except BadValue as error:
        raise BorgctlError("policy-invalid", f"{policy.file}:{job.line}: {error}") from None
    _check_encryption(repository, job.command, options)
    return BorgCommand(
        rule=f"{policy.file}:{job.line}",
        command=job.command,
        options=options,
        repository=path,
        transport=transport,
        log=request.options.log,
        disclosed=policy.names_disclosed,
        archive=archive,
        paths=job.paths,
        job=str(job.name),
        before=job.before,
        after=job.after,
    )


def _expanded(job: Job, name: str, value: str | None, names: Names) -> str | None:
    return None if value is None else COMMANDS[job.command].options[name].job.check(Template(value).expand(names))


def _spelled_out(
    policy: Policy, order: Borg, repository: Repository, path: RepositoryPath, transport: str, request: Request
) -> BorgCommand:
    offer = policy.commands.get(order.command)
    if offer is None:
        raise BorgctlError("command-not-offered", f"{order.command!r} is not in 'commands' of {policy.file}")
    for name, _ in order.options:
        if name not in offer.options:
            raise BorgctlError("option-not-offered", f"--{name} is not offered at {policy.file}:{offer.line}")
    for source in order.paths:
        if not any(allowed.contains(source) for allowed in offer.paths):
            raise BorgctlError(
                "path-not-offered", f"{str(source)!r} is outside the paths offered at {policy.file}:{offer.line}"
            )
    if order.command == "list" and order.archive and not policy.names_disclosed:
        raise BorgctlError("names-not-disclosed", "a listing of an archive discloses names of files")
    _check_encryption(repository, order.command, order.options)
    return BorgCommand(
        rule=f"{policy.file}:{offer.line}",
        command=order.command,
        options=order.options,
        repository=path,
        transport=transport,
        log=request.options.log,
        disclosed=policy.names_disclosed,
        archive=order.archive,
        paths=order.paths,
        requested=True,
    )


def _check_encryption(repository: Repository, command: str, options: tuple[tuple[str, str | None], ...]) -> None:
    """Raise BorgctlError unless the mode is repokey or keyfile where the policy says `encryption: required`."""
    if command != "init":
        return
    mode = dict(options).get("encryption")
    if mode is None:
        raise BorgctlError("encryption-required", "'init' needs --encryption=")
    if repository.encrypted and not mode.startswith(("repokey", "keyfile")):
        raise BorgctlError("encryption-required", f"--encryption={mode} lets the server read the data")
