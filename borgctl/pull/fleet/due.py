"""due: which of a target's jobs have their turn, by when each last ran well, and its rhythm (`every`).

A job without `every` has its turn once a day. A rhythm may be up to a tenth short, and an hour at most. Else a job that
takes ten minutes, on an hourly timer, would begin an hour later each day.

    Judge(target, state, time.time()).is_due(JobName("default"))
"""

from borgctl.console.age import age
from borgctl.data_class import dataclass
from borgctl.pull.state.state import JobRecord, State
from borgctl.pull.targets.targets import Target
from borgctl.values import JobName

EVERY = 86400  # seconds, of a job without `every`
# Seconds from one judgement to the next in a call that lives on: as often as the printed timer, which starts no second
# call meanwhile. So what failed is tried as often as with it, and no client is called again and again.
AGAIN = 3600.0
_SHARE, _MOST = 10, 3600.0


@dataclass(frozen=True, slots=True)
class Judge:
    """A target, what is remembered of it, and the time now, in seconds since the epoch."""

    target: Target
    state: State
    now: float

    def is_due(self, job: JobName) -> bool:
        """Tell whether a job has its turn: it never ran well, or not for so long, or nobody knows for how long."""
        past = self.state.jobs.get(str(job))
        if past is None or past.good is None:
            return True
        every = self.target.job(job).every or EVERY
        return age(past.good.time, self.now).overdue(every - min(every / _SHARE, _MOST))

    def any(self, jobs: tuple[JobName, ...]) -> bool:
        """Tell whether any of `jobs` has its turn, else of the target's, else of those that made its archives.

        Those that failed before their command was known count, too. Where there is none the client has to be asked.
        """
        chosen = jobs or self.target.jobs
        if chosen is None:
            known = [JobName(name) for name, job in self.state.jobs.items() if _archives(job)]
            chosen = tuple(name for name in known if self.target.job(name).run)
            return not chosen or any(map(self.is_due, chosen))
        return any(map(self.is_due, chosen))


def _archives(job: JobRecord) -> bool:
    """Tell whether a job makes archives, by the client's word; one that failed before it had any may do so."""
    return job.command == "create" or (job.command is None and not job.by_hand)
