"""Check whether a pull of this target would work: look at our own side, then ask the client `hello`. `borgpull test`.

A check is a name, a level (ok, warn, error), a sentence, and what to do. The client's words are escaped where they are
shown. What is looked at is in `check_server` and `check_client`.

    for check in probe(launcher, target): …
"""

from collections.abc import Iterator

from borgctl.pull.client import client_command
from borgctl.pull.client.transcript import Transcript
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.process.workdirs import workdir
from borgctl.pull.report.hints import advice_for, advice_on_reason, ssh_failure
from borgctl.pull.run.check_client import client_checks
from borgctl.pull.run.check_result import Check
from borgctl.pull.run.check_server import server_checks
from borgctl.pull.run.launcher import Launcher
from borgctl.pull.run.run import unanswered
from borgctl.pull.run.scheduler import result
from borgctl.pull.run.session import Session
from borgctl.pull.state.state_file import load as load_state
from borgctl.pull.targets.obstacle import obstacle
from borgctl.pull.targets.targets import Target

_SECONDS = 60.0


def probe(launcher: Launcher, target: Target) -> Iterator[Check]:
    """Yield the checks, our own side's first; a client that doesn't answer has no others."""
    yield from server_checks(launcher.folders, target, load_state(launcher.folders, target.name))
    if obstacle(target) == "host-key-missing":
        yield Check("host-key", "error", "the target file has none", advice_for("host-key-missing", str(target.name)))
        return
    with workdir(launcher.folders) as path:
        client_command.prepare(target, path)
        transcript = Transcript()
        call = client_command.hello(target, path, forwarded=True)
        seconds = min(_SECONDS, target.timeout)
        session = Session(call, None, launcher=launcher, transcript=transcript, seconds=seconds)
        verdict = unanswered(target, result(launcher, session.run()), transcript, launcher.screen)
    hello = transcript.hello
    if verdict is not None or hello is None:
        yield _silent(target, verdict or Verdict("failed", "launcher", None, "no-hello"), transcript)
        return
    if target.transport != "local":
        yield Check("ssh", "ok", f"{target.host} answers, with the host key and the key of this target")
    yield from client_checks(target, hello, transcript.hello_time)


def _silent(target: Target, verdict: Verdict, transcript: Transcript) -> Check:
    """Return why the client doesn't answer, in ssh's own words where there are some."""
    words = [message.text for message in transcript.messages if message.source in ("unframed", "gate", "borgpull")]
    if verdict.reason == "ssh-failed":
        name, said = ssh_failure(words), words[-1].strip() if words else "ssh failed and said nothing"
        return Check(name, "error", said, advice_for(name, str(target.name)))
    text = f"{verdict.origin} says {verdict.reason or verdict.outcome}"
    return Check("hello", "error", " / ".join([text, *words[-2:]]), advice_on_reason(verdict))
