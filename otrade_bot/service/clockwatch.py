"""Notices that the machine's clock was set, that the machine slept, or that this process stood still.

Three clocks of Linux differ in what they count: REALTIME is the wall and can be set; MONOTONIC stands
still while the machine sleeps; BOOTTIME does not. What one of them did and another did not tells which
it was. NTP slews all three alike, so a slew is no step.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from otrade_bot.core.clock import SECOND

__all__ = ["ClockWatch", "Reading", "Step", "StepKind", "read_clocks"]

PERIOD = SECOND
#: A wall clock that moved by less is nobody's news.
THRESHOLD = SECOND
#: An exit is priced anew after 3 s: who stood still so long has missed something.
STALL = 3 * SECOND
#: Three clocks are read as one moment where it took less.
MOMENT = 5_000_000


class StepKind(StrEnum):
    STEPPED = "stepped"  #: the wall clock was set
    SLEPT = "slept"  #: the machine was suspended
    STALLED = "stalled"  #: the process stood still: stopped, starved, or its virtual machine paused


@dataclass(frozen=True, slots=True)
class Step:
    """``seconds`` is negative for a wall clock that was set back, else positive."""

    kind: StepKind
    seconds: float

    @property
    def text(self) -> str:
        """One line for a human."""
        if self.kind is StepKind.STEPPED:
            way = "forward" if self.seconds > 0 else "back"
            return f"the machine's clock was set {way} by {abs(self.seconds):.1f} s"
        if self.kind is StepKind.SLEPT:
            return f"the machine slept for {self.seconds:.1f} s"
        return f"the process stood still for {self.seconds:.1f} s"


class Reading(NamedTuple):
    """Nanoseconds of CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, at one moment."""

    real: int
    mono: int
    boot: int


def read_clocks() -> Reading:
    """The clocks of this machine. Read again where something came between."""
    boot_clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    for _ in range(5):
        mono = time.monotonic_ns()
        found = Reading(time.time_ns(), mono, time.clock_gettime_ns(boot_clock))
        if time.monotonic_ns() - mono < MOMENT:
            break
    return found


class ClockWatch:
    """``observe`` once a ``period`` (ns). ``last`` is the newest step and ``last_ns`` the wall time it was seen."""

    def __init__(
        self,
        read: Callable[[], Reading] = read_clocks,
        *,
        period: int = PERIOD,
        threshold: int = THRESHOLD,
        stall: int = STALL,
    ) -> None:
        self._read, self._period, self._threshold, self._stall = read, period, threshold, stall
        self._before: Reading | None = None
        self._busy = False
        self._found: deque[Step] = deque()
        self.last: Step | None = None
        self.last_ns = 0

    def busy(self) -> None:
        """Until the next ``observe`` the process has its hands full by its own will: no stall, whatever it takes.
        Steps are noticed from here on."""
        self._busy = True
        if self._before is None:
            self._before = self._read()

    def observe(self) -> Step | None:
        """What has happened since the last call; of several things at once, one a call."""
        now = self._read()
        if self._before is not None:
            self._compare(self._before, now)
        self._before, self._busy = now, False
        if not self._found:
            return None
        self.last, self.last_ns = self._found.popleft(), now.real
        return self.last

    def _compare(self, before: Reading, now: Reading) -> None:
        real, mono, boot = (b - a for a, b in zip(before, now, strict=True))
        slept, stepped, late = boot - mono, real - boot, mono - self._period
        if slept > self._threshold:
            self._found.append(Step(StepKind.SLEPT, slept / SECOND))
        if abs(stepped) > self._threshold:
            self._found.append(Step(StepKind.STEPPED, stepped / SECOND))
        if late > self._stall and not self._busy:
            self._found.append(Step(StepKind.STALLED, late / SECOND))

    async def run(self, told: Callable[[Step], None]) -> None:
        """For ever. ``told`` is called in the event loop for each step."""
        while True:
            while (step := self.observe()) is not None:
                told(step)
            await asyncio.sleep(self._period / SECOND)
