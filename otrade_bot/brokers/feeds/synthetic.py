"""A made-up market day, the same for the same seed, with something of everything that happens on one.

===========  ==================================================================================
stock        its day (times shift by a few minutes and levels by a few percent with the seed)
===========  ==================================================================================
DEMOALPHA    quiet till 12:40, breakout, +8 % by 13:50, gives back 5 % after 14:30
DEMOBRAVO    breakout at 12:40 that fails at 13:25 (-5.5 % in a quarter of an hour); a second one
             at 14:10 that fails at 14:30
DEMOCHARLIE  chop around its opening price, a wave of about 25 minutes; a lull from 12:00 to 12:45;
             a single bad print 9 % away at 11:21
DEMODELTA    a staircase, +6 % by 14:00; no tick at all from 11:40 to 11:55; falls 6 % after 14:12
DEMOECHO     a real move of +2 % within 20 s at 11:05; from 13:25 sells off by 9 % in waves, each
             with a bounce that fails
===========  ==================================================================================

On top of its path a stock has noise that reverts to it, larger near the open and the close, as its
volume and its rate of ticks are. Prices lie on the exchange's tick grid. Every stock also gets a little
dirt, as a real feed has it: lines sent twice, lines that come late, a volume that falls.

Randomness comes from ``PCG64([seed, number])`` alone, so a day depends on nothing but its arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from otrade_bot.brokers.feeds.regimes import STOCKS, Path, Stock
from otrade_bot.brokers.feeds.ticks import Ints, TickFile
from otrade_bot.brokers.instruments import tick_size
from otrade_bot.core.clock import SECOND, at_ist
from otrade_bot.core.model import InstrumentKind

__all__ = [
    "DAY_SECONDS",
    "Hours",
    "Profile",
    "Value",
    "demo_day",
    "levels",
    "make",
    "opening_price",
    "second_of",
    "synthetic_day",
]

Floats = NDArray[np.float64]
DAY_SECONDS = 22_500  #: 9:15 to 15:30
_KEEP = 0.5 ** (1 / 240)  # the noise forgets half of itself in four minutes


@dataclass(frozen=True, slots=True)
class Profile:
    """What may be turned on a synthetic day."""

    gap: float = 1.5  #: mean seconds between two ticks of a stock
    noise: float = 0.11  #: percent: size of the noise at midday
    dirt: bool = True  #: lines sent twice, late or with a fallen volume


def synthetic_day(day: date, seed: int, profile: Profile | None = None) -> list[TickFile]:
    """Ticks of the five stocks from 09:15:00 to 15:30:00 IST of ``day``; about 75,000 in all."""
    return [demo_day(number, day, seed, profile) for number in range(len(STOCKS))]


def generator(seed: int, number: int) -> np.random.Generator:
    """Any int is a seed; ``number`` keeps the streams of stocks and purposes apart."""
    return np.random.Generator(np.random.PCG64([seed % 2**64, number]))


def opening_price(seed: int, number: int, day: date) -> tuple[int, int]:
    """The price in paise at which a stock opens, and its tick size."""
    about = STOCKS[number].price
    tick = tick_size(InstrumentKind.EQUITY, about, day)
    price = about * (1 + generator(seed, 1000 + number).uniform(-0.02, 0.02))
    return round(price / tick) * tick, tick


def demo_day(number: int, day: date, seed: int, profile: Profile | None = None, hours: Hours | None = None) -> TickFile:
    """One of the five stocks, by its number; ``hours`` other than the regular ones squeeze its day."""
    stock, rng = STOCKS[number], generator(seed, number)
    start, tick = opening_price(seed, number, day)
    story = levels(stock, rng)
    hours = hours or Hours(at_ist(day, 9, 15))
    made = make(stock, story, rng, profile or Profile(), hours, lambda path, _: start * (1 + path / 100), tick)
    return TickFile(f"NSE:{stock.name}", f"synthetic day, seed {seed}", *made, lines=len(made[0]))


@dataclass(frozen=True, slots=True)
class Hours:
    """When a session opens (ns UTC), how many seconds it trades, and in how many of them a whole day's story
    is told; then the price stays about where it is."""

    open: int
    seconds: int = DAY_SECONDS
    told: int = DAY_SECONDS

    @classmethod
    def short(cls, open_ns: int, seconds: int) -> Hours:
        """A session that squeezes the story into its own hours."""
        return cls(open_ns, seconds, seconds)

    def story_second(self, elapsed: Floats) -> Floats:
        """The second of the story after so many seconds of the session."""
        second: Floats = np.minimum(elapsed * (DAY_SECONDS / self.told), DAY_SECONDS)
        return second


Made = tuple[Ints, Ints, Ints]  #: times, prices, the day's volume so far
#: (percent from the open, share of the day that is over) -> paise.
Value = Callable[[Floats, Floats], Floats]


def make(
    stock: Stock, story: Floats, rng: np.random.Generator, profile: Profile, hours: Hours,
    value: Value, tick: int,
) -> Made:  # fmt: skip
    """A day's ticks. ``story``: percent from the open, one a second.

    Of the stock its volume, its halt and its bad print count; its path is in the story already.
    """
    level = story + profile.noise * _noise(rng)
    pace = hours.seconds / DAY_SECONDS
    at = _times(stock, rng, profile.gap / pace)
    second = hours.story_second(at / SECOND * pace)
    path = np.interp(second, np.arange(DAY_SECONDS + 1), level)
    # The last trade was at the bid or at the ask: half a tick to either side.
    bounce = rng.choice([-0.5, 0.0, 0.5], size=len(at)) * tick
    price = np.maximum(_grid(value(path, at / SECOND / DAY_SECONDS) + bounce, tick), tick)
    volume = np.cumsum(_volumes(stock, rng, at))
    if stock.bad_print:
        clock, percent = stock.bad_print
        hit = min(int(np.searchsorted(second, second_of(clock))), len(at) - 1)
        price[hit] = _grid(price[hit] * (1 + percent / 100), tick)
    if hours.seconds != DAY_SECONDS:
        at = (at * pace).astype(np.int64) // 1000 * 1000
        keep = np.append(True, np.diff(at) > 0)
        at, price, volume = at[keep], price[keep], volume[keep]
    if profile.dirt:
        at, price, volume = _dirt(rng, at, price, volume)
    return hours.open + at, price, volume


def second_of(clock: str) -> int:
    """Seconds after 9:15."""
    hour, minute = clock.split(":")
    return (int(hour) * 60 + int(minute) - 555) * 60


def levels(stock: Stock, rng: np.random.Generator, seconds: Floats | None = None) -> Floats:
    """Percent from the opening price without noise, second by second or at the given ``seconds``."""
    path = stock.path or chop(rng)
    times = np.array([second_of(clock) for clock, _ in path], dtype=np.float64)
    size = rng.uniform(0.94, 1.06)
    stations = np.array([level for _, level in path]) * size
    room = np.minimum(np.diff(times)[:-1], np.diff(times)[1:])
    times[1:-1] += np.clip(rng.normal(0, 60, len(room)), -0.3 * room, 0.3 * room).round()
    second = np.arange(DAY_SECONDS + 1) if seconds is None else seconds
    level = np.interp(second, times, stations)
    if stock.jump:
        clock, percent = stock.jump
        level += np.clip((second - second_of(clock)) / 20, 0, 1) * percent
    return level


def chop(rng: np.random.Generator) -> Path:
    """Up and down around the opening price, a half wave every 9 to 16 minutes, asleep around noon."""
    minute, side, path = 0, 1, [("09:15", 0.0)]
    while (minute := minute + int(rng.integers(9, 17))) < 370:
        size = 0.12 if 165 <= minute <= 210 else rng.uniform(0.45, 0.75)
        clock = divmod(555 + minute, 60)
        path.append((f"{clock[0]:02d}:{clock[1]:02d}", side * size))
        side = -side
    return (*path, ("15:30", 0.0))


def _activity(second: Floats) -> Floats:
    """The U of a day: 3 at the open, about 0.7 at midday, 1.8 at the close."""
    to_close = DAY_SECONDS - second
    return 0.7 + 2.3 * np.exp(-second / 1200) + 1.1 * np.exp(-to_close / 1500)


def _noise(rng: np.random.Generator) -> Floats:
    """Mean-reverting noise of size 1 at midday and more at both ends, second by second."""
    size = np.sqrt(_activity(np.arange(DAY_SECONDS + 1, dtype=np.float64)))
    shocks = rng.normal(size=DAY_SECONDS + 1) * size * np.sqrt(1 - _KEEP**2)
    shocks[0] = 0.0
    return np.fromiter(accumulate(shocks.tolist(), lambda x, e: _KEEP * x + e), np.float64, DAY_SECONDS + 1)


def _times(stock: Stock, rng: np.random.Generator, gap: float) -> Ints:
    """Times of the ticks in ns after the open, whole µs, increasing, none in a halt."""
    count = max(1, int(DAY_SECONDS / gap))
    # Equal steps of the day's cumulated activity: more ticks where there is more of it.
    second = np.arange(DAY_SECONDS + 1, dtype=np.float64)
    done = np.cumsum(np.sqrt(_activity(second)))
    share = np.cumsum(rng.gamma(2.0, size=count + 1))[:-1]
    share *= (done[-1] - done[0]) / (share[-1] * (1 + 1 / count))
    at: Ints = (np.interp(done[0] + share, done, second) * 1e6).astype(np.int64) * 1000
    at.sort()
    fresh = np.ones(len(at), np.bool_)  # np.unique loads numpy.ma, 15 ms of a start
    fresh[1:] = at[1:] > at[:-1]
    at = at[fresh]
    if stock.halt:
        first, last = (second_of(clock) * SECOND for clock in stock.halt)
        at = at[(at < first) | (at >= last)]
    return at


def _volumes(stock: Stock, rng: np.random.Generator, at: Ints) -> Ints:
    """Shares of each tick: lumpy, more at both ends of the day, now and then a block."""
    lots = rng.lognormal(0.0, 1.1, len(at)) * np.sqrt(_activity(at / SECOND))
    lots *= np.where(rng.random(len(at)) < 0.004, 25.0, 1.0)
    shares: Ints = 1 + np.floor(lots * (stock.shares / lots.sum())).astype(np.int64)
    return shares


def _grid(price: Floats, tick: int) -> Ints:
    """To the nearest price that the exchange allows."""
    grid: Ints = np.rint(price / tick).astype(np.int64) * tick
    return grid


def _dirt(rng: np.random.Generator, at: Ints, price: Ints, volume: Ints) -> tuple[Ints, Ints, Ints]:
    """Four lines sent twice, three that come some seconds late, one whose volume fell. Where there are too
    few ticks for all of it they stay clean."""
    places = np.arange(200, len(at) - 200, 50)
    if len(places) < 8:
        places = np.arange(8, len(at) - 8, 8)
    if len(places) < 8:
        return at, price, volume
    spots = np.sort(rng.choice(places, 8, replace=False))
    rng.shuffle(spots)
    twice, late, back = spots[:4], spots[4:7], int(spots[7])
    volume = volume.copy()
    volume[back] = volume[back - 3]
    order = np.arange(len(at))
    for spot in late:
        order[spot : spot + 6] = np.roll(order[spot : spot + 6], -1)
    order = np.insert(order, np.searchsorted(np.arange(len(at)), twice), order[twice])
    return at[order], price[order], volume[order]
