"""Ready: why a session with a repository is not started: the repository, its disk, or this job for it.

What keeps a target from running whatever is asked for is `targets/obstacle`.

unready(launcher, target, session, "default", inspection, transcript)     a Verdict, None where it may start
"""

from borgctl.pull.client.transcript import Message, Transcript
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.repository import serve
from borgctl.pull.repository.inspection import Inspection, makes_one
from borgctl.pull.repository.reserve import restore
from borgctl.pull.repository.sessions import GuardSession
from borgctl.pull.repository.space import clear, missing_space
from borgctl.pull.run.launcher import Launcher
from borgctl.pull.state.state_file import load as load_state
from borgctl.pull.targets.targets import Target


def unready(
    launcher: Launcher,
    target: Target,
    session: GuardSession,
    job: str | None,
    before: Inspection,
    transcript: Transcript,
) -> Verdict | None:
    """Return why the session must not start; None where it may."""
    if unfit := before.verdict or _made(launcher, target, job):
        return unfit
    release(launcher, target, transcript, "an earlier borg")
    return _full(launcher, target, session, transcript)


def release(launcher: Launcher, target: Target, transcript: Transcript, whose: str) -> None:
    """Remove the repository's lock of a serve that was killed, and say so."""
    if serve.release(launcher.folders, target):
        message = Message("borgpull", "WARNING", f"{whose} was killed; the lock that it left was removed")
        launcher.screen.show(transcript.keep(message))


def _made(launcher: Launcher, target: Target, job: str | None) -> Verdict | None:
    """Refuse a job that makes a repository where there is one already."""
    state = load_state(launcher.folders, target.name)
    if job is None or not state.knows_repository or not makes_one(state, job):
        return None
    return Verdict("refused", "launcher", None, "repository-known")


def _full(launcher: Launcher, target: Target, session: GuardSession, transcript: Transcript) -> Verdict | None:
    """Refuse a session for which the repository's disk has no space, even without what an earlier session left."""
    repository = str(target.repository)
    restore(repository)
    if missing_space(repository, session):
        clear(launcher.folders, repository)
    lack = missing_space(repository, session)
    if lack is None:
        return None
    launcher.screen.show(transcript.keep(Message("borgpull", "ERROR", lack)))
    return Verdict("failed", "launcher", None, "server-full")
