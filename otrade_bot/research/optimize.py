"""A search through a strategy's parameters: which sets, what each came to, and how the picked ones did afterwards.

Whoever computes the sets (threads here, a cluster) gives the same integers in the same order, and everything after that
is arithmetic on them: the result depends on the prices, the settings and the seed alone.

A set's result on some days is that of a run over all days from the first on, of which those days are counted:
indicators are warm, and positions and limits are as they would have been.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy.typing as npt

from otrade_bot.core.errors import ConfigException
from otrade_bot.kernel.compile import Kernel
from otrade_bot.research import overfit, stats
from otrade_bot.research.optimize_figures import OBJECTIVES, Figures
from otrade_bot.research.optimize_job import Job, Sweeper, set_records
from otrade_bot.research.optimize_run import Runner, Stop
from otrade_bot.research.optimize_windows import Window
from otrade_bot.research.search import Space, Tpe, Value, grid, grid_size, random_sets
from otrade_bot.strategies.base import StrategyParams

__all__ = ["Found", "Method", "Picked", "Request", "Search", "Trial"]

Method = Literal["grid", "random", "tpe"]
Array = npt.NDArray[Any]
Progress = Callable[[int, int], None]  #: sets done, sets in all


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for. ``min_trades``: sets with fewer on the days that they are judged by are not picked."""

    method: Method = "grid"
    trials: int = 500
    objective: str = "sharpe"
    seed: int = 1
    min_trades: int = 10
    windows: tuple[Window, ...] = ()

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise ConfigException("no such objective", key="--objective", value=self.objective,
                                  allowed=", ".join(OBJECTIVES))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trial:
    """One set over all days. ``train``: the objective on each window's training days, None where the set may not be
    picked there. ``fault``: why it could not be run."""

    number: int
    values: tuple[Value, ...]
    numbers: dict[str, float | None]
    score: float | None
    daily_sharpe: float | None
    net: int
    train: tuple[float | None, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Picked:
    """A window, the set that its training picked (None where none could be), and what it did before and after."""

    window: Window
    params: StrategyParams | None
    values: tuple[Value, ...] = ()
    train: Figures | None = None
    test: Figures | None = None


@dataclass(slots=True)
class Found:
    """All that a search found. ``ranked``: numbers of the trials that may be picked, best first."""

    request: Request
    space: Space
    job: Job
    capital: int
    trials: list[Trial] = field(default_factory=list)
    ranked: list[int] = field(default_factory=list)
    best: Figures | None = None
    picked: list[Picked] = field(default_factory=list)
    verdict: overfit.Verdict | None = None
    wanted: int = 0
    computed: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def complete(self) -> bool:
        return self.computed == self.wanted

    @property
    def top(self) -> Trial | None:
        return self.trials[self.ranked[0]] if self.ranked else None

    @property
    def after(self) -> Figures | None:
        """All tests of the walk-forward as one stretch of days."""
        tested = [one.test for one in self.picked if one.test is not None]
        return Figures.joined(tested) if tested else None


class Search:
    """One search over a job. ``run`` it once."""

    def __init__(self, job: Job, kernel: Kernel, space: Space, request: Request, capital: int, runner: Runner) -> None:
        self._job, self._kernel, self._space, self._request = job, kernel, space, request
        self._capital, self._runner = capital, runner
        self._found = Found(request, space, job, capital)

    def run(self, stop: Stop, progress: Progress | None = None) -> Found:
        """All sets, the best of them, the windows and the verdict; of what is known where ``stop`` ends it early."""
        found, request = self._found, self._request
        tell = progress or (lambda done, wanted: None)
        if request.method == "tpe":
            picks = self._tpe(stop, tell)
        else:
            picks = self._listed(stop, tell)
        found.refused = Counter(self._space.refused)
        found.ranked = ranked(found.trials, [trial.score for trial in found.trials])
        found.picked = self._judged(picks)
        found.best = self._whole(found.top)
        found.verdict = self._verdict()
        return found

    # --- the sets ---

    def _listed(self, stop: Stop, tell: Progress) -> list[tuple[Value, ...] | None]:
        """Grid and random: every set once, over all days; the windows look at parts of the same runs."""
        request = self._request
        sets = list(self._sets())
        self._found.wanted = len(sets)
        tell(0, len(sets))
        self._found.trials += self._swept(self._job, sets, request.windows, stop, tell)
        picks: list[tuple[Value, ...] | None] = []
        for at in range(len(request.windows)):
            order = ranked(self._found.trials, [trial.train[at] for trial in self._found.trials])
            picks.append(self._found.trials[order[0]].values if order else None)
        return picks

    def _sets(self) -> Iterable[StrategyParams]:
        request = self._request
        if request.method == "random":
            return random_sets(self._space, request.trials, request.seed)
        grid_size(self._space, request.trials)
        return grid(self._space, request.trials)

    def _tpe(self, stop: Stop, tell: Progress) -> list[tuple[Value, ...] | None]:
        """A study over all days, and one for each window that sees no later day than its training's last."""
        request, found = self._request, self._found
        studies = 1 + len(request.windows)
        found.wanted = studies * request.trials
        tell(0, found.wanted)
        found.trials += self._study(self._job, None, request.seed, stop, tell)
        picks: list[tuple[Value, ...] | None] = []
        for at, window in enumerate(request.windows):
            trials = self._study(self._job.until(window.split), window, request.seed + 1 + at, stop, tell)
            order = ranked(trials, [trial.score for trial in trials])
            picks.append(trials[order[0]].values if order else None)
        return picks

    def _study(self, job: Job, window: Window | None, seed: int, stop: Stop, tell: Progress) -> list[Trial]:
        """What TPE asks for is judged by the window's training days, or by all."""
        tpe = Tpe(self._space, self._request.trials, seed)
        trials: list[Trial] = []
        while not stop() and (batch := tpe.ask()):
            answers = self._swept(job, batch, () if window is None else (window,), stop, tell, len(trials))
            if len(answers) < len(batch):
                trials += answers
                break
            scores = [trial.score if window is None else trial.train[0] for trial in answers]
            trials += answers if window is None else [judged_by(t, s) for t, s in zip(answers, scores, strict=True)]
            tpe.tell([float("nan") if score is None else score for score in scores])
        if not stop():
            self._found.computed += self._request.trials - len(trials)  # refused ones are trials too
        return trials

    def _swept(
        self, job: Job, sets: Sequence[StrategyParams], windows: Sequence[Window], stop: Stop, tell: Progress,
        first: int = 0,
    ) -> list[Trial]:  # fmt: skip
        """These sets' trials, in their order."""
        if not sets:
            return []
        records = set_records(self._kernel, self._space.strategy, sets)
        trials: list[Trial] = []
        for start, outcome in self._runner.sweep(job, records, stop):
            for i in range(len(outcome.scores)):
                number = first + start + i
                trials.append(self._trial(number, sets[start + i], outcome.days[i], outcome.faults.get(i, ""), windows))
            self._found.computed += len(outcome.scores)
            tell(self._found.computed, self._found.wanted)
        return trials

    def _trial(self, number: int, params: StrategyParams, days: Array, fault: str, windows: Sequence[Window]) -> Trial:
        values = self._space.values(params)
        if fault:
            return Trial(number, values, {}, None, None, 0, (None,) * len(windows), fault)
        whole = Figures(days, self._capital)
        train = tuple(self._score(Figures(days[w.train], self._capital)) for w in windows)
        return Trial(number, values, whole.numbers(), self._score(whole), whole.daily_sharpe, whole.net, train)

    def _score(self, figures: Figures) -> float | None:
        """What a set is judged by; None where it may not be picked."""
        if figures.trades < self._request.min_trades:
            return None
        value: float | None = getattr(figures, self._request.objective)
        return None if value is None else float(value)

    # --- what follows from them ---

    def _judged(self, picks: Sequence[tuple[Value, ...] | None]) -> list[Picked]:
        """Each window's pick on the days after it."""
        judged: list[Picked] = []
        for window, values in zip(self._request.windows, picks, strict=False):
            params = None if values is None else self._space.params(values)
            if params is None or values is None:
                judged.append(Picked(window, None))
                continue
            days = self._days(params)
            train, test = Figures(days[window.train], self._capital), Figures(days[window.test], self._capital)
            judged.append(Picked(window, params, values, train, test))
        return judged

    def _days(self, params: StrategyParams) -> Array:
        records = set_records(self._kernel, self._space.strategy, [params])
        days: Array = Sweeper(self._job, self._kernel, block=1).run(records).days[0]
        return days

    def _whole(self, top: Trial | None) -> Figures | None:
        params = None if top is None else self._space.params(top.values)
        return None if params is None else Figures(self._days(params), self._capital)

    def _verdict(self) -> overfit.Verdict | None:
        if self._found.best is None:
            return None
        ratios = [trial.daily_sharpe for trial in self._found.trials if trial.daily_sharpe is not None]
        return overfit.judge(self._found.best.returns, ratios, stats.YEAR)


def ranked(trials: Sequence[Trial], scores: Sequence[float | None]) -> list[int]:
    """Places of those that have a score, best first; of equal ones the higher net result, then the earlier one."""
    have = [(-score, -trials[i].net, i) for i, score in enumerate(scores) if score is not None]
    return [i for *_, i in sorted(have)]


def judged_by(trial: Trial, score: float | None) -> Trial:
    """The trial with another score."""
    return replace(trial, score=score)
