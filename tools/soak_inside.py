"""What ``soak`` puts before the service in its own process: it looks at it from inside.

How long each frame took until all of it was decided (µs) and how late the loop was (ms), from the first price on, told
at the end; what was counted, told every two seconds.
"""

import array
import asyncio
import atexit
import json
import os
import time

_frames, _lags = array.array("d"), array.array("d")
_feeds = []


def _engine():
    return _feeds[-1]._engine if _feeds else None


def _trades():
    engine = _engine()
    return engine is not None and engine.counters.ticks > 0


def _write(name, found):
    path = os.path.join(os.environ["OTRADE_STATE_DIR"], name)
    with open(path + ".new", "w") as file:
        json.dump(found, file)
    os.replace(path + ".new", path)


def _count():
    engine = _engine()
    if engine is None:
        return
    names = "frames packets unknown misshapen torn told used".split()
    _write("soak.json", {
        "head": {name: int(getattr(engine.deck.head, name)) for name in names},
        "drops": [int(n) for n in engine.state["drops"].sum(axis=0)],
        "heard": sum(line.prices for line in _feeds[-1]._lines),
        "positions": len(engine.positions()), "signals": engine.counters.signals,
    })  # fmt: skip


async def _watch():
    told = time.monotonic()
    while True:
        due = time.monotonic() + 0.02
        await asyncio.sleep(0.02)
        now = time.monotonic()
        if _trades():
            _lags.append(1e3 * max(0.0, now - due))
        if now - told > 2:
            told = now
            _count()


def _look():
    from otrade_bot.service.app import Service
    from otrade_bot.service.live_feed import LiveFeed

    frame, run, made = LiveFeed._frame, Service.run, LiveFeed.__init__

    def init(self, *args, **kwargs):
        made(self, *args, **kwargs)
        _feeds.append(self)

    def timed(self, line, data):
        began = time.perf_counter()
        try:
            return frame(self, line, data)
        finally:
            if _trades():
                _frames.append(1e6 * (time.perf_counter() - began))

    async def watched(self):
        task = asyncio.ensure_future(_watch())
        try:
            await run(self)
        finally:
            task.cancel()

    LiveFeed.__init__, LiveFeed._frame, Service.run = init, timed, watched
    atexit.register(lambda: _write("soak-times.json", {"frames": list(_frames), "lags": list(_lags)}))


_look()
