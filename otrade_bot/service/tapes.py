"""The day's tape in the service: begun with each desk that is opened, ended with it, replayed after the close."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from threading import Event as Flag
from typing import Any

import orjson

from otrade_bot.config.models import Config
from otrade_bot.control.views_checks import Check
from otrade_bot.core.clock import Clock, ist_date
from otrade_bot.core.errors import CommandException
from otrade_bot.core.lang import t
from otrade_bot.core.money import group_indian
from otrade_bot.research.selfcheck_run import MODULE, question_of
from otrade_bot.research.tape import Header, describe, tape_folder, tapes
from otrade_bot.service.child import Children
from otrade_bot.service.logs import get_logger
from otrade_bot.service.recorder import Recorder
from otrade_bot.strategies.loader import TradingStrategy
from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["Tapes", "strategy_files"]

#: Seconds: for a replay of the day, and for what is in memory to be on the disk.
REPLAY, WRITE, LAST = 900.0, 30.0, 3.0


class Tapes:
    """``begin`` with each desk once it has recovered, ``end`` before it is closed."""

    def __init__(self, state_dir: Path, clock: Clock, children: Children | None = None) -> None:
        self._folder, self._clock = tape_folder(state_dir), clock
        self._children = children or Children(life=REPLAY)
        self._recorder: Recorder | None = None
        self._over: Flag | None = None
        self._fault = ""
        self._enabled = False
        self._asking: asyncio.Task[bytes] | None = None
        self._said: tuple[date, Mapping[str, Any]] | None = None  #: the last self-check

    def begin(self, engine: LiveTradingEngine, config: Config) -> None:
        """A new segment, where tapes are wanted and the day is today's. Never raises: what fails is told."""
        self.end()
        self._enabled, self._fault = config.trading.tape.enabled, ""
        if not self._enabled or engine.day != ist_date(self._clock.now_ns()):
            return

        def failed(why: str) -> None:
            self._fault = why
            engine.post(lambda: engine.alert(f"the day's tape is not recorded any more ({why}); trading goes on"))

        try:
            header = _header(engine, config.brokers.instance, self._clock.now_ns())
            self._recorder = Recorder(self._folder, header, config.trading.tape.keep_days, failed)
            engine.deck.tape = self._recorder
        except Exception as error:
            engine.deck.tape = self._recorder = None
            failed(f"{type(error).__name__}: {error}")

    def end(self) -> None:
        """The segment is over; its last bytes are being written."""
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            self._over = recorder.end()

    def close(self) -> None:
        """As ``end``, and waits a moment for the disk."""
        self.end()
        if self._over is not None:
            self._over.wait(LAST)

    async def check(self, day: date, files: Mapping[str, Path]) -> Mapping[str, Any]:
        """Replay all of the day so far in a child. The verdict's data with its ``words``, or ``error``; {} where there
        is no tape. Never raises."""
        try:
            if self._recorder is not None:
                await asyncio.to_thread(self._recorder.flush(mark=True).wait, WRITE)
            if not tapes(self._folder, day):
                return {}
            asked = question_of(self._folder, day, files, os.environ.get("OTRADE_CACHE_DIR", ""))
            self._asking = asyncio.create_task(self._children.ask(MODULE, asked))
            found: Mapping[str, Any] = orjson.loads(await self._asking)
        except CommandException as error:
            found = {"error": f"the day could not be replayed: {error}"}
        except Exception as error:
            get_logger("error").exception("the self-check failed")
            found = {"error": f"the day could not be replayed: {type(error).__name__}: {error}"}
        self._said = day, found
        return found

    async def leave(self) -> None:
        """The service ends: so does a replay that is under way."""
        if self._asking is not None and not self._asking.done():
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    def checks(self) -> list[Check]:
        """For /health."""
        if not self._enabled:
            return [Check(t("Tape"), True, t("switched off in trading.json"))]
        if self._fault:
            return [Check(t("Tape"), False, t("not recorded any more: {why}", why=self._fault))]
        return [Check(t("Tape"), self._agreed(), "; ".join(filter(None, (self._recorded(), self._replayed()))))]

    def _recorded(self) -> str:
        if self._recorder is None:
            return t("nothing is recorded now")
        count, size = group_indian(self._recorder.inputs), f"{self._recorder.written / 1e6:.1f}"
        return t("{count} inputs recorded, {size} MB", count=count, size=size)

    def _agreed(self) -> bool:
        return self._said is None or not (self._said[1].get("difference") or self._said[1].get("error"))

    def _replayed(self) -> str:
        if self._said is None or not self._said[1]:
            return ""
        day, found = self._said
        said = str(found.get("words") or found.get("error"))
        return f"{day.isoformat()}: {said}"


def strategy_files(strategies: Mapping[str, TradingStrategy]) -> dict[str, Path]:
    """Where each one's file is."""
    return {name: strategy.path for name, strategy in strategies.items()}


def _header(engine: LiveTradingEngine, instance: str, now: int) -> Header:
    kernel, table = engine.kernel, engine.table
    assert engine.day is not None
    return Header(
        engine.day, 0, kernel.key, tuple(row.instrument.symbol for row in table), tuple(row.strategy for row in table),
        tuple(sorted(kernel.sids, key=kernel.sids.__getitem__)), instance, now, describe(kernel.row),
        describe(kernel.params),
    )  # fmt: skip
