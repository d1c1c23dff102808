"""run_all: run many targets side by side in one process and one event loop; a slow one delays no other.

Each target has its turn in the order of the names, as soon as there is a place; those that hung last time come last.

With `due` there is another round each hour, as long as any target has work: all others are chosen and judged anew. A
timer starts no second call while the first one lives, so one client that hangs for hours would make all the others
miss their rhythm.

    run_all(launcher, chosen, (), Plan(parallel=4, due=True, retries=2), tell)
"""

from collections import deque
from collections.abc import Callable

from borgctl.errors import BadValue
from borgctl.pull.fleet.plan import Plan
from borgctl.pull.fleet.turn import Turn, take
from borgctl.pull.run.launcher import Launcher
from borgctl.pull.run.run import Tell
from borgctl.pull.run.scheduler import Call, Interval, Places, complete, until
from borgctl.pull.targets import config_lock
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.selection import Selection
from borgctl.text import printable_excerpt
from borgctl.values import JobName

Choose = Callable[[], Selection]


def run_all(
    launcher: Launcher,
    chosen: Selection,
    jobs: tuple[JobName, ...],
    plan: Plan,
    tell: Tell,
    choose: Choose | None = None,
) -> int:
    """Run `jobs` of the targets, else each one's own; tell each report. A signal ends all runs in order.

    `choose` names the targets of each later round; without it they are the same. Return how many targets had no turn,
    or no second try: a signal came before, or they could not be chosen.
    """
    config_lock.sweep(launcher.folders)
    places = Places(plan.parallel)

    def turn(text: str, named: frozenset[str]) -> Turn:
        return Turn(launcher, text, named=text in named, jobs=jobs, plan=plan, places=places, tell=tell)

    rounds = _Rounds(launcher, plan, turn, choose or (lambda: chosen))
    rounds.calls.append(rounds.go_on(chosen))
    complete(launcher, rounds.calls)
    return rounds.missed


class _Rounds:
    """The rounds of one call, and who has work in it."""

    def __init__(
        self, launcher: Launcher, plan: Plan, turn: Callable[[str, frozenset[str]], Turn], choose: Choose
    ) -> None:
        self._launcher, self._plan, self._turn, self._choose = launcher, plan, turn, choose
        self._at_work: set[str] = set()
        self.calls: deque[Call] = deque()
        self.missed = 0

    async def go_on(self, chosen: Selection) -> None:
        """Give each target its turn; with `due`, do so again and again, as long as any has work."""
        self._give_turns(chosen)
        while self._plan.due and self._at_work:
            interval = Interval(self._launcher.loop, self._plan.again, lambda: bool(self._at_work))
            await until(interval)
            interval.stop()
            if self._launcher.stop.name is not None or self._launcher.late():
                return
            if self._at_work:
                chosen = self._chosen_anew(chosen)
                self._launcher.teller.meanwhile(chosen.texts)

    def _chosen_anew(self, before: Selection) -> Selection:
        """Choose again, and give turns to those without work; return what was chosen, or was before if that fails."""
        try:
            chosen = self._choose()
        except (PullError, BadValue, OSError) as error:
            self.missed += len({*before.texts} - self._at_work)
            for line in str(error).split("\n"):
                self._launcher.screen.end(f"error: {printable_excerpt(line)}")
            return before
        self._give_turns(chosen)
        return chosen

    def _give_turns(self, chosen: Selection) -> None:
        turns = [self._turn(text, chosen.named) for text in chosen.texts if text not in self._at_work]
        for turn in sorted(turns, key=Turn.hung):
            self._at_work.add(turn.text)
            self.calls.append(self._work(turn))

    async def _work(self, turn: Turn) -> None:
        try:
            await take(turn)
        finally:
            self._at_work.remove(turn.text)
            self.missed += turn.missed
