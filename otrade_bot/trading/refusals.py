"""What a broker's no means beyond the one order, and how soon one may ask again.

A no because of the login, of the address that orders leave from, or of too much traffic says nothing of the order:
it is tried again, later and later, so that the day's budget of orders is not burnt. Entries that are refused in a
row say that something is wrong with all of them.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import Enum

from otrade_bot.core.clock import SECOND
from otrade_bot.core.model import Refused

__all__ = ["LONGEST", "Pauses", "Storm", "Trouble", "beyond_circuit", "trouble_of"]

#: The longest wait between two tries of one exit.
LONGEST = 15 * SECOND
#: Refusals further apart than this do not belong together.
_FORGET = 60 * SECOND
#: Codes of refusals that never left this program.
OWN = frozenset({"absent", "exceeds_position", "market", "no_price", "not_sent"})


class Trouble(Enum):
    """What a refusal is about, where it is not about the order."""

    NONE = ""
    TOKEN = "the login"  # noqa: S105 - words
    ADDRESS = "the address"
    TRAFFIC = "too many requests"
    MODIFICATIONS = "modifications of one order"

    @property
    def passing(self) -> bool:
        """The same order may be taken once the trouble is over."""
        return self in (Trouble.TOKEN, Trouble.ADDRESS, Trouble.TRAFFIC)


_CODES = {
    "TokenException": Trouble.TOKEN,
    "UDAPI100050": Trouble.TOKEN,  # invalid token
    "UDAPI100016": Trouble.TOKEN,  # credentials
    "UDAPI100067": Trouble.TOKEN,  # an extended token where a full one is needed
    "budget": Trouble.TRAFFIC,  # ours
    "NetworkException": Trouble.TRAFFIC,  # Kite's 429
    "UDAPI10005": Trouble.TRAFFIC,
}
#: In this order; brokers' own words vary, and none is documented for the address.
_WORDS = (
    (Trouble.ADDRESS, re.compile(r"\b(static|unregistered|registered|whitelisted|allowed|source|this)\W+ips?\b|"
                                 r"\bips?\W+([\da-f.:]+\W+)?(address|is|not|isn|was|mismatch|configured)",
                                 re.IGNORECASE)),
    (Trouble.TOKEN, re.compile(r"\baccess[_ ]token\b|\binvalid token\b|\btoken (is |has )?(invalid|expired)\b",
                               re.IGNORECASE)),
    (Trouble.MODIFICATIONS, re.compile(r"\b(max\w*|limit\w*|exceed\w*)\b.*\bmodif|\bmodif\w*\b.*\b(max|limit|exceed)",
                                       re.IGNORECASE)),
    (Trouble.TRAFFIC, re.compile(r"\btoo many request|\brate limit", re.IGNORECASE)),
)  # fmt: skip


def trouble_of(refused: Refused) -> Trouble:
    """By the code where one is known, else by the words."""
    if refused.code in OWN:
        return Trouble.NONE
    known = _CODES.get(refused.code)
    if known is not None:
        return known
    return next((kind for kind, words in _WORDS if words.search(refused.reason)), Trouble.NONE)


#: Exchanges call it circuit, price band, daily range, or LPP (limit price protection).
_CIRCUIT = re.compile(r"\bcircuit\b|\bprice (band|range)\b|\bdaily (price )?range\b|\blpp\b", re.IGNORECASE)


def beyond_circuit(reason: str) -> bool:
    """The price of the order is not one of today's; the last traded one always is."""
    return _CIRCUIT.search(reason) is not None


@dataclass(slots=True)
class Pauses:
    """How long who was refused waits: 1 s, 2 s, 4 s, 8 s, 15 s, and from the start after a minute of peace."""

    _seen: dict[Hashable, tuple[int, int]] = field(default_factory=dict)  #: how often, and when last

    def next(self, who: Hashable, now: int) -> int:
        """The wait after one more refusal, ns."""
        times, last = self._seen.get(who, (0, 0))
        times = 1 if now - last > _FORGET else times + 1
        self._seen[who] = times, now
        return min(LONGEST, SECOND << min(times - 1, 10))

    def forget(self, who: Hashable) -> None:
        """It was taken."""
        self._seen.pop(who, None)

    def clear(self) -> None:
        self._seen.clear()


@dataclass(slots=True)
class Storm:
    """Entries that the broker refuses one after the other. ``most`` 0: never mind."""

    most: int = 5
    within_ns: int = 60 * SECOND
    _times: deque[int] = field(default_factory=deque)

    def refused(self, now: int) -> bool:
        """One more; True where it makes a storm, once."""
        self._times.append(now)
        while self._times and now - self._times[0] > self.within_ns:
            self._times.popleft()
        if not self.most or len(self._times) < self.most:
            return False
        self._times.clear()
        return True

    def calm(self) -> None:
        """An entry has filled."""
        self._times.clear()
