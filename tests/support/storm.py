"""A storm of faults: pulls in which one part is killed, stopped or cut at a random moment, and what must hold after it.

    storm = Storm(pairs, link, random.Random(seed))
    for fault in deck(full_disks=True): storm.strike(fault)
    print(storm.table())

After each fault: within 10 s no process of that run, and no socket, temporary file or lock but those that `excused`
names (their owner was killed, and the next run has to clear them); its records complete, or unfinished where the gate
could not write on; the next pull succeeds, and then nothing is left at all.

What is stopped (STOP) is left stopped where somebody is above it to end it: ssh and serve below the launcher, hook,
borg and relay below the gate. A launcher, a gate and an sshd have nobody: the storm continues them, as an admin would
who finds them, the launcher after a while, the client's side when the server's has ended.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from link import Link
from machines import wait_for
from parties import Pair

SIGNALS = ("TERM", "KILL", "STOP")
PARTS = ("launcher", "ssh", "serve", "guard", "sshd", "gate", "hook", "borg", "relay")
OTHERS = (
    ("cut", "link"),
    ("freeze", "link"),
    ("close", "output"),
    ("fill", "server's disk"),
    ("fill", "client's disk"),
)
UNATTENDED = ("launcher", "gate", "sshd")
SOON = 10  # seconds


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to which part."""

    act: str
    part: str


def deck(full_disks: bool) -> list[Fault]:
    """Return every fault; only root can make disks that are full."""
    others = [other for other in OTHERS if full_disks or other[0] != "fill"]
    return [Fault(act, part) for part in PARTS for act in SIGNALS] + [Fault(*other) for other in others]


@dataclass(slots=True)
class Storm:
    """The state of one storm."""

    pairs: list[Pair]
    link: Link
    dice: random.Random
    outcomes: dict[Fault, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    survived: Counter[Fault] = field(default_factory=Counter)
    missed: int = 0
    pulls: int = 0
    unfinished: int = 0
    wounds: list[str] = field(default_factory=list)

    def strike(self, fault: Fault) -> bool:
        """Run one pull with a fault and one without; return False where the part had gone before it was struck."""
        pair = self.pairs[self.pulls // 2 % len(self.pairs)]
        self.pulls += 1
        known = len(pair.client.records())
        pair.change(self.dice)
        pair.limit("8s" if fault.act in ("STOP", "freeze") else "60s")
        launcher = pair.start()
        hit = self._hit(fault, pair, launcher)
        outcome = _outcome(launcher, 60)
        _go_on(pair, fault)
        wounds = self._aftermath(pair, fault, known)
        if fault.act == "freeze":
            self.link.thaw()
        wounds += self._next(pair)
        if not hit:
            self.missed += 1
        else:
            self.outcomes[fault][outcome] += 1
            self.survived[fault] += not wounds
        self.wounds += [f"{fault.act} {fault.part} ({pair.name}): {wound}" for wound in wounds]
        return hit

    def _hit(self, fault: Fault, pair: Pair, launcher: subprocess.Popen) -> bool:
        """Wait until the part is there, and a moment longer, and strike it if it still is."""
        where = {"link": "ssh", "output": "launcher", "server's disk": "serve", "client's disk": "gate"}
        part = where.get(fault.part, fault.part)
        if not _appears(lambda: pair.find(part, launcher), launcher):
            return False
        time.sleep(self.dice.uniform(0, pair.longest(part)))
        process = pair.find(part, launcher)
        if process is None or launcher.poll() is not None:
            return False
        match fault.act:
            case "cut":
                self.link.cut()
            case "freeze":
                self.link.freeze()
            case "close":
                launcher.stdout.close()
                launcher.stderr.close()
                launcher.stdout = launcher.stderr = None
            case "fill":
                pair.fill(fault.part)
            case _:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.Signals[f"SIG{fault.act}"])
                if fault == Fault("STOP", "launcher"):
                    time.sleep(self.dice.uniform(0.5, 2))
                    os.kill(process, signal.SIGCONT)
        return True

    def _aftermath(self, pair: Pair, fault: Fault, known: int) -> list[str]:
        """Return what does not hold after a fault."""
        wounds = []
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not pair.processes(), SOON)
        if left := pair.processes():
            wounds.append(f"still running after {SOON} s: {left}")
            pair.kill(left)
        pair.empty_disks()
        records = pair.client.records()[known:]  # raises where a line is torn
        accepted = {record["run"] for record in records if record["type"] == "accept"}
        ended = {record["run"] for record in records if record["type"] == "exit"}
        if open_runs := accepted - ended:
            self.unfinished += len(open_runs)
            if fault not in (Fault("KILL", "gate"), Fault("fill", "client's disk")):
                wounds.append(f"a run without an exit record: {open_runs}")
        wounds += [f"left: {path}" for path in pair.leftovers() if not excused(path, fault, accepted)]
        return wounds

    def _next(self, pair: Pair) -> list[str]:
        """Pull without a fault; return what is wrong with it, or left after it."""
        self.pulls += 1
        pair.limit("120s")
        launcher = pair.start()
        out, err = launcher.communicate(timeout=150)
        wounds = [] if launcher.returncode == 0 else [f"the next pull: {out.decode()} {err.decode()}"]
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not pair.processes() and not pair.leftovers(), SOON)
        wounds += [f"left running by the next pull: {process}" for process in pair.processes()]
        for path in pair.leftovers():
            wounds.append(f"left after the next pull: {path}")
            pair.remove(path)  # so that no later fault is blamed for it
        return wounds

    def table(self) -> str:
        """Return the faults, how often each was injected and survived, and how the struck pulls ended."""
        rows = [f"{'fault':24}{'injected':>9}{'survived':>9}  how the pull ended"]
        for fault in sorted(
            self.outcomes, key=lambda fault: (PARTS.index(fault.part) if fault.part in PARTS else 99, fault.act)
        ):
            counts = self.outcomes[fault]
            how = ", ".join(f"{name} {number}" for name, number in counts.most_common())
            rows.append(f"{fault.act + ' ' + fault.part:24}{counts.total():>9}{self.survived[fault]:>9}  {how}")
        injected = sum(counts.total() for counts in self.outcomes.values())
        rows.append(
            f"{'all':24}{injected:>9}{self.survived.total():>9}  {self.pulls} pulls, {self.missed} parts missed, "
            f"{self.unfinished} runs marked unfinished, "
            f"{sum(len(pair.borg_drafts()) for pair in self.pairs)} drafts left in the client's cache by killed borgs"
        )
        return "\n".join(rows)


def excused(path: Path, fault: Fault, accepted: set[str]) -> bool:
    """Tell whether the next run may find this: whoever would have removed it was killed, or had never come."""
    match path.parts[-3:]:
        case [_, "run", _]:
            return fault == Fault("KILL", "launcher")
        case [_, "runs", _]:
            return fault == Fault("KILL", "gate")
        case [_, "locks", _]:
            return fault == Fault("KILL", "gate")
        case [_, "s", _]:
            return not accepted
        case [_, _, "lock.exclusive" | "lock.roster"]:  # of borg's cache on the client: borg itself clears it
            return ".cache" in path.parts and (fault.act in ("KILL", "STOP") or fault.part == "client's disk")
        case [_, _, name] if name.endswith(".tmp"):  # in the repository: the next serve's, or the next launcher's work
            return fault in (Fault("KILL", "serve"), Fault("fill", "server's disk"))
        case _:
            return False


def _appears(find, launcher: subprocess.Popen) -> bool:
    end = time.monotonic() + 20
    while time.monotonic() < end and launcher.poll() is None:
        if find() is not None:
            return True
        time.sleep(0.005)
    return False


def _outcome(launcher: subprocess.Popen, seconds: float) -> str:
    """Wait for the launcher's end and return what it says, or how it died."""
    out, _ = launcher.communicate(timeout=seconds)
    for line in reversed((out or b"").splitlines()):
        with contextlib.suppress(ValueError):
            told = json.loads(line)
            return f"{told['outcome']}" + (f" ({told['reason']})" if told["reason"] else "")
    return signal.Signals(-launcher.returncode).name if launcher.returncode < 0 else f"untold, {launcher.returncode}"


def _go_on(pair: Pair, fault: Fault) -> None:
    """Continue what nobody else can end."""
    if fault.act == "STOP" and fault.part in UNATTENDED:
        for process in pair.sessions():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)
