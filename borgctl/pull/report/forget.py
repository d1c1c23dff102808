"""forget: forget jobs, or which repository a target has, at a person's command. The state keeps who did it.

for line in forget(folders, target, (JobName("weekly"),), repository=False, now=now): print(line)
"""

from borgctl.pull.report.record_run import person
from borgctl.pull.state import state_file
from borgctl.pull.state.state import State
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, lock
from borgctl.pull.targets.targets import Target
from borgctl.values import JobName


def forget(folders: Folders, target: Target, jobs: tuple[JobName, ...], repository: bool, now: float) -> list[str]:
    """Forget all of it, or nothing and raise PullError; return a line for each thing. May raise Busy."""
    if not jobs and not repository:
        raise PullError("nothing to forget is named", f"borgpull forget {target.name} --job JOB, or --repository")
    with lock(folders, target.name):
        state = state_file.load(folders, target.name)
        lines = [_job(state, target, str(job)) for job in dict.fromkeys(jobs)]
        if repository:
            lines.append(_repository(state, target))
        state.note(person(), "borgpull forget", now, tuple(lines))
        state_file.save(folders, target.name, state)
    return lines


def _job(state: State, target: Target, job: str) -> str:
    if job not in state.jobs:
        raise PullError(f"target {str(target.name)!r} has no job {job!r}", f"see: borgpull status {target.name}")
    del state.jobs[job]
    return f"forgot job {job!r}"


def _repository(state: State, target: Target) -> str:
    """Delete all by which a repository is former: its id, the hash of its config, and what it held."""
    if not state.knows_repository:
        raise PullError(f"target {str(target.name)!r} has no known repository")
    former = state.repository or "an unknown id"
    state.repository = state.config = state.contents = None
    state.untried_key = False
    return f"forgot repository {former}; the next run takes what is at {target.repository} for it"
