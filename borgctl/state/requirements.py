"""What this machine must have before a granted launch is run: looked at by the gate and, in the same order, `explain`.

Files are looked at and nothing is changed. It does not know who asks, nor what was decided.

    sandbox = require(policy, launch)     # what confines borg; raises BorgctlError
"""

from borgctl.borg.command import BorgCommand
from borgctl.policy.model import Policy
from borgctl.sandbox import plan
from borgctl.sandbox.plan import Sandbox
from borgctl.state import passphrase, source_paths


def require(policy: Policy, launch: BorgCommand) -> Sandbox | None:
    """Return what confines borg (None: nothing); raise BorgctlError for whatever would fail the run for sure.

    A file of patterns that a hook is still to make may be missing.
    """
    sandbox = plan.prepare(policy.sandbox, policy.user, policy.borg)
    if launch.requested:
        source_paths.check(map(str, launch.paths))
    source_paths.require_devices(launch.devices, missing=bool(launch.before))
    source_paths.require_patterns(launch.patterns, missing=bool(launch.before))
    passphrase.require(policy.passphrase)
    return sandbox
