"""The day once more: the same kernel is given what the tape holds, and must intend the same and end the same.

A difference means that what traded and what would be backtested are not the same program, or that the machine has
miscounted. Where an intent differs the input is known; where only a fingerprint does, it lies between two marks.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from otrade_bot.core.clock import to_ist
from otrade_bot.core.errors import DataException
from otrade_bot.core.money import group_indian, rupees_text
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import Kernel
from otrade_bot.research.tape import Begin, Change, Header, Mark, Segment, describe, read_segment
from otrade_bot.research.tape_blocks import FAILED, Inputs, fingerprints

__all__ = ["Difference", "KernelFor", "Verdict", "check", "check_day", "input_words", "intent_words"]

Array = npt.NDArray[Any]
#: The kernel that a segment was recorded with, or in words why it is not to be had here.
KernelFor = Callable[[Header], Kernel | str]

_KINDS = {
    abi.TICK: "price", abi.BAR: "bar", abi.FILL: "fill", abi.REJECT: "refusal", abi.DONE: "end of an order",
    abi.ADOPT: "order taken over", abi.PHASE: "phase", abi.TIMER: "minute",
}  # fmt: skip
_INTENTS = {
    abi.ENTER: "enter", abi.EXIT: "exit", abi.STOP: "stop", abi.EVALUATED: "look", abi.LIMITED: "limit",
    abi.HALTED: "loss limit", abi.STRAY: "stray fill", FAILED: "strategy failed",
}  # fmt: skip
_VERDICTS = ("no", "buy", "sell", "buy and sell")
#: What the kernel alone writes of an account: Python's own are taken as they come.
_OWN = ("day", "rungs", "used", "trades", "realised", "unrealised")


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing that came out otherwise. ``ts``: market time of the input (ns UTC), of the mark behind it where
    only that is known, and then ``since`` is that of the last mark that agreed."""

    what: str  #: intent, state, account, params or inputs
    segment: int
    place: int  #: number of the input in its segment, from 0
    ts: int
    since: int
    symbol: str
    event: str  #: the input
    recorded: str
    came: str

    def words(self) -> str:
        """One line."""
        when = f"at {to_ist(self.ts):%H:%M:%S}"
        if self.since:
            when = f"between {to_ist(self.since):%H:%M:%S} and {to_ist(self.ts):%H:%M:%S}"
        whose = f", {self.symbol}" if self.symbol else ""
        event = f" ({self.event})" if self.event else ""
        return f"{when}{whose}{event}: recorded {self.recorded}; replayed {self.came}"


@dataclass(slots=True)
class Verdict:
    """Of a day. ``notes``: what could not be compared, and why; it is no difference."""

    day: str
    segments: int = 0
    compared: int = 0  #: segments that were replayed
    inputs: int = 0
    ticks: int = 0
    intents: int = 0
    marks: int = 0
    dropped: int = 0  #: bytes of flushes that were cut off
    difference: Difference | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Nothing differs, and something was compared."""
        return self.difference is None and self.compared > 0

    def words(self) -> str:
        """The quiet line, or the first difference."""
        more = "".join(f"; {note}" for note in self.notes)
        if self.difference is not None:
            return f"self-check: DIFFERENT {self.difference.words()}{more}"
        if not self.compared:
            return f"self-check: nothing was replayed{more}"
        return f"self-check: {group_indian(self.inputs)} inputs replayed, identical{more}"

    def data(self) -> dict[str, Any]:
        """For the journal and for ``--json``."""
        return {**asdict(self), "well": self.well}


def check_day(paths: Iterable[Path], kernel_for: KernelFor, day: date) -> Verdict:
    """Every segment of a day, up to the first difference. Raises DataException for a tape that cannot be read."""
    verdict = Verdict(day.isoformat())
    for path in paths:
        verdict.segments += 1
        segment = read_segment(path)
        header = segment.header
        if header.kernel == "interpreted":
            verdict.notes.append(f"segment {header.segment} was recorded by the interpreted kernel")
            continue
        kernel = kernel_for(header)
        if isinstance(kernel, str):
            since = f"{to_ist(header.began):%H:%M:%S}"
            verdict.notes.append(f"segment {header.segment} from {since} was recorded by another kernel ({kernel})")
            continue
        check(segment, kernel, verdict)
        if verdict.difference is not None:
            return verdict
    return verdict


def check(segment: Segment, kernel: Kernel, verdict: Verdict) -> None:
    """Replay one segment. Raises DataException for a tape that does not fit the kernel, or cannot be read."""
    header = segment.header
    if header.row != describe(kernel.row) or header.params != describe(kernel.params):
        raise DataException(f"{segment.path.name}: its arrays are not those of the kernel {kernel.key}")
    parts = iter(segment.parts())
    begin = next(parts, None)
    if not isinstance(begin, Begin):  # cut off before it was whole
        verdict.notes.append(f"segment {header.segment} ended before it had begun")
        return
    replay = _Replay(header, kernel, begin, verdict)
    for part in parts:
        if isinstance(part, Inputs):
            replay.feed(part)
        elif isinstance(part, Change):
            replay.change(part)
        elif isinstance(part, Mark):
            replay.mark(part)
        if verdict.difference is not None:
            return
    verdict.compared += 1
    verdict.dropped += segment.dropped


class _Replay:
    """The arrays of one segment, and how far they have come."""

    def __init__(self, header: Header, kernel: Kernel, begin: Begin, verdict: Verdict) -> None:
        n = header.rows
        self.header, self.kernel, self.verdict = header, kernel, verdict
        self.state, self.account, self.params = kernel.new_rows(n), kernel.new_account(), kernel.new_params(n)
        self.state[:] = np.frombuffer(begin.state, kernel.row)
        self.account[:] = np.frombuffer(begin.account, abi.ACCOUNT)
        self.params[:] = np.frombuffer(begin.params, kernel.params)
        self.walk, self.event = kernel.new(abi.WALK, 1), kernel.new_event()
        self.out = kernel.new(abi.INTENT, len(kernel.new_intents(n)) + 4096)
        self.of = np.zeros(len(self.out), np.int64)
        self.place, self.digest = 0, 0
        self.agreed = np.full(n, header.began)  #: when each row was last found to be the same

    # --- the parts -------------------------------------------------------------------------------------

    def feed(self, inputs: Inputs) -> None:
        """Through the kernel, and what it intends beside what it did then."""
        self._look_through(inputs)
        self.digest = inputs.digest(self.digest)
        self.place += len(inputs)
        self.verdict.inputs += len(inputs)
        self.verdict.ticks += len(inputs.ticks)
        self.verdict.intents += len(inputs.intents)

    def change(self, change: Change) -> None:
        """What Python wrote then, after a look at what only the kernel writes."""
        recorded = np.frombuffer(change.account, abi.ACCOUNT)
        self._accounts(recorded, _OWN, 0)
        self.account[:] = recorded
        self.params[change.rows] = np.frombuffer(change.params, self.kernel.params)

    def mark(self, mark: Mark) -> None:
        """Compare how it stands."""
        self.verdict.marks += 1
        self._accounts(np.frombuffer(mark.account, abi.ACCOUNT), abi.ACCOUNT.names or (), mark.ts)
        found = fingerprints(self.state[mark.first : mark.first + len(mark.rows)])
        for row in np.flatnonzero(found != mark.rows)[:1] + mark.first:
            self._differs("state", mark.ts, "what its row holds", "another state", row=int(row))
        self.agreed[mark.first : mark.first + len(mark.rows)] = mark.ts
        if zlib.crc32(self.params.tobytes()) != mark.params:
            self._differs("params", mark.ts, "the numbers of that moment", "others")
        if (mark.inputs, mark.digest) != (self.place, self.digest):
            self._differs(
                "inputs", mark.ts, f"{group_indian(mark.inputs)} inputs since the beginning",
                f"{group_indian(self.place)}, or not the same ones: the tape is not what the service was given",
            )  # fmt: skip

    # --- inputs ------------------------------------------------------------------------------------------

    def _look_through(self, inputs: Inputs) -> None:
        kernel, walk = self.kernel, self.walk
        ticks, events = self._own(inputs.ticks, abi.TAPED), self._own(inputs.events, abi.EVENT)
        every = np.zeros(len(inputs) + 1, bool)
        every[inputs.at[(events["kind"] == abi.TIMER) & (events["row"] < 0)]] = True
        walk[:] = np.zeros(1, abi.WALK)
        seen = 0
        while int(walk["place"][0]) < len(inputs) and self.verdict.difference is None:
            begin = int(walk["place"][0])
            kept = (self.state.copy(), self.account.copy()) if every[begin] else None
            walk["n"] = 0
            self.out["kind"] = 0
            try:
                kernel.replay_tape(
                    self.state, self.account, self.params, ticks, events, inputs.at, walk, self.event, self.out, self.of
                )
            except Exception:
                self._failed(kept if int(walk["place"][0]) == begin + 1 else None)
            seen = self._compare(inputs, seen, int(walk["n"][0]))
        if self.verdict.difference is None and seen < len(inputs.intents):
            self._intents(inputs, seen, None)

    def _own(self, records: Array, dtype: np.dtype[Any]) -> Array:
        """As the kernel takes them."""
        found = self.kernel.new(dtype, len(records))
        found[:] = records
        return found

    def _failed(self, kept: tuple[Array, Array] | None) -> None:
        """A strategy raised, as the engine has it: a whole minute is put back, of a row's step what came before counts.
        A mark of its own stands behind it."""
        n, place = int(self.walk["n"][0]), int(self.walk["place"][0]) - 1
        if kept is not None:
            self.state[:], self.account[:] = kept
        else:
            while n < len(self.out) and self.out["kind"][n]:
                n += 1
        self.of[int(self.walk["n"][0]) : n + 1] = place
        self.out[n : n + 1] = np.zeros(1, abi.INTENT)
        self.out["kind"][n] = FAILED
        self.walk["n"] = n + 1

    def _compare(self, inputs: Inputs, seen: int, n: int) -> int:
        """The first ``n`` of what came out beside what is recorded from ``seen`` on; how far that is then."""
        then, of = inputs.intents[seen : seen + n], inputs.of[seen : seen + n]
        now, place = self.out[:n], self.of[:n]
        if len(then) == n and np.array_equal(of, place) and then.tobytes() == now.tobytes():
            return seen + n
        for i in range(n):
            if i >= len(then) or of[i] != place[i] or then[i].tobytes() != now[i].tobytes():
                self._intents(inputs, seen + i, i)
                break
        return seen + n

    def _intents(self, inputs: Inputs, seen: int, now: int | None) -> None:
        """Intent number ``seen`` of the record is not number ``now`` of what came out."""
        symbols, none = self.header.symbols, 1 << 62
        then_at = int(inputs.of[seen]) if seen < len(inputs.of) else none
        now_at = int(self.of[now]) if now is not None else none
        at = min(then_at, now_at)
        recorded = intent_words(inputs.intents[seen], symbols) if then_at == at else "nothing"
        came = intent_words(self.out[now], symbols) if now is not None and now_at == at else "nothing"
        if recorded == came:
            recorded, came = f"{recorded}: {inputs.intents[seen].item()}", f"{came}: {self.out[now].item()}"
        ts, row, event = input_words(inputs, at)
        self._differs("intent", ts, recorded, came, row=row, place=at, event=event, since=False)

    # --- what differs ------------------------------------------------------------------------------------

    def _accounts(self, then: Array, names: Sequence[str], ts: int) -> None:
        for name in names:
            if int(then[name][0]) != int(self.account[name][0]):
                self._differs("account", ts, f"{name} {int(then[name][0])}", f"{name} {int(self.account[name][0])}")

    def _differs(self, what: str, ts: int, recorded: str, came: str, *, row: int = -1, place: int = 0,
                 event: str = "", since: bool = True) -> None:  # fmt: skip
        """The first one counts."""
        if self.verdict.difference is not None:
            return
        symbol = self.header.symbols[row] if row >= 0 else ""
        agreed = int(self.agreed[row] if row >= 0 else self.agreed.max())
        self.verdict.difference = Difference(
            what, self.header.segment, self.place + place, ts or agreed, agreed if since else 0, symbol, event,
            recorded, came,
        )  # fmt: skip


def input_words(inputs: Inputs, at: int) -> tuple[int, int, str]:
    """(moment, row, what it is) of one input; row -1: of all."""
    before = int(np.searchsorted(inputs.at, at))
    if before < len(inputs.at) and int(inputs.at[before]) == at:
        e = inputs.events[before]
        return int(e["ts"]), int(e["row"]), _KINDS.get(int(e["kind"]), f"event {int(e['kind'])}")
    t = inputs.ticks[at - before]
    return int(t["ts"]), int(t["row"]), f"price {rupees_text(int(t['price']))}"


def intent_words(intent: Any, symbols: Sequence[str]) -> str:
    """'enter NSE:SBIN P1 +12 at ₹550.00, stop ₹541.75'."""
    kind = _INTENTS.get(int(intent["kind"]), f"intent {int(intent['kind'])}")
    if int(intent["kind"]) in (FAILED, abi.HALTED):
        return kind
    row, price = int(intent["row"]), rupees_text(int(intent["price"]))
    symbol = symbols[row] if 0 <= row < len(symbols) else f"row {row}"  # a tape may say anything
    if int(intent["kind"]) == abi.EVALUATED:
        return f"{kind} {symbol} at {price}: {_VERDICTS[int(intent['code']) & 3]}"
    words = f"{kind} {symbol} P{int(intent['rung']) + 1}"
    if intent["qty"]:
        words += f" {int(intent['side']) * int(intent['qty']):+d}"
    if intent["price"]:
        words += f" at {price}"
    if intent["stop"]:
        words += f", stop {rupees_text(int(intent['stop']))}"
    return f"{words}, code {int(intent['code'])}" if intent["code"] else words
