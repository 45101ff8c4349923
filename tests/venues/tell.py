"""Order updates on their way from the exchange to the stream: they may be lost, repeated, held back, reordered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Teller:
    """Give it updates; they go on to ``send`` unless told otherwise."""

    def __init__(self, send: Callable[[Any], None]) -> None:
        self._send = send
        self.copies = 1  #: of each update that goes out; 0 loses it
        self.holding = False
        self.held: list[Any] = []
        self.told: list[Any] = []  #: everything that the exchange said, lost or not

    def __call__(self, update: Any) -> None:
        self.told.append(update)
        if self.holding:
            self.held.append(update)
            return
        for _ in range(self.copies):
            self._send(update)

    def lose(self) -> None:
        """From now on nothing arrives; ``well`` ends it."""
        self.copies = 0

    def repeat(self, times: int = 2) -> None:
        """From now on each arrives so many times."""
        self.copies = times

    def hold(self) -> None:
        """Keep them back until ``release``."""
        self.holding = True

    def release(self, *, newest_first: bool = False) -> None:
        """What was held goes out, in this order."""
        self.holding, held, self.held = False, self.held, []
        for update in reversed(held) if newest_first else held:
            for _ in range(self.copies):
                self._send(update)

    def well(self) -> None:
        """As a stream should be. What is held goes out."""
        self.copies = 1
        self.release()
