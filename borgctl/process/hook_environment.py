"""The environment of hooks, and of the program that tells the passphrase: built from nothing.

hook_environment("/root", "default", "3f…")["BORGCTL_JOB"] == "default"
"""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def hook_environment(home: str, job: str | None, run: str, outcome: str = "") -> dict[str, str]:
    """Return the environment of a hook; `outcome` is set for hooks that run after borg."""
    standard = {"PATH": PATH, "HOME": home, "LANG": "C.UTF-8", "BORGCTL_JOB": job or "", "BORGCTL_RUN": run}
    return {**standard, **({"BORGCTL_OUTCOME": outcome} if outcome else {})}
