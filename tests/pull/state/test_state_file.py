"""A target's state as a file: what is written can be read again, whatever a client has put into it."""

from borgctl.pull.state import state_file
from borgctl.pull.state.state import Acceptance, State
from borgctl.pull.targets.paths import Folders, TargetName

NAME = TargetName("web1")


def test_a_state_with_too_much_accepted_loses_the_oldest_of_it_and_nothing_else(tmp_path) -> None:
    folders = Folders(str(tmp_path / "config"), str(tmp_path / "state"))
    state = State(repository="a" * 64)
    state.alert("audit-broken", "record 7 is gone", 1.0)
    state.accepted = [Acceptance(float(number), "root", "looked", ("\U0001f600" * 5000,)) for number in range(50)]
    state_file.save(folders, NAME, state)
    read = state_file.load(folders, NAME)
    assert not read.lost and read.repository == "a" * 64 and list(read.alerts) == ["audit-broken"]
    times = [one.time for one in read.accepted]
    assert times == [float(number) for number in range(50 - len(times), 50)] and times
