"""The audit log: one JSON object a line, each chained to the one before, on disk before anything runs.

No record, no run: whatever keeps a record from the disk is an error. All gates of a user share one log, by a lock on
the tally beside it (LOG.head), which no logrotate(8) moves away; the log itself is opened by its name each time, so a
record always goes where the name leads. Its place in the chain is read from the log, and from the tally only where the
log is new or was cut. This module knows files; lines are `record`, their order is `chain`, how many is `rate_limit`.

    log = Log.open("/var/log/borgctl/audit.jsonl", syslog=True)
    head = log.append({"type": "accept", "run": "3f2a…", …})
"""

import contextlib
import errno
import os
import syslog
import time
from typing import Any

from borgctl.audit import lookup, rate_limit
from borgctl.audit.chain import link
from borgctl.audit.lookup import Last, Since
from borgctl.audit.rate_limit import REFUSALS, RUNS, Tally
from borgctl.audit.record import render
from borgctl.audit.warned_files import WarnedFiles
from borgctl.data_class import dataclass
from borgctl.errors import BorgctlError
from borgctl.fs.free_space import unwritten
from borgctl.fs.locked_file import held, opened
from borgctl.fs.secure_path import InsecurePath, SecurePath, directory
from borgctl.values import Head
from borgctl.wire.hashchain import START, VERSION

_SALT = 16  # bytes
DEEPEST = 3  # directories that are made: an ordinary user's usual ones, ~/.local/state/borgctl


@dataclass(frozen=True, slots=True)
class Log:
    """An audit log; `above` is its directory's descriptor, None where records go to syslog alone."""

    path: str
    above: int | None
    syslog: bool

    @classmethod
    def open(cls, path: str, *, syslog: bool) -> "Log":
        """Open the log, making it (0600) and up to DEEPEST directories (0700); raise BorgctlError where it fails."""
        try:
            with directory(os.path.dirname(path), missing=DEEPEST) as pinned:
                above = pinned.open(os.O_RDONLY | os.O_DIRECTORY)
            try:
                with opened(above, os.path.basename(path), os.O_APPEND):
                    return cls(path, above, syslog)
            except BaseException:
                os.close(above)
                raise
        except (OSError, InsecurePath) as error:
            raise unwritten("log-unusable", path, error) from None

    @classmethod
    def fallback(cls, path: str) -> "Log":
        """Return the log for a policy that cannot be read: the usual file if its directory is there, and syslog."""
        try:
            with SecurePath.at(os.path.dirname(path)):
                return cls.open(path, syslog=True)
        except (OSError, InsecurePath, BorgctlError):
            return cls(path, None, syslog=True)

    def close(self) -> None:
        """Give the directory back."""
        if self.above is not None:
            os.close(self.above)

    @property
    def name(self) -> str:
        """Return the log's name in its directory."""
        return os.path.basename(self.path)

    def warned_files(self, run: str) -> WarnedFiles:
        """Return the list of files that borg warns of in a run; none is kept where records go to syslog alone."""
        return WarnedFiles(self.above, self.name, run)

    def append(self, record: dict[str, Any]) -> Head | None:
        """Write one record, wait until it is on disk, and return the log's head; None where it went to syslog alone.

        A refusal beyond its key's rate is counted instead. Raise BorgctlError where the record cannot be written, and
        'rate-limited' for an accept beyond the rate.
        """
        said: list[str] = []
        try:
            if self.above is None:
                said.append(render(record))
                return None
            with held(self.above, f"{self.name}.head") as fd:
                return self._append(self.above, fd, record, said)
        except (OSError, InsecurePath) as error:
            raise unwritten("log-unusable", self.path, error) from None
        finally:
            self._say(said)

    def told(self, head: Head | None, seen: Head | None) -> dict[str, Any] | None:
        """Return what a server may keep of the log, and what leads there from the record that it saw (docs/wire.md)."""
        if head is None:
            return None
        try:
            since = lookup.since(self.above, self.name, seen, head) if seen and self.above is not None else Since(None)
        except OSError:
            since = Since(None)
        last = since.head or head
        told = {"sequence": last.sequence, "head": last.digest, "continues": since.holds, "chain": VERSION}
        if since.digests is not None:
            told |= {"digests": since.digests, "behind": head.sequence - last.sequence}
        return told

    def _append(self, above: int, fd: int, record: dict[str, Any], said: list[str]) -> Head | None:
        """Decide what gets a line, write it, and keep the tally; `fd` is the tally, locked."""
        kept, now = Tally.read(os.pread(fd, rate_limit.LARGEST, 0)), time.time()
        records = [*kept.due(now), *_admitted(kept, record, now)]
        if records:
            with opened(above, self.name, os.O_APPEND) as log:
                last = Last(kept.head, kept.linked) if kept.head else None
                kept.head, kept.linked = _written(log, above, self.name, last, records, said), True
            with contextlib.suppress(OSError):  # the record is on disk; a tally that is behind does no harm
                _keep(fd, kept)
        else:
            _keep(fd, kept)
        return kept.head

    def _say(self, lines: list[str]) -> None:
        if self.syslog and lines:
            syslog.openlog("borgctl", syslog.LOG_PID, syslog.LOG_AUTH)
            for line in lines:
                syslog.syslog(syslog.LOG_INFO, line)


def _admitted(kept: Tally, record: dict[str, Any], now: float) -> list[dict[str, Any]]:
    """Return the record if its key has room left; an alert, or nothing, for a refusal that is only counted."""
    account = kept.account(record, now)
    match record.get("type"):
        case "accept" if not rate_limit.take(account, RUNS):
            raise BorgctlError("rate-limited", f"more than {RUNS.most} requests, and {RUNS.hourly} an hour")
        case "refuse" if not rate_limit.take(account, REFUSALS):
            return rate_limit.count(account, now)
    return [record]


def _written(
    fd: int, above: int, name: str, known: Last | None, records: list[dict[str, Any]], said: list[str]
) -> Head | None:
    """Append records to the chain and return its new head; `known` is the last record as the tally has it."""
    new, (found, skipped) = not os.fstat(fd).st_size, lookup.ending(fd)
    if new:  # a new log, or one that was copied and truncated
        found = lookup.newest(above, name)
    elif known and (found is None or known.head.sequence > found.head.sequence or _differ(known, found)):
        told = {"kept": str(known.head), "found": found and str(found.head)}
        records = [{"type": "alert", "reason": "log-cut", **told}, *records]
    last = max(filter(None, (known, found)), key=lambda one: one.head.sequence, default=None)
    if last and not last.linked:
        records = [{"type": "chain", "reason": "version-2", "continues": str(last.head)}, *records]
    head, lines = last and last.head, b""
    for record in records:
        number, previous = (head.sequence + 1, head.digest) if head else (1, START)
        salt = os.urandom(_SALT).hex()  # or whoever is told a digest could try what is in a record
        more = {"skipped": skipped} if skipped else {}
        line = render(record, sequence=number, chain=VERSION, previous=previous, salt=salt, **more)
        said.append(line)
        written = link(line.encode("ascii"))
        assert written is not None
        head, lines, skipped = written.head, lines + line.encode("ascii") + b"\n", None
    _write(fd, lines)
    if new:
        os.fsync(above)  # a new file's name has to last, too
    return head


def _differ(known: Last, found: Last) -> bool:
    return known.head.sequence == found.head.sequence and known.head != found.head


def _write(fd: int, lines: bytes) -> None:
    """Append whole or not at all, and wait for the disk; a torn line of a killed writer is ended first."""
    size = os.fstat(fd).st_size
    if size and os.pread(fd, 1, size - 1) != b"\n":
        lines = b"\n" + lines
    try:
        if os.write(fd, lines) != len(lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(fd)
    except OSError:
        if os.fstat(fd).st_size > size:
            os.ftruncate(fd, size)
        raise


def _keep(fd: int, kept: Tally) -> None:
    """Write the tally in its place, where the lock is; a newline ends what counts."""
    line = kept.line()
    os.pwrite(fd, line, 0)
    os.ftruncate(fd, len(line))
