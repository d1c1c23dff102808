"""Timeouts: how long a session waits for each of its programs before it ends them.

Timeouts(end_of_file=2, terminated=2)          in tests
"""

from borgctl.data_class import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; `end_of_file` and `terminated`: serve may live so long after its end of file, and after TERM.

    `guard`: the guard, for both. `last_word`: the client's side may live so long after the gate's exit line or
    the guard's refusal, `orphaned`: after serve's failure. `drain`: the streams are read so long once all have ended.
    `backoff`: what may pass is tried again after about so long, and four times as long each time after that.
    """

    end_of_file: float = 20
    terminated: float = 10
    last_word: float = 15
    orphaned: float = 120
    drain: float = 2
    guard: float = 10
    backoff: float = 60
