"""Write the schemas and the pages that are made from the program's own tables: `make documents`.

    policy/policy.schema.json   policy/target.schema.json   policy/defaults.schema.json
    docs/policy.md              docs/targets.md             docs/reasons.md
    docs/monitoring.md          docs/ansible.md, from the argument_specs of contrib/ansible
    docs/guards.md              SECURITY.md (the links to tests in it)
    docs/performance.md         docs/performance.svg, from docs/performance.json, which `make bench` has written
    contrib/systemd/* and contrib/cron/*: what `borgpull units` prints for the README's server

The prose of a page is in `docs/sources/`, where a comment marks the place of each table. `tables` makes the tables,
`schemas` the schemas; `policy_keys` and `target_keys` say what each key is for. Tests compare these keys and their defaults
with those that the program reads.
"""

import re
import sys
from pathlib import Path

import collection
import status_example
import tables
from policy_keys import POLICY
from schemas import job, schema
from target_keys import DEFAULTS, TARGET

from borgctl.pull.units import units
from borgctl.pull.units.installation import Installation

TOP = Path(__file__).parents[1]
SOURCES = TOP / "docs/sources"
sys.path += [str(TOP / "tests/proofs"), str(TOP / "bench")]

import chart  # noqa: E402 - it stands with the benchmarks
import guards  # noqa: E402 - the table of guards is a proof's
import results  # noqa: E402

_MARK = re.compile(r"<!-- (\w[\w ]*) -->")


def filled(name: str, **parts: str) -> str:
    """Return a page's source with each comment replaced by the part of that name; every part must be used once."""
    source = (SOURCES / name).read_text("utf-8")
    marks = [mark.replace(" ", "_") for mark in _MARK.findall(source)]
    if sorted(marks) != sorted(parts):
        raise ValueError(f"{name}: has marks for {sorted(marks)}, expected {sorted(parts)}")
    return _MARK.sub(lambda mark: parts[mark[1].replace(" ", "_")], source)


def policy_page() -> str:
    """Return docs/policy.md."""
    return filled(
        "policy.md",
        keys=tables.key_sections(POLICY),
        job_keys=tables.job_keys(),
        options=tables.options(),
        variables=tables.variables(),
        not_allowed=tables.not_allowed(),
    )


def target_page() -> str:
    """Return docs/targets.md."""
    return filled(
        "targets.md",
        example="\n".join(key.example for key in TARGET if key.name in ("host", "host_key", "repository", "quota")),
        keys=tables.key_table(TARGET),
        of_all=", ".join(f"`{key.name}`" for key in DEFAULTS),
        job_keys=tables.target_job_keys(),
    )


def reasons_page() -> str:
    """Return docs/reasons.md."""
    return filled("reasons.md", gate=tables.gate_reasons(), launcher=tables.launcher_reasons())


def monitoring_page() -> str:
    """Return docs/monitoring.md."""
    return filled("monitoring.md", metrics=tables.metrics(), table=status_example.drawn())


def ansible_page() -> str:
    """Return docs/ansible.md."""
    roles = {"package": "borgctl", "server": "server", "client": "client"}
    return filled(
        "ansible.md", **{part: tables.role_variables(collection.variables(role)) for part, role in roles.items()}
    )


def measured() -> results.Results:
    """Return what the last whole `make bench` has measured."""
    return results.read((TOP / "docs/performance.json").read_text())


def performance_page() -> str:
    """Return docs/performance.md."""
    made = measured()
    return filled("performance.md", origin="\n".join(made.origin()), tables="\n".join(made.markdown()).strip("\n"))


def pages() -> dict[str, str]:
    """Return every generated file's content by its path below the top."""
    return {
        "policy/policy.schema.json": schema("A policy of borgctl", POLICY, **{"$defs": {"job": job()}}),
        "policy/target.schema.json": schema("A target of borgpull", TARGET),
        "policy/defaults.schema.json": schema("Defaults of borgpull's targets", DEFAULTS),
        "docs/policy.md": policy_page(),
        "docs/targets.md": target_page(),
        "docs/reasons.md": reasons_page(),
        "docs/monitoring.md": monitoring_page(),
        "docs/ansible.md": ansible_page(),
        "docs/guards.md": guards.page(),
        "docs/performance.md": performance_page(),
        "docs/performance.svg": chart.draw(measured()),
        "SECURITY.md": guards.linked((TOP / "SECURITY.md").read_text()),
        **{
            f"contrib/{'cron' if name == units.CRON else 'systemd'}/{name}": text
            for name, text in units.files(Installation.default()).items()
        },
    }


def main() -> None:
    """Write them all."""
    for name, text in pages().items():
        (TOP / name).write_text(text)
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main()
