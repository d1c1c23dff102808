"""Check the client's answer to `hello` for `borgpull test`: what it offers, and what it says of itself.

The client's words are believed only where they say that something is wrong.

for check in client_checks(target, hello, received): …
"""

from collections.abc import Iterator

from borgctl.console.text import elapsed
from borgctl.pull.client.events import Offer
from borgctl.pull.report.hints import ADVICE
from borgctl.pull.run.check_result import Check
from borgctl.pull.targets.targets import Target
from borgctl.reasons import REASONS

_TOLERANCE = 30.0  # seconds between two clocks: the client's clock names archives and decides what is pruned


def client_checks(target: Target, hello: Offer, received: float) -> Iterator[Check]:
    """Yield the checks of an answer that came at `received`, in seconds since the epoch."""
    yield from _offers(target, hello)
    yield from _far_side(hello, received)


def _offers(target: Target, hello: Offer) -> Iterator[Check]:
    """Compare what the client offers with what the target file wants."""
    yield Check("hello", "ok", f"protocol {hello.protocol}, borgctl {hello.version or 'of an unknown version'}")
    yield Check("policy", "ok", hello.policy or "the client gives no digest")
    offered = {str(name): command for name, command in hello.jobs}
    wanted = [str(job) for job in target.jobs or ()]
    missing = [job for job in wanted if job not in offered]
    if missing:
        text = f"the client's policy has no {', '.join(missing)}; it has {', '.join(offered) or 'none'}"
        yield Check("jobs", "error", text, "correct 'jobs' here, or the policy there")
    elif not wanted and "create" not in offered.values():
        yield Check("jobs", "error", "the client's policy has no job with command create", ADVICE["no-jobs"])
    else:
        names = ", ".join(f"{name} ({command})" for name, command in offered.items())
        yield Check("jobs", "ok", f"on offer: {names}")
    yield from _left_out(hello, wanted or [name for name, command in offered.items() if command == "create"])
    if target.transport not in hello.transports:
        text = f"the client's policy has no {target.transport!r} in 'transports'"
        yield Check("transport", "error", text, REASONS["transport-not-offered"].advice)
    else:
        yield Check("transport", "ok", target.transport)
    if str(target.repository) not in hello.repositories:
        text = f"the client's policy names {', '.join(hello.repositories) or 'none'}, not {target.repository}"
        yield Check("path", "error", text, "let both files name the same path")


def _left_out(hello: Offer, jobs: list[str]) -> Iterator[Check]:
    """Warn of jobs that skip file systems mounted below their paths."""
    skipped = [f"{name} {number}" for name, number in hello.skipped if str(name) in jobs and number]
    if skipped:
        text = f"mounted file systems that 'one-file-system' keeps out of the backup: {', '.join(skipped)}"
        yield Check(
            "mounts", "warn", text, "on the client, 'borgctl lint' names them: add them to 'paths' or 'exclude'"
        )


def _far_side(hello: Offer, received: float) -> Iterator[Check]:
    """Report what the client's gate says about itself."""
    for code in hello.obstacles:
        advice = REASONS[code].advice if code in REASONS else None
        yield Check("ready", "error", f"a run would fail there: {code}", advice)
    if not hello.obstacles and hello.time is not None:
        yield Check("ready", "ok", "the client's gate knows of nothing that keeps a run from starting")
    if hello.borg is not None:
        yield Check("borg", "ok", f"the client has borg {hello.borg}")
    elif not hello.obstacles:
        yield Check("borg", "error", "the client has no borg that works", REASONS["borg-missing"].advice)
    if hello.time is None:
        yield Check("clock", "warn", "the client doesn't say what time it has", "bring both sides to the same version")
        return
    offset = hello.time - received
    text = f"the client's clock is {elapsed(abs(offset))} {'ahead' if offset > 0 else 'behind'}"
    if abs(offset) > _TOLERANCE:
        yield Check("clock", "warn", text, "synchronise both clocks: archives are named and pruned by the client's")
    else:
        agreed = "the clocks agree" if abs(offset) < 1 else f"{text}, as far as can be measured over ssh"
        yield Check("clock", "ok", agreed)
