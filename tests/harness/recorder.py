"""A tape in memory that hears all that goes into a deck, and a deck that lives through it once more."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from otrade_bot.kernel.compile import Kernel
from otrade_bot.trading.deck import Deck


class Recorder:
    """Copies of all that is told, and of the arrays where they were written to by hand: before the next input, as a
    swarm of such writings is one."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.intents_told: list[tuple[int, ...]] = []
        self._deck: Deck | None = None
        self._changed = False

    def begin(self, deck: Deck) -> None:
        self._deck = deck
        self.told.append(("begin", *copies(deck)))

    def ticks(self, records: Any) -> None:
        self._note()
        self.told += [("tick", *one.item()) for one in records]

    def event(self, kind: int, row: int, fields: Mapping[str, int]) -> None:
        self._note()
        self.told.append(("event", kind, row, dict(fields)))

    def timer(self, ts: int, scan: int, code: int) -> None:
        self._note()
        self.told.append(("timer", ts, scan, code))

    def changed(self, deck: Deck) -> None:
        self._changed = True

    def intents(self, out: Any, n: int) -> None:
        self.intents_told += [one.item() for one in out[:n]]

    def failed(self, out: Any, n: int) -> None:
        self.told.append(("failed", n))

    def _note(self) -> None:
        if self._changed and self._deck is not None:
            self._changed = False
            self.told.append(("changed", *copies(self._deck)))


def copies(deck: Deck) -> tuple[Any, ...]:
    return deck.state.copy(), deck.account.copy(), deck.params.copy()


def again(told: list[tuple[Any, ...]], kernel: Kernel, rows: int) -> tuple[Deck, Recorder]:
    """Everything that was told, into a deck of its own. An input at which a strategy raises does so again."""
    deck, listening = Deck(kernel, rows), Recorder()
    for what, *given in told:
        if what == "changed":
            for mine, theirs in zip((deck.state, deck.account, deck.params), given, strict=True):
                mine[:] = theirs
        elif what == "begin":
            deck.state[:], deck.account[:], deck.params[:] = given
            deck.tape = listening
        elif what == "tick":
            if deck.accept(*given):
                with suppress(IndexError):
                    deck.tick(*given)
        elif what == "event":
            deck.event(given[0], given[1], **given[2])
        elif what == "timer":
            deck.timer(*given)
    return deck, listening
