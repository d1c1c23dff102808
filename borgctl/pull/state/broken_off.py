"""Broken off: a run that began and never ended is a failed one, whoever asks first: `status`, or the next run.

interrupted(state, seen)                 judge it so, in a state that may be saved or not
for line in recalled(folders, name): …   the next run: remember it, and say so; under the target's lock
"""

from borgctl.pull.state import running
from borgctl.pull.state import state as states
from borgctl.pull.state.running import Begun, Seen
from borgctl.pull.state.state import Past, State
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.text import iso

BROKEN_OFF = "broken-off"


def interrupted(state: State, seen: Seen | None) -> Begun | None:
    """Take a run that broke off for the last one of its job, and a failed one; return it, None where there is none."""
    if seen is None or seen.alive or seen.begun.kind in ("window", "borg") or _ended(state, seen.begun):
        return None
    begun = seen.begun
    past = Past(begun.time, "failed", BROKEN_OFF)
    job = state.jobs.get(begun.job or "")
    state.last = past.after(state.last)
    if job is not None:  # else it may be a word that no client knows
        state.last = job.last = past.after(job.last)
    return begun


def recalled(folders: Folders, name: TargetName) -> str | None:
    """Remember what an earlier launcher did not end, and return what is to be said of it; raise OSError."""
    seen = running.seen(folders, name)
    state = states.load(folders, name)
    begun = interrupted(state, seen)
    if begun is not None and not state.lost:  # one that is lost is told of, and put aside, with the run's end
        states.save(folders, name, state)
    running.clear(folders, name)
    if begun is None:
        return None
    what = f"the run of job {begun.job}" if begun.job else "the run"
    return f"{what} that began {iso(begun.time)} broke off: borgpull was killed or failed, or this machine went down"


def _ended(state: State, begun: Begun) -> bool:
    """Tell whether its end was remembered, and the launcher died after that."""
    job = state.jobs.get(begun.job or "")
    return job is not None and job.last.time >= begun.time
