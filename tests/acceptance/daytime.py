"""The machine's clock, moved back by whole hours where it is night in India and no live session fits around it."""

from __future__ import annotations

import time

import pytest

from otrade_bot.core.clock import SECOND, to_ist
from tests.acceptance.test_service_faketime import LIBRARY, faked

__all__ = ["DayTime"]


class DayTime:
    """At night it is afternoon: for the test by ``now_ns``, for processes by ``environment`` (libfaketime)."""

    def __init__(self) -> None:
        hour = to_ist(time.time_ns()).hour
        self.hours = 0 if 8 <= hour < 23 else (hour - 15) % 24

    def now_ns(self) -> int:
        return time.time_ns() - self.hours * 3600 * SECOND

    def environment(self) -> dict[str, str]:
        """For a process of its own; skips the test where it cannot be told another time."""
        if self.hours and LIBRARY is None:
            pytest.skip("it is night in India, and without libfaketime no process can be told otherwise")
        return {} if not self.hours else faked(f"-{self.hours}h")
