"""Call session: what the client may say to the repository in one call, and the programs that serve it.

programs = starts(launcher, target, session_of(target, job, state), path)
facts = await Session(call, programs, launcher=launcher, transcript=transcript, seconds=seconds).run()
"""

from functools import partial

from borgctl.pull.process.children import ChildProcess
from borgctl.pull.process.pipes import Starts
from borgctl.pull.repository import guard_process, serve, transactions
from borgctl.pull.repository.sessions import GuardSession, session_for
from borgctl.pull.run.launcher import Launcher
from borgctl.pull.state.state import State
from borgctl.pull.targets.targets import Target
from borgctl.values import JobName


def session_of(target: Target, job: JobName, state: State) -> GuardSession:
    """Return what the client may say in a run of this job, by what is there and what is remembered."""
    return session_for(target, job, is_known(target, state))


def is_known(target: Target, state: State) -> bool:
    """Tell whether there is a repository, or there once was one."""
    return transactions.is_there(str(target.repository)) or state.knows_repository


def starts(launcher: Launcher, target: Target, session: GuardSession, path: str) -> Starts:
    """Return what starts the guard of this session, and serve."""
    guarded = guard_process.argv(target, session, transactions.used(str(target.repository)))
    return Starts(
        guard=partial(ChildProcess, guarded, guard_process.environment(path)),
        serve=partial(ChildProcess, serve.argv(target), serve.environment(launcher.folders, target, path)),
    )
