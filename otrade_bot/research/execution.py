"""How well a day's signals were carried out: slippage, latency, what was refused and why, and all that by strategy.

Slippage is of entries: from the price of the signal to the average of its fills, times the shares; above 0 is worse
than the signal. An entry without a signal of its day (adopted, claimed, kept over night) has none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from otrade_bot.core.money import group_indian, rupees, rupees_text, to_paise
from otrade_bot.research.rows import Line, Rung, rung_of

__all__ = ["Execution", "execution_lines"]


@dataclass(slots=True)
class _Entry:
    """What was bought on one signal. Prices and value in paise."""

    price: int
    sign: int  #: 1 bought, -1 sold short
    shares: int = 0
    value: int = 0

    @property
    def slip(self) -> int:
        return self.sign * (self.value - self.price * self.shares)


@dataclass(slots=True)
class Execution:
    """Fed with the lines of a day in order, those that ``docs/journal.md`` names."""

    signals: Counter[str] = field(default_factory=Counter)  #: by strategy
    refused: Counter[str] = field(default_factory=Counter)  #: by strategy
    reasons: dict[str, str] = field(default_factory=dict)  #: by code, the newest
    rejected: dict[str, str] = field(default_factory=dict)  #: reasons by tag
    took: dict[str, tuple[int, int]] = field(default_factory=dict)  #: by tag, µs
    entries: dict[tuple[Rung, int], _Entry] = field(default_factory=dict)
    _wanted: dict[Rung, int] = field(default_factory=dict)  #: price of the signal that has no fill yet
    _cycles: set[tuple[Rung, int]] = field(default_factory=set)

    def signal(self, row: Line) -> None:
        """Repeated ones count; the newest price is what the next fill is held against."""
        self.signals[row.text("strategy", "")] += 1
        price = row.whole("price_paise", 0, default=0)
        if price and row.has("symbol"):
            self._wanted[rung_of(row)] = price

    def refusal(self, row: Line) -> None:
        """Whatever is bought later is not bought on that signal."""
        self.refused[row.text("strategy", "")] += 1
        self.reasons[row.text("code")] = row.text("reason", "")
        if row.has("symbol"):
            self._wanted.pop(rung_of(row), None)

    def order(self, row: Line) -> None:
        tag = row.text("tag")
        if not tag or row.text("leg", "") != "entry":
            return
        if row.text("status", "") == "rejected":
            self.rejected[tag] = row.text("reason", "") or "no reason"
        if row.has("accepted_us"):
            self.took[tag] = row.whole("sent_us", 0), row.whole("accepted_us", 0)

    def fill(self, row: Line) -> None:
        """Cumulative; the first fill of a cycle takes the signal."""
        if row.word("leg", "entry", "exit") != "entry":
            return
        rung = rung_of(row)
        key = (rung, row.whole("cycle", 0))
        if key not in self._cycles:
            self._cycles.add(key)
            if price := self._wanted.pop(rung, 0):
                self.entries[key] = _Entry(price, 1 if row.word("side", "BUY", "SELL") == "BUY" else -1)
        entry = self.entries.get(key)
        if entry is not None and row.whole("quantity", 0) >= entry.shares:
            entry.shares, entry.value = row.whole("quantity", 0), row.whole("value_paise", 0)

    def report(self, trades: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """``slippage``, ``latency``, ``refusal_reasons``, ``rejected`` and ``by_strategy``. Money in rupees."""
        return {
            "slippage": _slippage(self.entries.values()),
            "latency": _latency(list(self.took.values())),
            "refusal_reasons": dict(sorted(self.reasons.items())),
            "rejected": dict(Counter(self.rejected.values()).most_common()),
            "by_strategy": self._by_strategy(trades),
        }

    def _by_strategy(self, trades: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for trade in trades:
            found[trade["strategy"]].append(trade)
        entered = {rung[1] for rung, _ in self.entries}
        names = sorted(found.keys() | self.signals.keys() | self.refused.keys() | entered)
        return {name: self._one(name, found[name]) for name in names if name}

    def _one(self, name: str, trades: list[Mapping[str, Any]]) -> dict[str, Any]:
        entries = [entry for (rung, _), entry in self.entries.items() if rung[1] == name]
        sums = {key: rupees(sum(to_paise(trade[key]) for trade in trades)) for key in ("gross", "charges", "net")}
        return {
            "trades": len(trades), "wins": sum(t["net"] > 0 for t in trades),
            "losses": sum(t["net"] < 0 for t in trades), **sums,
            "signals": self.signals[name], "refusals": self.refused[name], "slippage": _slippage(entries),
        }  # fmt: skip


def _slippage(entries: Iterable[_Entry]) -> dict[str, Any]:
    """``paise_per_share`` None where nothing was entered on a signal."""
    filled = [entry for entry in entries if entry.shares]
    shares, slip = sum(entry.shares for entry in filled), sum(entry.slip for entry in filled)
    each = round(slip / shares, 2) if shares else None
    return {"entries": len(filled), "shares": shares, "paise_per_share": each, "rupees": rupees(slip)}


def _latency(took: list[tuple[int, int]]) -> dict[str, Any]:
    """Of accepted entries: from the signal to the request's leaving, from there to the broker's yes. Milliseconds,
    None where there was none."""
    sent, accepted = [pair[0] for pair in took], [pair[1] for pair in took]
    return {"orders": len(took), "signal_to_sent_ms": _times(sent), "sent_to_accepted_ms": _times(accepted)}


def _times(micros: list[int]) -> dict[str, float] | None:
    return {"median": round(median(micros) / 1000, 3), "worst": max(micros) / 1000} if micros else None


# --- as text ---


def execution_lines(report: Mapping[str, Any]) -> list[str]:
    """Of what ``report`` holds; nothing where it was not worked out."""
    lines = [*_slip_line(report.get("slippage")), *_latency_line(report.get("latency"))]
    reasons, counts = report.get("refusal_reasons", {}), report.get("refusals", {})
    lines += [f"  {code} {counts.get(code, 0)}: {why}" for code, why in reasons.items() if why]
    if rejected := report.get("rejected"):
        lines.append("Rejected by the broker: " + ", ".join(f"{why} {number}" for why, number in rejected.items()))
    strategies = report.get("by_strategy", {})
    return lines + [_strategy_line(name, one) for name, one in strategies.items()]


def _slip_line(found: Mapping[str, Any] | None) -> list[str]:
    if not found or not found["entries"]:
        return []
    each, total = found["paise_per_share"], rupees_text(to_paise(found["rupees"]), sign=True)
    of = f"{group_indian(found['shares'])} shares in {found['entries']} entries"
    return [f"Slippage {each:+.2f} paise a share, {total} on {of} (plus is worse than the signal)"]


def _latency_line(found: Mapping[str, Any] | None) -> list[str]:
    """Not of an account that answers at once."""
    if not found or not found["orders"]:
        return []
    sent, accepted = found["signal_to_sent_ms"], found["sent_to_accepted_ms"]
    if not sent["worst"] and not accepted["worst"]:
        return []
    return [
        f"Latency of {found['orders']} entries: signal to sent {sent['median']:.1f} ms (worst {sent['worst']:.1f}), "
        f"sent to accepted {accepted['median']:.1f} ms (worst {accepted['worst']:.1f})"
    ]


def _strategy_line(name: str, one: Mapping[str, Any]) -> str:
    slip = one["slippage"]
    words = [
        f"{one['trades']} trades ({one['wins']} won, {one['losses']} lost)",
        f"net {rupees_text(to_paise(one['net']), sign=True)}", f"signals {one['signals']}",
        f"refused {one['refusals']}",
    ]  # fmt: skip
    if slip["entries"]:
        words.append(f"slippage {rupees_text(to_paise(slip['rupees']), sign=True)}")
    return f"{name}: {', '.join(words)}"
