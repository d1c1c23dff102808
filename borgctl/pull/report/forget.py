"""forget: a person has the launcher forget jobs, or which repository a target has. Who did it stays in the state.

for line in forgotten(folders, target, (JobName("weekly"),), repository=False, now=now): print(line)
"""

from borgctl.pull.report.record_run import person
from borgctl.pull.state import state_file
from borgctl.pull.state.state import State
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, lock
from borgctl.pull.targets.targets import Target
from borgctl.values import JobName


def forgotten(folders: Folders, target: Target, jobs: tuple[JobName, ...], repository: bool, now: float) -> list[str]:
    """Forget all of it, or nothing and raise PullError; return what was forgotten. May raise Busy."""
    if not jobs and not repository:
        raise PullError("nothing to forget is named", f"borgpull forget {target.name} --job JOB, or --repository")
    with lock(folders, target.name):
        state = state_file.load(folders, target.name)
        told = [_job(state, target, str(job)) for job in dict.fromkeys(jobs)]
        if repository:
            told.append(_repository(state, target))
        state.note(person(), "borgpull forget", now, tuple(told))
        state_file.save(folders, target.name, state)
    return told


def _job(state: State, target: Target, job: str) -> str:
    if job not in state.jobs:
        raise PullError(f"target {str(target.name)!r} knows no job {job!r}", f"see: borgpull status {target.name}")
    del state.jobs[job]
    return f"forgot job {job!r}"


def _repository(state: State, target: Target) -> str:
    """Take all away that makes a repository known: its id, the hash of its config, and what it held."""
    if not state.knows_repository:
        raise PullError(f"target {str(target.name)!r} knows no repository")
    known = state.repository or "an unknown id"
    state.repository = state.config = state.contents = None
    state.untried_key = False
    return f"forgot repository {known}; what is at {target.repository} at the next run is taken for it"
