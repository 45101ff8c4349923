"""A search as numbers for machines, as a page for people, and as a table of every set."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from otrade_bot.core.money import group_indian
from otrade_bot.research.optimize import Found, Picked
from otrade_bot.research.optimize_figures import OBJECTIVES, Figures
from otrade_bot.research.search import Value

__all__ = ["render", "report", "trials_csv"]

_TOP = 10
_FIGURES = ("trades", "gross", "charges", "net", "sharpe", "sortino", "calmar", "profit_factor", "win_rate", "drawdown")


def report(found: Found) -> dict[str, Any]:
    """As JSON. Money in rupees; null where there is no answer."""
    names = [d.name for d in found.space.dimensions]
    request = found.request
    return {
        "strategy": found.space.strategy.name, "search": request.method, "objective": request.objective,
        "seed": request.seed, "min_trades": request.min_trades, "space": found.space.words(),
        "fixed": dict(found.space.fixed), "days": len(found.job.days),
        "from": found.job.days[0].isoformat(), "to": found.job.days[-1].isoformat(),
        "complete": found.complete, "sets": len(found.trials), "wanted": found.wanted, "computed": found.computed,
        "refused": dict(found.refused), "failed": failed(found), "too_few_trades": _too_few(found),
        "top": [{"params": dict(zip(names, t.values, strict=True)), "score": t.score, **t.numbers}
                for t in (found.trials[i] for i in found.ranked[:_TOP])],
        "best": None if found.top is None or found.best is None else {
            "params": dict(zip(names, found.top.values, strict=True)), **found.best.numbers()},
        "walk_forward": [_window(found, names, one) for one in found.picked],
        "out_of_sample": None if found.after is None else found.after.numbers(),
        "kept": kept(found), "verdict": _verdict(found), "warnings": warnings(found),
    }  # fmt: skip


def failed(found: Found) -> dict[str, int]:
    """Sets that made the strategy fail, by what it said."""
    counts: dict[str, int] = {}
    for trial in found.trials:
        if trial.fault:
            counts[trial.fault] = counts.get(trial.fault, 0) + 1
    return counts


def _too_few(found: Found) -> int:
    return sum((t.numbers.get("trades") or 0) < found.request.min_trades for t in found.trials if not t.fault)


def _window(found: Found, names: Sequence[str], one: Picked) -> dict[str, Any]:
    days, w = found.job.days, one.window
    told: dict[str, Any] = {
        "train": [days[w.start].isoformat(), days[w.split - 1].isoformat()],
        "test": [days[w.split].isoformat(), days[w.stop - 1].isoformat()],
    }
    if one.train is None or one.test is None:
        return {**told, "params": None}
    params = dict(zip(names, one.values, strict=True))
    return {**told, "params": params, "in_sample": one.train.numbers(), "out_of_sample": one.test.numbers()}


def _a_day(figures: Iterable[Figures | None]) -> float:
    known = [f for f in figures if f is not None]
    days = sum(f.days for f in known)
    return sum(f.net for f in known) / days if days else 0.0


def kept(found: Found) -> float | None:
    """What the days after kept of a training day's result, as a share; None where the trainings made nothing."""
    before = _a_day(one.train for one in found.picked)
    return _a_day(one.test for one in found.picked) / before if before > 0 else None


def _verdict(found: Found) -> dict[str, Any] | None:
    v = found.verdict
    if v is None:
        return None
    return {"tries": v.tries, "days": v.days, "sharpe": v.sharpe, "expected_by_luck": v.luck,
            "deflated_sharpe": v.chance, "words": v.words()}  # fmt: skip


def warnings(found: Found) -> list[str]:
    """What somebody must hear before he believes the best line."""
    told = []
    if not found.complete:
        told.append(f"INCOMPLETE: {found.computed:,} of {found.wanted:,} sets were looked at before it was stopped.")
    if not found.ranked:
        told.append(f"No set made {found.request.min_trades} trades with an answer: there is nothing to pick from.")
    elif found.best is not None and found.best.net <= 0:
        told.append("Even the best set loses money after charges.")
    if found.verdict is not None:
        told.append(found.verdict.words())
    if not found.picked:
        told.append("All of this was seen by the search: how the parameters do on other days is not known. "
                    "--walk-forward 5 looks at that.")  # fmt: skip
    elif (share := kept(found)) is not None:
        told.append(f"On the days after, the picked parameters made {share:.0%} of what they had made while they were "
                    "being picked. That, and not the best line above, is what to expect.")  # fmt: skip
    return told


# --- for people -------------------------------------------------------------------------------------


def render(found: Found) -> str:
    """The page: the best sets, the days after, and the warnings."""
    job, request = found.job, found.request
    lines = [
        f"{found.space.strategy.name}, {len(job.days):,} days from {job.days[0]} to {job.days[-1]}",
        f"{request.method} search for the best {OBJECTIVES[request.objective]} over {'; '.join(found.space.words())}",
        f"{len(found.trials):,} sets{_left_out(found)}", "",
    ]  # fmt: skip
    lines += _table(found)
    if found.picked:
        lines += ["", "Walk-forward: picked on the days before, judged on the days after", *_after(found)]
    lines += ["", *warnings(found)]
    return "\n".join(lines) + "\n"


def _left_out(found: Found) -> str:
    parts = [f"{n:,} refused by PARAMS ({why})" for why, n in found.refused.most_common(3)]
    parts += [f"{n:,} failed ({why})" for why, n in failed(found).items()]
    if few := _too_few(found):
        parts.append(f"{few:,} with fewer than {found.request.min_trades} trades are not ranked")
    return "".join(f"; {part}" for part in parts)


def _table(found: Found) -> list[str]:
    names = [d.name for d in found.space.dimensions]
    head = [*names, "trades", "charges", "net", "Sharpe", "Sortino", "Calmar", "factor", "won", "drawdown"]
    keys = ("trades", "charges", "net", "sharpe", "sortino", "calmar", "profit_factor", "win_rate", "drawdown")
    rows = []
    for i in found.ranked[:_TOP]:
        trial = found.trials[i]
        rows.append([*map(_value, trial.values), *(_cell(key, trial.numbers[key]) for key in keys)])
    return _aligned([head, *rows]) if rows else []


def _after(found: Found) -> list[str]:
    names = [d.name for d in found.space.dimensions]
    head = ["trained", "tested", *names, "net before", "net after", "trades", "Sharpe before", "after"]
    rows = []
    for one in found.picked:
        told = _window(found, names, one)
        spans = [" to ".join(told["train"]), " to ".join(told["test"])]
        if one.train is None or one.test is None:
            rows.append([*spans, *["-"] * len(names), "-", "-", "-", "-", "-"])
            continue
        rows.append([
            *spans, *map(_value, one.values), _cell("net", one.train.net / 100), _cell("net", one.test.net / 100),
            str(one.test.trades), _cell("sharpe", one.train.sharpe), _cell("sharpe", one.test.sharpe),
        ])  # fmt: skip
    if (after := found.after) is not None:
        rows.append(["all days after", "", *[""] * len(names), "", _cell("net", after.net / 100), str(after.trades),
                     "", _cell("sharpe", after.sharpe)])  # fmt: skip
    return _aligned([head, *rows])


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}"


def _cell(key: str, number: float | None) -> str:
    if number is None:
        return "-"
    if key in ("net", "gross", "charges", "drawdown"):
        sign = "-" if round(number) < 0 else ""
        return f"{sign}₹{group_indian(abs(round(number)))}"
    if key == "trades":
        return f"{number:.0f}"
    return f"{number:.0f} %" if key == "win_rate" else f"{number:.2f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


# --- every set --------------------------------------------------------------------------------------


def trials_csv(found: Found) -> str:
    """All sets in the order in which they were tried."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    windows = [f"train_{k + 1}" for k in range(max((len(t.train) for t in found.trials), default=0))]
    table.writerow([*(d.name for d in found.space.dimensions), "score", *_FIGURES, *windows, "fault"])
    for trial in found.trials:
        figures = [trial.numbers.get(name) for name in _FIGURES]
        cells = [*map(_value, trial.values), *map(_number, [trial.score, *figures, *trial.train]), trial.fault]
        table.writerow(cells)
    return out.getvalue()


def _number(x: float | None) -> str:
    return "" if x is None else repr(x)
