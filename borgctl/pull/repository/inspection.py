"""Inspect a repository before and after each use: is it there, and is it the one that the target's state knows?

A missing repository is most often a disk that is not mounted, and one with another id is not the one that holds the
backups. Neither is taken for a new one: that takes a person's `borgpull forget TARGET --repository`. It is an alert
where somebody else wrote to it since our last session. Backups go on then, but nothing is compacted.

    inspection = inspect(folders, target, now)   inspection.verdict is None, or why nothing may be started
    begin(folders, target.name)                  from here until the next inspection it is we who write
"""

import shlex
from contextlib import suppress

from borgctl.data_class import dataclass, field
from borgctl.errors import BadValue
from borgctl.pull.client.transcript import Message
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.repository import copies, repo_config, transactions
from borgctl.pull.repository.contents import contents
from borgctl.pull.state import state_file
from borgctl.pull.state.state import Alert, Past, State
from borgctl.pull.targets.paths import Busy, Folders, TargetName, lock
from borgctl.pull.targets.targets import Target, names


@dataclass(frozen=True, slots=True)
class RepositoryProblem:
    """What is wrong with a repository: `reason` is repository-gone, repository-replaced or repository-unfinished.

    `hidden`: this user may not read it, which matters only where this user serves it. `alarming`: a person has to look
    into it; else the next run goes well once the leftovers are removed.
    """

    reason: str
    text: str
    hidden: bool = False
    alarming: bool = True

    @property
    def verdict(self) -> Verdict:
        """Return it as the verdict of a run."""
        return Verdict("failed", "launcher", None, self.reason)


@dataclass(slots=True)
class Inspection:
    """The result: a problem or none, what to report, and the hash of the config."""

    problem: RepositoryProblem | None = None
    digest: str | None = None
    alerts: list[Alert] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict | None:
        """Return why nothing may be started; None where all is well."""
        return None if self.problem is None else self.problem.verdict


def problem(target: Target, state: State) -> RepositoryProblem | None:
    """Compare the repository with what the state knows of it; None where that is nothing, or this very repository."""
    return _compare(target, state, _read(target))


def inspect(folders: Folders, target: Target, now: float, *, ours: bool = False) -> Inspection:
    """Inspect the repository, remember its contents, and copy its small files; the caller holds the target's lock.

    `ours`: a session of ours wrote whatever was written since the last inspection.

    A state that cannot be written is an alert, and does not stop the backup.
    """
    config, inspection = _read(target), Inspection()
    state = state_file.load(folders, target.name)
    inspection.problem = _compare(target, state, config)
    try:
        if inspection.problem is not None:
            _alarm(folders, target, state, inspection, now)
        elif isinstance(config, repo_config.File):
            inspection.digest = config.lasting
            if state.repository is None and config.id is not None:
                _pin(state, target, inspection, config.id)
            _keep(folders, target, state, inspection, None if ours else now)
            for text in copies.keep(folders, target.name, str(target.repository), now):
                inspection.messages.append(Message("borgpull", "WARNING", text))
    except OSError as error:
        text = f"{error.filename or folders.memory(target.name)}: {error.strerror}"
        inspection.messages.append(Message("borgpull", "ERROR", text))
        inspection.alerts.append(Alert("state-unwritable", text, now))
    return inspection


def makes_one(state: State, job: str) -> bool:
    """Tell whether a job makes a repository: by the command that its client named before, else by its name."""
    past = state.jobs.get(job)
    return (past.command if past and past.command else job) == "init"


def _read(target: Target) -> repo_config.File | OSError:
    try:
        return repo_config.read(str(target.repository))
    except OSError as error:
        return error


def _compare(target: Target, state: State, config: repo_config.File | OSError) -> RepositoryProblem | None:
    path = f"{target.repository}/config"
    if not state.knows_repository:
        begun = not isinstance(config, OSError) and not transactions.committed(str(target.repository))
        return _unfinished(str(target.repository)) if begun else None
    if isinstance(config, OSError):
        text = f"{path}: {config.strerror}; the repository was there before"
        return RepositoryProblem("repository-gone", text, isinstance(config, PermissionError))
    if state.repository is None or config.id == state.repository:
        return None
    return RepositoryProblem(
        "repository-replaced", f"{path} has {config.id or 'no id'}, and the repository is {state.repository}"
    )


def _unfinished(repository: str) -> RepositoryProblem:
    """Describe what an `init` that broke off leaves: it is unusable, and no repository can be made there."""
    text = f"an init broke off at {repository}, before anything was saved; to remove what it left: rm -r "
    return RepositoryProblem("repository-unfinished", f"{text}{shlex.quote(repository)}/*", alarming=False)


def _alarm(folders: Folders, target: Target, state: State, inspection: Inspection, now: float) -> None:
    assert inspection.problem is not None
    if inspection.problem.alarming:
        inspection.alerts.append(state.alert(inspection.problem.reason, inspection.problem.text, now))
    else:
        inspection.messages.append(Message("borgpull", "ERROR", inspection.problem.text))
    state.last = Past(now, "failed", inspection.problem.reason)
    state_file.save(folders, target.name, state)


def _pin(state: State, target: Target, inspection: Inspection, repository: str) -> None:
    """Remember the id of the repository, seen for the first time; this puts a lost state aside."""
    inspection.alerts += state.alerts.values() if state.lost else ()
    state.repository = repository
    inspection.messages.append(
        Message("borgpull", "INFO", f"{target.repository} is repository {repository} from now on")
    )


def _keep(folders: Folders, target: Target, state: State, inspection: Inspection, judged: float | None) -> None:
    """Remember what the repository holds; with `judged`, a time, anything else than what we left is an alert."""
    before = state_file.load(folders, target.name)
    left, state.contents = state.contents, contents(str(target.repository))
    if judged is not None and left not in (None, state.contents) and not _by_another_target(folders, target, state):
        text = f"{target.repository} had {left} after the last session, and has {state.contents}: who wrote there?"
        inspection.alerts.append(state.alert("repository-changed", text, judged))
    if state != before:
        state_file.save(folders, target.name, state)


def _by_another_target(folders: Folders, target: Target, state: State) -> bool:
    """Tell whether another target with the same repository left it like this, or is at work on it."""
    others = []
    for text in names(folders):
        with suppress(BadValue):  # not a target's name
            others += [TargetName(text)] if text != str(target.name) else []
    states = [(name, state_file.load(folders, name)) for name in others]
    shared = [(name, other) for name, other in states if other.repository == state.repository is not None]
    return any(other.contents == state.contents or _at_work(folders, name) for name, other in shared)


def _at_work(folders: Folders, name: TargetName) -> bool:
    try:
        with lock(folders, name):
            return False
    except Busy:
        return True


def begin(folders: Folders, name: TargetName) -> None:
    """Note that a session of ours begins: the next inspection accepts what it leaves, even if we are killed."""
    state = state_file.load(folders, name)
    if state.contents is not None:
        state.contents = None
        with suppress(OSError):  # the next inspection reports that the state cannot be written
            state_file.save(folders, name, state)
