"""Broken off: a run that began and never ended has failed. `status` says so, and the next run remembers it.

mark_failed(state, seen)          for `status`: change a state that is not saved
record_broken_off(folders, name)           for the next run, under the target's lock: save it, and return it or None
sentence(begun)                            the line to show
"""

from borgctl.pull.state import running, state_file
from borgctl.pull.state.running import Begun, Seen
from borgctl.pull.state.state import Past, State
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.text import iso

BROKEN_OFF = "broken-off"


def mark_failed(state: State, seen: Seen | None) -> Begun | None:
    """Record a run that broke off as the last one of its job, and as failed; return it, None where there is none."""
    if seen is None or seen.alive or seen.begun.kind in ("window", "borg") or _ended(state, seen.begun):
        return None
    begun = seen.begun
    past = Past(begun.time, "failed", BROKEN_OFF)
    job = state.jobs.get(begun.job or "")
    state.last = past.after(state.last)
    if job is not None:  # else it may be no job of any client
        state.last = job.last = past.after(job.last)
    return begun


def record_broken_off(folders: Folders, name: TargetName) -> Begun | None:
    """Remember the run that an earlier launcher did not end, and return it; None where there is none. Raise OSError."""
    seen = running.seen(folders, name)
    state = state_file.load(folders, name)
    begun = mark_failed(state, seen)
    if begun is not None and not state.lost:  # a lost state is reported, and put aside, when the run ends
        state_file.save(folders, name, state)
    running.clear(folders, name)
    return begun


def sentence(begun: Begun) -> str:
    """Write a line about a run that broke off."""
    what = f"the run of job {begun.job}" if begun.job else "the run"
    return f"{what} that began {iso(begun.time)} broke off: borgpull was killed or failed, or this machine went down"


def _ended(state: State, begun: Begun) -> bool:
    """Tell whether its end was saved, and the launcher died after that."""
    job = state.jobs.get(begun.job or "")
    return job is not None and job.last.time >= begun.time
