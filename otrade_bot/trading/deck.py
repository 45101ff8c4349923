"""The kernel's arrays and the one door to it: every input of a live day goes in here, in its order.

Compiled code does not check what it is given, so the arrays are checked once, when they are bound. Whoever records
the day listens at this door; nothing else of trading calls the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from otrade_bot.core.money import Paise
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import Kernel
from otrade_bot.kernel.quotes import FeedHead, Quote, cells
from otrade_bot.kernel.tokens import keys_for, slots_for

__all__ = ["SPARE", "Deck", "TapeHook"]

#: Rows of QUOTE behind those of the state: instruments that are heard and not traded.
SPARE = 256
#: Ticks of a call that are told to a tape at once.
TOLD = 1024

Array = npt.NDArray[Any]
_FIELDS = tuple(abi.EVENT.names or ())
_ZERO = dict.fromkeys(_FIELDS, 0)
_TAPED = Struct("=4q")


class TapeHook(Protocol):
    """Hears every input before the kernel does, and what it intended after. Never raises.

    A tick that was accepted is told when the kernel steps it, one that was refused when it was: what Python does
    between the two (a paper fill at that price) is told before the step, as it came. ``changed`` may come in swarms.
    """

    def begin(self, deck: Deck) -> None:
        """It is on the deck from now on: the state as it is."""

    def ticks(self, records: Array) -> None:
        """TAPED records, oldest first; scratch of the deck's, valid during the call. Those of a frame are told when
        they have been stepped, up to one that intended something; none of them: a frame comes after ``changed``."""

    def event(self, kind: int, row: int, fields: Mapping[str, int]) -> None:
        """One EVENT; what is not among ``fields`` is 0."""

    def timer(self, ts: int, scan: int, code: int) -> None:
        """One through all rows."""

    def changed(self, deck: Deck) -> None:
        """Python has written to state, account or params."""

    def intents(self, out: Array, n: int) -> None:
        """The first ``n`` records of ``out`` are what the call after the last input intended."""

    def failed(self, out: Array, n: int) -> None:
        """A strategy raised at the last input; the first ``n`` records of ``out`` had been intended, and are done."""


class Deck:
    """The arrays of ``rows`` rows, zeroed. ``tape`` is told of every input; whoever sets it gets ``begin``."""

    def __init__(self, kernel: Kernel, rows: int) -> None:
        self.kernel, self.rows = kernel, rows
        self.state, self.account, self.params = kernel.new_rows(rows), kernel.new_account(), kernel.new_params(rows)
        self.events, self.out = kernel.new_event(), kernel.new_intents(rows)
        self.quotes, self.feed = kernel.new(abi.QUOTE, rows + SPARE), kernel.new(abi.FEED, 1)
        self.depth, self.slots = kernel.new(abi.DEPTH, 1), slots_for(kernel, ())
        (self.keys, self._names), self._part = keys_for(kernel, ()), kernel.new(abi.PART, 1)
        self._taped, self._offered = kernel.new(abi.TAPED, 1), kernel.new(abi.TAPED, TOLD)
        self._taped_bytes = self._taped.view(np.uint8).data  # a third of the time of an assignment
        self._cells, self.head = cells(self.quotes), FeedHead()
        self.head.move(cells(self.feed), 0)
        self._tape: TapeHook | None = None
        self._touched = False
        self.check()

    def check(self) -> None:
        """Raises ValueError for an array that the kernel was not built for."""
        for name, array, dtype, length in (
            ("state", self.state, self.kernel.row, self.rows),
            ("account", self.account, abi.ACCOUNT, 1),
            ("params", self.params, self.kernel.params, self.rows),
            ("events", self.events, abi.EVENT, 1),
            ("out", self.out, abi.INTENT, 12 * self.rows + 64),
            ("quotes", self.quotes, abi.QUOTE, self.rows + SPARE),
            ("feed", self.feed, abi.FEED, 1),
            ("offered", self._offered, abi.TAPED, TOLD),
            ("depth", self.depth, abi.DEPTH, max(1, len(self.depth))),
            ("slots", self.slots, abi.SLOT, 1 << (len(self.slots) - 1).bit_length()),
            ("keys", self.keys, abi.KEY, 1 << (len(self.keys) - 1).bit_length()),
            ("part", self._part, abi.PART, 1),
        ):
            _check(name, array, dtype, length, exact=self.kernel.compiled)

    @property
    def tape(self) -> TapeHook | None:
        """None: nobody records."""
        return self._tape

    @tape.setter
    def tape(self, tape: TapeHook | None) -> None:
        self._tape = tape
        if tape is not None:
            tape.begin(self)

    def accept(self, row: int, ts: int, price: Paise, volume: int) -> bool:
        """Whether a price is fit to act on; a refused one is counted in its row."""
        if not self.kernel.accept_one(self.state, self.account, self.params, row, ts, price, volume):
            return True
        if self._tape is not None:
            self._tick(self._tape, row, ts, price, volume)
        return False

    def tick(self, row: int, ts: int, price: Paise, volume: int) -> int:
        """Step an accepted price; how many intents there are in ``out``. Raises what a strategy raises."""
        tape = self._tape
        if tape is not None:
            self._tick(tape, row, ts, price, volume)
        try:
            n = self.kernel.tick_one(
                self.state, self.account, self.params, row, ts, price, volume, self.events, self.out
            )
        except Exception:
            self._failed(self.left())
            raise
        if tape is not None:
            tape.intents(self.out, n)
        return n

    def timer(self, ts: int, scan: int, code: int) -> int:
        """Time passes for every row; as ``tick``."""
        tape = self._tape
        if tape is not None:
            tape.timer(ts, scan, code)
        try:
            n = self.kernel.timer_all(self.state, self.account, self.params, ts, scan, code, self.out)
        except Exception:
            self._failed(0)  # whoever asked puts everything back
            raise
        if tape is not None:
            tape.intents(self.out, n)
        return n

    def event(self, kind: int, row: int, **fields: int) -> int:
        """Step one EVENT of ``kind``; what is not given is 0. As ``tick``."""
        tape = self._tape
        if tape is not None:
            tape.event(kind, row, fields)
        self.events[0] = tuple((_ZERO | fields | {"kind": kind, "row": row}).values())
        try:
            n = self.kernel.run(self.state, self.account, self.params, self.events, self.out)
        except Exception:
            self._failed(self.left())
            raise
        if tape is not None:
            tape.intents(self.out, n)
        return n

    # --- frames ---

    def seat(self, quote: Quote, row: int) -> None:
        """That row of QUOTE is read and written through ``quote``, which brings what it holds."""
        quote.move(self._cells, row)

    def listen(self, rows: Mapping[int | str, int]) -> None:
        """Rows of QUOTE by Kite's tokens and by Upstox's keys; others are unknown from now on."""
        tokens, keys = [0] * len(self.quotes), [""] * len(self.quotes)
        for name, row in rows.items():
            if isinstance(name, str):
                keys[row] = name
            else:
                tokens[row] = name
        self.slots = slots_for(self.kernel, tokens)
        self.keys, self._names = keys_for(self.kernel, keys)
        self.check()

    def want_depth(self, row: int) -> Array:
        """From now on full packets' ten levels go to the DEPTH record that is returned, a view of it."""
        q = self.quotes[row : row + 1]["depth"]
        if not q[0]:
            q[0] = 1 + int((self.quotes["depth"] > 0).sum())
            more = self.kernel.new(abi.DEPTH, self.rows + SPARE)
            more[: len(self.depth)] = self.depth
            self.depth = more if len(self.depth) < len(more) else self.depth
            self.check()
        return self.depth[int(q[0]) - 1 : int(q[0])]

    def begin(self, now: int) -> None:
        """A new frame comes, heard at ``now``."""
        self.head.now, self.head.at_byte = now, 0
        self.head.record = int(self._tape is not None)

    def kite_frame(self, frame: bytes) -> int:
        """From where ``head`` stands up to where Python is wanted: ``head.stop`` says why. As ``tick``.

        The frame's own row is ``head.row``, also where a strategy raises: called again, it goes on behind it."""
        return self._through(lambda: self.kernel.kite_frame(
            self.state, self.account, self.params, self.quotes, self.depth, self.slots, self.feed, frame, self.events,
            self.out, self._offered,
        ))  # fmt: skip

    def upstox_frame(self, frame: bytes) -> int:
        """The same with a frame of Upstox's."""
        return self._through(lambda: self.kernel.upstox_frame(
            self.state, self.account, self.params, self.quotes, self.keys, self._names, self.feed, frame, self._part,
            self.events, self.out, self._offered,
        ))  # fmt: skip

    def _through(self, call: Callable[[], int]) -> int:
        if self._touched and self._tape is not None:
            self._tape.ticks(self._offered[:0])  # what was written is told before the first of these prices
        self._touched = False
        while True:
            try:
                n = call()
            except Exception:
                self._tell_offered()
                self._failed(self.left())
                raise
            self._tell_offered()
            if n and self._tape is not None:
                self._tape.intents(self.out, n)
            if self.head.stop != abi.S_TAPE_FULL:
                return n

    def _tell_offered(self) -> None:
        if self._tape is not None and (many := self.head.taped):
            self._tape.ticks(self._offered[:many])

    def changed(self) -> None:
        """Python has written to ``state``, ``account`` or ``params``."""
        self._touched = True
        if self._tape is not None:
            self._tape.changed(self)

    def taken(self, n: int) -> Array:
        """A copy of the first ``n`` intents; their places are cleared, so that what a failing call has left
        there can be told from what is old."""
        intents: Array = self.out[:n].copy()
        self.out["kind"][:n] = 0
        return intents

    def left(self) -> int:
        """How many intents a call that has failed had put down before."""
        kinds = self.out["kind"]
        return int((kinds == 0).argmax()) if (kinds == 0).any() else len(kinds)

    def dropped(self) -> None:
        """Nothing of what was intended so far is to be done."""
        self.out["kind"] = 0

    def _failed(self, n: int) -> None:
        if self._tape is not None:
            self._tape.failed(self.out, n)

    def _tick(self, tape: TapeHook, row: int, ts: int, price: Paise, volume: int) -> None:
        _TAPED.pack_into(self._taped_bytes, 0, row, ts, price, volume)
        tape.ticks(self._taped)


def _check(name: str, array: Array, dtype: np.dtype[Any], length: int, *, exact: bool) -> None:
    """``exact``: an equal dtype that is another object is let pass by no compiled call, or makes each one slow."""
    same = array.dtype is dtype if exact else array.dtype == dtype
    flags = array.flags
    if not (same and array.ndim == 1 and len(array) == length and flags.c_contiguous and flags.writeable):
        raise ValueError(
            f"deck: {name} is {array.dtype} {array.shape}; the kernel wants {length} writable contiguous records of "
            f"{dtype}"
        )
