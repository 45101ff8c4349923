"""How many order writes a broker takes, and what of that is kept for orders that make a position smaller.

A write counts from the moment it is let go until a window after its answer: wherever in between it reaches the
broker, no second, minute or half hour there holds more than is allowed. One without an answer counts as if it had
got there within UNDER_WAY. Pure: told the time, waits for nothing.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass
from datetime import date

from otrade_bot.core.clock import MINUTE, SECOND, ist_date

__all__ = ["KITE", "UPSTOX", "Budget", "Limits", "Window"]


@dataclass(frozen=True, slots=True)
class Window:
    """At most ``most`` writes within ``span`` (ns), the last ``kept`` of them for what reduces, and half of those for
    what is urgent."""

    span: int
    most: int
    kept: int
    name: str

    def __post_init__(self) -> None:
        if not 0 <= self.kept < self.most or self.span <= 0:
            raise ValueError(f"a window of {self.most} writes cannot keep {self.kept} of them in {self.span} ns")


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one broker. ``a_day``: placed orders, 0 = no such limit; ``kept_a_day`` of them for what reduces."""

    windows: tuple[Window, ...]
    a_day: int = 0
    kept_a_day: int = 0


KITE = Limits((Window(SECOND, 10, 4, "second"), Window(MINUTE, 400, 100, "minute")), 5000, 500)
UPSTOX = Limits(
    (Window(SECOND, 10, 4, "second"), Window(MINUTE, 500, 125, "minute"), Window(30 * MINUTE, 2000, 500, "half hour"))
)
#: Placed orders that one more entry may bring: itself, its stop, a fresh stop or the exit.
AN_ENTRY = 3
#: A write that nobody answers has reached the broker by then, or never does.
UNDER_WAY = SECOND


class Budget:
    """The writes of one account. Not for several threads."""

    def __init__(self, limits: Limits = KITE) -> None:
        self.limits = limits
        self.open_exits = 0  #: placed orders that open positions may still need today: entries stop before
        self.placed_today = 0  #: rejected ones too
        self._day: date | None = None
        self._under_way: list[int] = []  #: when each that is not answered was let go, oldest first
        self._ended: list[int] = []  #: the latest moment at which each of the others may have arrived, sorted
        self._closed = 0  #: nothing before this moment: the broker has turned writes away

    def take(self, now_ns: int, *, reduces: bool, counts: bool, urgent: bool = True) -> int | str:
        """ns to wait at least (0: go, it is taken), or why it may not go now.

        What ``reduces`` is told to wait, and only a day that is used up keeps it from going; what is not ``urgent``
        (a stop that is moved) waits where only the room for exits is left. ``counts``: to the
        day's limit, as a placed order does and a modification or cancellation does not. Whoever took tells
        ``ended`` when the answer is there.
        """
        self._come_to(now_ns)
        fault = self._day_fault(reduces=reduces) if counts else ""
        if not fault and not reduces:
            fault = self._entry_fault(now_ns)
        if fault:
            return fault
        wait = max(self._closed - now_ns, *(self._wait(window, now_ns, urgent) for window in self.limits.windows))
        if wait > 0:
            return wait
        self._under_way.append(now_ns)
        self.placed_today += counts
        return 0

    def spent(self, now_ns: int, *, counts: bool) -> bool:
        """What is left of the day is kept for exits: waiting brings no entry."""
        self._come_to(now_ns)
        return counts and bool(self._day_fault(reduces=False))

    def ended(self, taken_ns: int, now_ns: int) -> None:
        """The write that was taken then has been answered, or given up."""
        self._come_to(now_ns)
        if taken_ns in self._under_way:  # else it was given up as lost long ago
            self._under_way.remove(taken_ns)
            insort(self._ended, now_ns)

    def resume(self, placed_today: int, now_ns: int | None = None) -> None:
        """Orders of today that the broker's book shows; where more are known of, those stay."""
        if now_ns is not None:
            self._come_to(now_ns)
        self.placed_today = max(self.placed_today, placed_today)

    def turned_away(self, now_ns: int) -> None:
        """The broker said "too many": it counts otherwise than we do, so a second passes without a write."""
        self._come_to(now_ns)
        self._closed = now_ns + SECOND

    def _come_to(self, now_ns: int) -> None:
        """Forget what no window holds any more. A clock set back makes nobody wait longer than a window."""
        self._under_way = [min(taken, now_ns) for taken in self._under_way]
        while self._under_way and now_ns - self._under_way[0] >= UNDER_WAY:
            insort(self._ended, self._under_way.pop(0) + UNDER_WAY)
        if self._ended and self._ended[-1] > now_ns:
            self._ended = [min(ended, now_ns) for ended in self._ended]
        self._closed = min(self._closed, now_ns + SECOND)
        longest = max(window.span for window in self.limits.windows)
        del self._ended[: bisect_right(self._ended, now_ns - longest)]
        self._begin_day(ist_date(now_ns))

    def _begin_day(self, today: date) -> None:
        if self._day is None or today > self._day:
            self.placed_today = self.placed_today if self._day is None else 0
            self._day = today

    def _count(self, window: Window, now_ns: int) -> int:
        return len(self._under_way) + len(self._ended) - bisect_right(self._ended, now_ns - window.span)

    def _wait(self, window: Window, now_ns: int, urgent: bool) -> int:
        """Until enough of the window's writes have left it, at the earliest."""
        over = self._count(window, now_ns) - window.most + (0 if urgent else window.kept // 2)
        if over < 0:
            return 0
        inside = bisect_right(self._ended, now_ns - window.span)
        freed = inside + over
        return (self._ended[freed] + window.span - now_ns) if freed < len(self._ended) else window.span

    def _entry_fault(self, now_ns: int) -> str:
        if now_ns < self._closed:
            return "not sent: the broker turned a write away a moment ago"
        for window in self.limits.windows:
            used = self._count(window, now_ns)
            if used >= window.most - window.kept:
                kept = f"the rest of {window.most} is kept for exits"
                return f"not sent: {used} order writes within a {window.name}, {kept}"
        return ""

    def _day_fault(self, *, reduces: bool) -> str:
        most = self.limits.a_day
        if not most:
            return ""
        if reduces:
            return "" if self.placed_today < most else f"not sent: all {most} orders of the day are used"
        if self.placed_today + AN_ENTRY <= most - self.limits.kept_a_day - self.open_exits:
            return ""
        return f"not sent: {self.placed_today} orders today, what is left of {most} is kept for exits"
