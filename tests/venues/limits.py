"""What Telegram bears before it says 429: a message a second in a private chat, 20 a minute in a group, 30 a second."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Limits:
    """``wall`` gives seconds. ``burst`` messages at once are borne in a private chat, as Telegram does for a moment;
    after them one a second. ``refused`` counts the 429s."""

    wall: Callable[[], float]
    burst: int = 1
    group_a_minute: int = 20
    all_a_second: int = 30
    refused: int = 0
    _taken: defaultdict[int, deque[float]] = field(default_factory=lambda: defaultdict(deque), repr=False)
    _all: deque[float] = field(default_factory=deque, repr=False)

    def refuses(self, chat_id: int) -> int:
        """Seconds to wait, 0: the message is taken."""
        now = self.wall()
        most, within = (self.burst, float(self.burst)) if chat_id > 0 else (self.group_a_minute, 60.0)
        wait = max(_wait(self._taken[chat_id], most, within, now), _wait(self._all, self.all_a_second, 1.0, now))
        if wait > 0:
            self.refused += 1
            return math.ceil(wait)
        self._taken[chat_id].append(now)
        self._all.append(now)
        return 0


def _wait(times: deque[float], most: int, within: float, now: float) -> float:
    """Until fewer than ``most`` lie in the span before."""
    while times and now - times[0] >= within:
        times.popleft()
    return times[len(times) - most] + within - now if len(times) >= most else 0.0
