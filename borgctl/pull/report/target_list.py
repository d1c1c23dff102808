"""Target list: what `borgpull targets` says of each target. It asks no client, and starts nothing.

for entry in overview(folders, ["web1"]): print(sentence(entry))
"""

import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from borgctl.errors import BadValue
from borgctl.pull.report.hints import advice_for
from borgctl.pull.targets import repositories, telling_warnings
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.obstacle import obstacle
from borgctl.pull.targets.owner import typed
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.pull.targets.pause import Pause
from borgctl.pull.targets.targets import Target, load, names
from borgctl.text import iso, printable_excerpt


def overview(folders: Folders, texts: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield targets as objects; `errors` lists what is wrong in a file, `ready` says whether the target can run."""
    loaded = {text: _load(folders, text) for text in dict.fromkeys((*names(folders), *texts))}
    sharing = repositories.overlaps(
        {text: repositories.place(target) for text, target in loaded.items() if isinstance(target, Target)}
    )
    for text in texts:
        target = loaded[text]
        if not isinstance(target, Target):
            yield {"target": text, "ready": False, "errors": str(target).split("\n")}
            continue
        reason = obstacle(target)
        yield {
            "target": text,
            "ready": reason is None,
            "errors": [],
            "missing": reason,
            "host": target.host,
            "port": target.port,
            "transport": target.transport,
            "repository": str(target.repository),
            "quota": target.quota,
            "jobs": target.jobs and [str(job) for job in target.jobs],
            "tags": [str(tag) for tag in target.tags],
            "paused": (pause := target.paused(time.time())) and {"until": iso(pause.until), "reason": pause.reason},
            "warnings": [*([sharing[text]] if text in sharing else []), *telling_warnings.warnings(folders, target)],
        }


def _load(folders: Folders, text: str) -> Target | PullError | BadValue:
    try:
        return load(folders, TargetName(text))
    except (PullError, BadValue) as error:
        return error


def sentence(entry: dict[str, Any]) -> str:
    """Write one target of `overview` for people."""
    if entry["errors"]:
        return "\n".join(
            f"{printable_excerpt(entry['target'])}: error: {printable_excerpt(error)}" for error in entry["errors"]
        )
    jobs = ", ".join(entry["jobs"]) if entry["jobs"] else "all that the client offers"
    where = f"{entry['host'] or 'this host'}, {entry['transport']}, {entry['repository']}, quota {entry['quota']}"
    lines = [f"{entry['target']}: {where}, jobs: {jobs}"]
    if entry["tags"]:
        lines[0] += f", tags: {', '.join(entry['tags'])}"
    if entry["paused"]:
        until = datetime.fromisoformat(entry["paused"]["until"]).timestamp()
        lines.append(f"{entry['target']}: {Pause(until, entry['paused']['reason'])}")
    lines += [f"{entry['target']}: warning: {warning}" for warning in entry["warnings"]]
    if not entry["ready"]:
        lines.append(f"{entry['target']}: not ready: {entry['missing']}")
        lines.append(f"hint: {typed(advice_for(entry['missing'], entry['target']))}")
    return "\n".join(lines)
