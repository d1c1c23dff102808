"""Write the audit log: one JSON object a line, each chained to the one before, on disk before anything runs.

No record, no run: if a record cannot reach the disk, that is an error. All gates of a user share one log, by a lock on
the head file beside it (LOG.head), which logrotate(8) does not move. The log itself is opened by its name each time, so
a record always goes where the name leads. Its place in the chain comes from the log, and from the head file only where
the log is new or was cut. It knows files; `record` knows lines, `chain` their order, `rate_limit` their number.

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
from borgctl.audit.head_file import LARGEST, HeadFile
from borgctl.audit.lookup import Last, Since
from borgctl.audit.rate_limit import REFUSALS, RUNS
from borgctl.audit.record import render
from borgctl.audit.warned_files import WarnedFiles
from borgctl.data_class import dataclass
from borgctl.errors import BorgctlError
from borgctl.fs.free_space import write_error
from borgctl.fs.locked_file import locked, own_file
from borgctl.fs.secure_path import InsecurePath, SecurePath, directory
from borgctl.values import Head
from borgctl.wire.hashchain import START, VERSION

_SALT = 16  # bytes
DEEPEST = 3  # directories to make: an ordinary user's ~/.local/state/borgctl


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
                with own_file(above, os.path.basename(path), os.O_APPEND):
                    return cls(path, above, syslog)
            except BaseException:
                os.close(above)
                raise
        except (OSError, InsecurePath) as error:
            raise write_error("log-unusable", path, error) from None

    @classmethod
    def fallback(cls, path: str) -> "Log":
        """Return the log for an unreadable policy: the usual file if its directory exists, and syslog."""
        try:
            with SecurePath.at(os.path.dirname(path)):
                return cls.open(path, syslog=True)
        except (OSError, InsecurePath, BorgctlError):
            return cls(path, None, syslog=True)

    def close(self) -> None:
        """Close the directory."""
        if self.above is not None:
            os.close(self.above)

    @property
    def name(self) -> str:
        """Return the log's name in its directory."""
        return os.path.basename(self.path)

    def warned_files(self, run: str) -> WarnedFiles:
        """Return the list of files that borg warns about in a run; it stays empty where records go to syslog alone."""
        return WarnedFiles(self.above, self.name, run)

    def append(self, record: dict[str, Any]) -> Head | None:
        """Write one record, wait until it is on disk, and return the log's head; None where it went to syslog alone.

        A refusal beyond its key's rate is counted instead. Raise BorgctlError where the record cannot be written, and
        'rate-limited' for an accept beyond the rate.
        """
        lines: list[str] = []
        try:
            if self.above is None:
                lines.append(render(record))
                return None
            with locked(self.above, f"{self.name}.head") as fd:
                return self._append(self.above, fd, record, lines)
        except (OSError, InsecurePath) as error:
            raise write_error("log-unusable", self.path, error) from None
        finally:
            self._to_syslog(lines)

    def for_server(self, head: Head | None, seen: Head | None) -> dict[str, Any] | None:
        """Return the log's head for a server, and the digests that lead there from the one it saw (docs/wire.md)."""
        if head is None:
            return None
        try:
            since = lookup.since(self.above, self.name, seen, head) if seen and self.above is not None else Since(None)
        except OSError:
            since = Since(None)
        last = since.head or head
        answer = {"sequence": last.sequence, "head": last.digest, "continues": since.holds, "chain": VERSION}
        if since.digests is not None:
            answer |= {"digests": since.digests, "behind": head.sequence - last.sequence}
        return answer

    def _append(self, above: int, fd: int, record: dict[str, Any], lines: list[str]) -> Head | None:
        """Decide which records get a line, write them and the head file; `fd` is the locked head file."""
        head_file, now = HeadFile.read(os.pread(fd, LARGEST, 0)), time.time()
        records = [*rate_limit.due_alerts(head_file.accounts, now), *_admitted(head_file, record, now)]
        if records:
            with own_file(above, self.name, os.O_APPEND) as log:
                last = Last(head_file.head, head_file.linked) if head_file.head else None
                head_file.head, head_file.linked = _chain(log, above, self.name, last, records, lines), True
            with contextlib.suppress(OSError):  # the record is on disk; an outdated head file does no harm
                _write_head(fd, head_file)
        else:
            _write_head(fd, head_file)
        return head_file.head

    def _to_syslog(self, lines: list[str]) -> None:
        if self.syslog and lines:
            syslog.openlog("borgctl", syslog.LOG_PID, syslog.LOG_AUTH)
            for line in lines:
                syslog.syslog(syslog.LOG_INFO, line)


def _admitted(head_file: HeadFile, record: dict[str, Any], now: float) -> list[dict[str, Any]]:
    """Return the record if its key's rate allows it; for a refusal that is only counted, an alert or nothing."""
    usage = rate_limit.usage_for(head_file.accounts, record, now)
    match record.get("type"):
        case "accept" if not rate_limit.take(usage, RUNS):
            raise BorgctlError("rate-limited", f"more than {RUNS.most} requests, and {RUNS.hourly} an hour")
        case "refuse" if not rate_limit.take(usage, REFUSALS):
            return rate_limit.count(usage, now)
    return [record]


def _chain(
    fd: int, above: int, name: str, known: Last | None, records: list[dict[str, Any]], written: list[str]
) -> Head | None:
    """Append records to the chain and return its new head; `known` is the last record as the head file has it."""
    new, (last, skipped) = not os.fstat(fd).st_size, lookup.ending(fd)
    if new:  # a new log, or one that was copied and truncated
        last = lookup.newest(above, name)
    elif known and (last is None or known.head.sequence > last.head.sequence or _differ(known, last)):
        heads = {"kept": str(known.head), "found": last and str(last.head)}
        records = [{"type": "alert", "reason": "log-cut", **heads}, *records]
    last = max(filter(None, (known, last)), key=lambda either: either.head.sequence, default=None)
    if last and not last.linked:
        records = [{"type": "chain", "reason": "version-2", "continues": str(last.head)}, *records]
    head, lines = last and last.head, b""
    for record in records:
        number, previous = (head.sequence + 1, head.digest) if head else (1, START)
        salt = os.urandom(_SALT).hex()  # without it, whoever has a digest could guess the record
        more = {"skipped": skipped} if skipped else {}
        line = render(record, sequence=number, chain=VERSION, previous=previous, salt=salt, **more)
        written.append(line)
        linked = link(line.encode("ascii"))
        assert linked is not None
        head, lines, skipped = linked.head, lines + line.encode("ascii") + b"\n", None
    _write(fd, lines)
    if new:
        os.fsync(above)  # a new file's name must reach the disk, too
    return head


def _differ(known: Last, last: Last) -> bool:
    return known.head.sequence == last.head.sequence and known.head != last.head


def _write(fd: int, lines: bytes) -> None:
    """Append all or nothing, and wait for the disk; first end a torn line of a killed writer."""
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


def _write_head(fd: int, head_file: HeadFile) -> None:
    """Write the head file in place, as it carries the lock; what counts ends with a newline."""
    line = head_file.line()
    os.pwrite(fd, line, 0)
    os.ftruncate(fd, len(line))
