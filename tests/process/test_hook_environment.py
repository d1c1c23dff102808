"""The environment of hooks: what is in it, and nothing of borg's."""

from borgctl.process.hook_environment import hook_environment


def test_a_hook_learns_its_job_and_the_outcome_and_nothing_of_borg():
    before = hook_environment("/root", "default", "12ab")
    assert "BORGCTL_OUTCOME" not in before
    after = hook_environment("/root", None, "12ab", "failed")
    assert (after["BORGCTL_JOB"], after["BORGCTL_OUTCOME"]) == ("", "failed")
    assert not any(name.startswith("BORG_") for name in before | after)
