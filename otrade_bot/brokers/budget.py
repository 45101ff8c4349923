"""How many order writes a broker takes, and what of that is kept for orders that make a position smaller.

Windows slide: whatever second, minute or half hour is looked at, no more left in it than is allowed. Pure: it
is told the time, and waits for nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import date

from otrade_bot.core.clock import MINUTE, SECOND, ist_date

__all__ = ["KITE", "UPSTOX", "Budget", "Limits", "Window"]


@dataclass(frozen=True, slots=True)
class Window:
    """At most ``most`` writes within ``span`` (ns), the last ``kept`` of them for what reduces."""

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


#: Counted at the broker's end, where what left a second apart may arrive closer together: hence the tenth.
_A_SECOND = Window(SECOND + SECOND // 10, 10, 4, "second")
KITE = Limits((_A_SECOND, Window(MINUTE + SECOND, 400, 100, "minute")), 5000, 500)
UPSTOX = Limits(
    (_A_SECOND, Window(MINUTE + SECOND, 500, 125, "minute"), Window(30 * MINUTE + SECOND, 2000, 500, "half hour"))
)
#: Placed orders that one more entry may still bring: itself, its stop, a fresh stop or the exit.
_AN_ENTRY = 3


class Budget:
    """The writes of one account. Not for several threads."""

    def __init__(self, limits: Limits = KITE) -> None:
        self.limits = limits
        self.open_exits = 0  #: placed orders that open positions may still need today: entries stop before
        self.placed_today = 0  #: rejected ones too
        self._day: date | None = None
        self._left: deque[int] = deque()  #: when each write left, oldest first
        self._closed = 0  #: nothing before this moment (ns): the broker has turned writes away

    def take(self, now_ns: int, *, reduces: bool, counts: bool) -> int | str:
        """ns to wait (0: go, it is taken), or why it may not go at all now.

        What ``reduces`` is told to wait, and only a day that is used up keeps it from going. ``counts``: to the
        day's limit, as a placed order does and a modification or cancellation does not.
        """
        self._come_to(now_ns)
        fault = self._day_fault(reduces) if counts else ""
        if fault:
            return fault
        if not reduces and (fault := self._entry_fault(now_ns)):
            return fault
        wait = max([self._closed - now_ns, *(self._wait(window, now_ns) for window in self.limits.windows)])
        if wait > 0:
            return wait
        self._left.append(now_ns)
        self.placed_today += counts
        return 0

    def resume(self, placed_today: int, now_ns: int | None = None) -> None:
        """Orders of today that the broker's book shows: what is known to be more stays."""
        if now_ns is not None:
            self._come_to(now_ns)
        self.placed_today = max(self.placed_today, placed_today)

    def turned_away(self, now_ns: int) -> None:
        """The broker said "too many": it counts otherwise than we do, so a second passes without a write."""
        self._come_to(now_ns)
        self._closed = now_ns + SECOND

    def used(self, now_ns: int) -> dict[str, int]:
        """Writes by window, for people."""
        self._come_to(now_ns)
        return {window.name: self._count(window, now_ns) for window in self.limits.windows}

    def _come_to(self, now_ns: int) -> None:
        """Forget what no window holds any more. A clock set back makes nobody wait longer than a window."""
        later = 0
        while self._left and self._left[-1] > now_ns:
            self._left.pop()
            later += 1
        self._left.extend([now_ns] * later)
        self._closed = min(self._closed, now_ns + SECOND)
        longest = max(window.span for window in self.limits.windows)
        while self._left and now_ns - self._left[0] >= longest:
            self._left.popleft()
        today = ist_date(now_ns)
        if self._day is not None and today > self._day:
            self.placed_today = 0
        self._day = today if self._day is None else max(self._day, today)

    def _count(self, window: Window, now_ns: int) -> int:
        found = 0
        for left in reversed(self._left):
            if now_ns - left >= window.span:
                break
            found += 1
        return found

    def _wait(self, window: Window, now_ns: int) -> int:
        """Until fewer than all of the window's writes lie in it."""
        if len(self._left) < window.most:
            return 0
        return max(0, self._left[-window.most] + window.span - now_ns)

    def _entry_fault(self, now_ns: int) -> str:
        if now_ns < self._closed:
            return "not sent: the broker has turned writes away a moment ago"
        for window in self.limits.windows:
            used = self._count(window, now_ns)
            if used >= window.most - window.kept:
                kept = f"the other {window.kept} of {window.most} are kept for exits"
                return f"not sent: {used} order writes within a {window.name}, {kept}"
        return ""

    def _day_fault(self, reduces: bool) -> str:
        most = self.limits.a_day
        if not most:
            return ""
        if reduces:
            spent = self.placed_today >= most
            return f"not sent: the broker takes {most} orders a day and has had them" if spent else ""
        room = most - self.limits.kept_a_day - self.open_exits
        if self.placed_today + _AN_ENTRY <= room:
            return ""
        return f"not sent: {self.placed_today} orders today, what is left of {most} is kept for exits"
