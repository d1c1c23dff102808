"""A storm of faults over both transports and both borgs: nothing is left, every record tells the truth, pulls go on."""

import random
import signal

import machines
import pytest
from link import Link
from parties import Pair
from storm import Storm, deck

pytestmark = pytest.mark.e2e


@pytest.fixture
def pairs(borg_14, borg_12):
    """Two pairs of machines behind one link: each transport, and each borg on either side."""
    watch = machines.Watch()
    with machines.scratch() as directory:
        alive = "StreamLocalBindUnlink no\nClientAliveInterval 2\nClientAliveCountMax 2\nLoginGraceTime 8"
        with machines.Sshd(directory / "sshd", extra=alive) as sshd, Link(to=sshd.port) as link:
            made = []
            try:
                for name, transport, borgs in (
                    ("one", "stdio", (borg_14.path, borg_12.path)),
                    ("two", "socket", (borg_12.path, borg_14.path)),
                ):
                    made.append(Pair(directory, name, sshd, link.port, transport, borgs))
                yield made, link
            finally:
                for pair in made:
                    pair.close()
        watch.assert_no_process()


def drawn(faults, dice, number, most_stops):
    """Return `number` faults: all in turn, in an order that is drawn, with no more than so many that take long."""
    chosen = []
    while len(chosen) < number:
        for fault in dice.sample(faults, len(faults)):
            if fault.act in ("STOP", "freeze"):
                if most_stops == 0:
                    continue
                most_stops -= 1
            chosen.append(fault)
    return chosen[:number]


def test_pulls_survive_whatever_is_killed_stopped_or_cut(proof, pairs):
    if not proof.full:
        signal.alarm(480)  # a minute or so, but no fault of ours where the machine has other work
    made, link = pairs
    dice = random.Random(proof.seed)
    storm = Storm(made, link, dice)
    faults = deck(full_disks=machines.may(21))
    wanted = drawn(faults, dice, proof.size(5, 4 * len(faults)), proof.size(1, 4 * len(faults)))
    for number, fault in enumerate(wanted):
        for _ in range(3):
            if storm.strike(fault):
                break
        if number % 10 == 9:
            for pair in made:
                pair.tidy()
            if proof.full:
                print(f"\nafter {number + 1} of {len(wanted)}:\n{storm.table()}", flush=True)
    for pair in made:
        checked = pair.check()
        assert checked.returncode == 0, checked.stderr
    proof.say("the storm", pulls=storm.pulls, faults_injected=storm.survived.total())
    if proof.full or storm.wounds:
        print(f"\n{storm.table()}")
    assert storm.wounds == []
    assert (
        storm.survived.total() >= len(wanted) * 0.8
    )  # some parts are gone before they are struck, three times in a row
