"""The settings as frozen, strict models: one class a file. Money in rupees, times as "HH:MM" IST.

Nothing is coerced: "3000" is not a number, true is not 1, an unknown key is an error. What spans fields
and files is checked in ``rules``.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, PlainSerializer

from otrade_bot.core.model import InstrumentKind, Product
from otrade_bot.core.money import to_paise
from otrade_bot.core.session import Calendar, SessionKind, SpecialSession, SquareOffRule

__all__ = [
    "Approval",
    "BrokerConfig",
    "ChargeRow",
    "ChargesConfig",
    "Config",
    "InstrumentOverride",
    "MarketConfig",
    "Notifications",
    "PaperConfig",
    "ReplayConfig",
    "RiskConfig",
    "SegmentCharges",
    "SpecialDay",
    "SquareOff",
    "SquareOffTimes",
    "StrategyConfig",
    "TelegramConfig",
    "TradingConfig",
    "User",
]

Exchange = "NSE|BSE|NFO|BFO|MCX|CDS|BCD|NCO"
Symbol = Annotated[
    str,
    Field(
        pattern=rf"^({Exchange}):[A-Z0-9][A-Z0-9&_. -]{{0,39}}$",
        description="EXCHANGE:SYMBOL in capitals, e.g. NSE:RELIANCE",
    ),
]
WallTime = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description='"HH:MM", IST')]
Name = Annotated[str, Field(min_length=1, max_length=64)]
Profile = Annotated[
    str,
    Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,31}$", description="letters, digits, - and _; a letter first"),
]
# Percentages stay decimal, so that the integer parts per billion made of them are exact.
Exact = PlainSerializer(float, return_type=float, when_used="json")
Percent = Annotated[Decimal, Field(ge=0, le=100, decimal_places=7), Exact]
Rupees = Annotated[Decimal, Field(ge=0, le=100_000, decimal_places=2), Exact]


def minutes(wall: str) -> int:
    """'14:40' -> 880, the minute of the day."""
    return int(wall[:2]) * 60 + int(wall[3:])


def _iso_day(value: Any) -> Any:
    """A date as text has one spelling; pydantic alone would read a run of digits as a timestamp."""
    if not isinstance(value, str):
        return value
    if _ISO_DAY.fullmatch(value) is None:
        raise ValueError("is not a date")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError("is no day of the calendar") from None


_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
Day = Annotated[date, BeforeValidator(_iso_day)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


# --- trading.json -------------------------------------------------------------------------------------


class StrategyConfig(_Model):
    """One strategy and what it trades."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")
    """File name of the strategy without .py (letters, digits and _): shipped, or in strategies_dir."""
    instruments: tuple[Symbol, ...] = Field(min_length=1, max_length=3000)
    """What it trades. An instrument belongs to one strategy: the broker nets them."""
    timeframe: Literal["tick", "1m", "3m", "5m", "15m", "30m", "60m"] = "1m"
    """Length of its bars; tick = every price is a bar."""
    params: dict[str, JsonValue] = Field(default_factory=dict)
    """Its own parameters; the strategy checks names and bounds."""
    enabled: bool = True
    """false: it enters nothing; what it holds is still watched and closed."""
    capital_per_position: int | None = Field(default=None, ge=1, le=100_000_000)
    """Rupees that buy one rung of this strategy; null = the one of trading.json."""


def _default_strategies() -> tuple[StrategyConfig, ...]:
    ladder = ("NSE:RELIANCE", "NSE:INFY", "NSE:HDFCBANK")
    return (
        StrategyConfig(name="momentum_ladder", instruments=ladder, timeframe="15m"),
        StrategyConfig(name="ema_crossover", instruments=("NSE:SBIN",), timeframe="1m"),
    )


class Approval(_Model):
    """Whether a person is asked before an entry."""

    ask: bool = False
    """true: each entry waits for Approve or Skip on the phone."""
    seconds: int = Field(default=20, ge=5, le=300)
    """So long an entry waits."""
    unanswered: Literal["skip", "enter"] = "skip"
    """What becomes of it where nobody answers."""


class TapeConfig(_Model):
    """The day's tape: every input of the kernel, replayed after the close."""

    enabled: bool = True
    """false: nothing is recorded, and nothing checked after the close."""
    keep_days: int = Field(default=30, ge=1, le=3650)
    """Tapes of earlier days than so many (calendar days) are deleted."""


class TradingConfig(_Model):
    """trading.json: what is traded, and with how much."""

    mode: Literal["paper", "live"] = "paper"
    """live sends real orders, and needs OTRADE_LIVE=yes besides."""
    capital_per_position: int = Field(default=3000, ge=1, le=100_000_000)
    """Rupees that buy one rung of a position."""
    max_positions: int = Field(default=90, ge=1, le=10_000)
    """Most rungs open at once over all instruments."""
    product: Product = Product.MIS
    """MIS intraday, CNC delivery, NRML carried-forward derivatives."""
    strategies: tuple[StrategyConfig, ...] = Field(default_factory=_default_strategies, max_length=50)
    """The strategies and their instruments."""
    strategies_dir: str | None = Field(default=None, min_length=1, max_length=4096)
    """Folder of your own strategies; a relative path starts beside the config folder."""
    approval: Approval = Approval()
    """Entries that wait for a yes from the phone."""
    tape: TapeConfig = TapeConfig()
    """What is recorded of the day, and how long it is kept."""


# --- risk.json ----------------------------------------------------------------------------------------


class RiskConfig(_Model):
    """risk.json: limits that no strategy can pass. 0 switches a limit off where 0 is allowed."""

    total_capital: int = Field(default=240_000, ge=1, le=10_000_000_000)
    """Rupees that all open rungs together may bind."""
    max_trades_per_day: int = Field(default=500, ge=0, le=100_000)
    """Entries a day; 0 = no limit."""
    daily_loss_limit: int = Field(default=6000, ge=0, le=1_000_000_000)
    """Rupees lost in a day, charges included, after which there are no entries; 0 = off."""
    daily_loss_flatten: bool = False
    """At the daily loss limit close everything too."""
    cooldown_seconds: int = Field(default=300, ge=0, le=86_400)
    """Pause of an instrument after it closed a position."""
    reject_cooldown_seconds: int = Field(default=60, ge=1, le=86_400)
    """Pause of an instrument after a refused entry."""
    reject_storm: int = Field(default=5, ge=0, le=1000)
    """Entries that the broker refuses in a row after which there are none until /resume; 0 = off."""
    reject_storm_seconds: int = Field(default=60, ge=1, le=3600)
    """They count as in a row within this time."""
    max_order_quantity: int = Field(default=10_000, ge=0, le=10_000_000)
    """Largest quantity of one order; 0 = no limit."""
    max_order_value: int = Field(default=100_000, ge=0, le=1_000_000_000)
    """Largest value of one order in rupees; 0 = no limit."""
    price_band_percent: float = Field(default=5.0, ge=0, le=50)
    """Furthest distance of an entry's limit price from the last price, percent; 0 = off."""
    stale_price_seconds: int = Field(default=10, ge=1, le=600)
    """No entries on a price older than this."""
    spike_percent: float = Field(default=5.0, ge=0, le=50)
    """A price this far from the last one waits for confirmation, percent; 0 = off."""
    spike_confirmations: int = Field(default=3, ge=1, le=100)
    """Prices in a row that make a new level believable."""
    trail_step_percent: float = Field(default=0.1, ge=0.01, le=10)
    """Smallest move of a trailing stop that is sent to the exchange, percent."""
    trail_interval_seconds: int = Field(default=5, ge=1, le=3600)
    """Shortest time between two moves of one trailing stop."""
    duplicate_window_seconds: int = Field(default=1, ge=0, le=3600)
    """The same entry twice within this time is refused; 0 = off."""


# --- brokers.json -------------------------------------------------------------------------------------


class ReplayConfig(_Model):
    """What the replay feed plays."""

    files: tuple[Annotated[str, Field(min_length=1, max_length=4096)], ...] = Field(
        default=(), max_length=3000
    )
    """CSV files of ticks; the symbol is the file's stem."""
    speed: float = Field(default=1.0, ge=0, le=1_000_000)
    """Times faster than the market; 0 = as fast as it goes."""


class PaperConfig(_Model):
    """How the paper broker fills."""

    cash: int = Field(default=1_000_000, ge=1, le=10_000_000_000)
    """Rupees in the account."""
    latency_ms: int = Field(default=0, ge=0, le=60_000)
    """From sending an order to its working at the exchange."""
    slippage_bps: float = Field(default=0.0, ge=0, le=1000)
    """Worse price of a market fill, hundredths of a percent."""
    participation: float = Field(default=1.0, gt=0, le=1)
    """Share of the traded volume that our orders may take."""
    circuit_percent: float = Field(default=20.0, gt=0, le=100)
    """Price band around the day's first price beyond which nothing fills."""


class LoginConfig(_Model):
    """Where a browser comes back to after a login."""

    listen: str | None = Field(
        default=None, pattern=r"^(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253}):\d{1,5}$", max_length=300
    )
    """host:port where run listens for it, such as 127.0.0.1:8085: plain HTTP, from outside only behind a proxy with
    TLS. null = nowhere, the address is pasted."""


class BrokerConfig(_Model):
    """brokers.json: who takes the orders and where the prices come from."""

    primary: Literal["paper", "kite", "upstox"] = "paper"
    """The broker that takes the orders."""
    backup: Literal["kite", "upstox"] | None = None
    """The broker that is asked for prices when the primary fails."""
    feed: Literal["simulated", "replay", "kite", "upstox"] = "simulated"
    """Where prices come from."""
    replay: ReplayConfig = ReplayConfig()
    paper: PaperConfig = PaperConfig()
    login: LoginConfig = LoginConfig()
    instance: str = Field(default="A1", pattern=r"^[A-Za-z0-9]{1,3}$")
    """1 to 3 letters or digits that begin every order tag; different for each bot on one account."""
    static_ip: str | None = Field(default=None, min_length=2, max_length=45)
    """The address registered with the broker; compared with the one orders leave from."""
    ip_echo: str | None = Field(default="https://api.ipify.org", pattern=r"^https?://[^\s/]+[^\s]*$", max_length=200)
    """Who tells, as plain text, from which address we come; doctor asks it. null = nobody is asked."""
    algo_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,40}$")
    """Kite: the exchange's id of a registered algorithm, sent with each order. Not needed up to 10 orders a second."""
    algo_name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9 _.-]{1,60}$")
    """Upstox: the name of a registered algorithm, sent with each order. Not needed up to 10 orders a second."""
    gtt_distance_percent: float = Field(default=0.25, ge=0, le=10)
    """Kite: a GTT's trigger is at least this far from the last price; a nearer stop is watched by the bot meanwhile."""


# --- market.json --------------------------------------------------------------------------------------


class SpecialDay(_Model):
    """A session out of the ordinary. Neither full nor with hours: announced, closed until hours are given."""

    name: Name
    """What people call it."""
    full: bool = False
    """The regular hours, e.g. on a Sunday."""
    open: WallTime | None = None
    """Start of trading."""
    close: WallTime | None = None
    """End of trading, at least 5 minutes after the start."""


class SquareOffTimes(_Model):
    """For a regular day; a special session keeps the same distance from its own end."""

    entries_stop: WallTime
    """No entries from then on."""
    exit: WallTime
    """Positions of the day are closed."""
    extend_until: WallTime | None = None
    """No later can a person put that off; null: 5 minutes before the broker squares off by itself."""


class SquareOff(_Model):
    """By kind of instrument. Brokers square off by themselves a little later."""

    auction: SquareOffTimes = SquareOffTimes(entries_stop="14:40", exit="14:55")
    """Shares with a closing auction: continuous trading ends at 15:15."""
    equity: SquareOffTimes = SquareOffTimes(entries_stop="15:00", exit="15:10")
    """Other shares: to 15:30."""
    fno: SquareOffTimes = SquareOffTimes(entries_stop="15:00", exit="15:20")
    """Futures and options: to 15:40."""


class InstrumentOverride(_Model):
    """What is known better here than in the program's own list. Absent: not overridden."""

    kind: InstrumentKind | None = None
    """equity, future, option or index."""
    tick_size: Decimal | None = Field(default=None, ge=Decimal("0.01"), le=1000, decimal_places=2)
    """Rupees."""
    lot: int | None = Field(default=None, ge=1, le=1_000_000)
    """Units a lot."""
    freeze: int | None = Field(default=None, ge=0, le=100_000_000)
    """Largest quantity of one order; 0 = no limit known."""
    closing_auction: bool | None = None
    """Takes part in the closing auction."""


def _default_holidays() -> dict[date, str | None]:
    return {date(2026, 1, 15): "Municipal elections in Maharashtra"}  # the library lacks it


class MarketConfig(_Model):
    """market.json: corrections to what the program knows of the exchange."""

    holidays: dict[Day, Name | None] = Field(default_factory=_default_holidays, max_length=1000)
    """Further holidays by date; null: what the holiday library calls a holiday is a trading day."""
    special_days: dict[Day, SpecialDay] = Field(
        default_factory=lambda: {
            date(2026, 2, 1): SpecialDay(name="Union Budget", full=True),
            date(2026, 11, 8): SpecialDay(name="Muhurat trading"),
        },
        max_length=1000,
    )
    """Sessions out of the ordinary by date; they go before holidays and weekends."""
    square_off: SquareOff = SquareOff()
    warning_minutes: int = Field(default=10, ge=0, le=120)
    """Warning before the square-off; 0 = none."""
    instruments: dict[Symbol, InstrumentOverride] = Field(default_factory=dict, max_length=3000)
    """Corrections by symbol."""

    def calendar(self) -> Calendar:
        """The exchange's calendar with these corrections. Raises ConfigException."""
        special = {
            day: SpecialSession(
                given.name,
                given.full,
                None if given.open is None else minutes(given.open),
                None if given.close is None else minutes(given.close),
            )
            for day, given in self.special_days.items()
        }
        return Calendar.build(self.holidays, special)

    def square_off_rule(self, kind: SessionKind) -> SquareOffRule:
        """The rule of a kind of session, for ``intraday_times``. Raises ConfigException."""
        times: SquareOffTimes = getattr(self.square_off, kind.value)
        return SquareOffRule(minutes(times.entries_stop), minutes(times.exit))

    def instrument_overrides(self) -> dict[str, dict[str, Any]]:
        """Plain JSON values by symbol, only those that are set; tick sizes in rupees."""
        return {symbol: _plain(given) for symbol, given in self.instruments.items()}


def _plain(given: InstrumentOverride) -> dict[str, Any]:
    values = given.model_dump(mode="json", exclude_none=True)
    return {key: float(value) if key == "tick_size" else value for key, value in values.items()}


# --- charges.json -------------------------------------------------------------------------------------


class SegmentCharges(_Model):
    """Percentages of the traded value (options: of the premium), an order. Rupees where said."""

    brokerage_percent: Percent = Decimal(0)
    """Brokerage in percent."""
    brokerage_cap: Rupees = Decimal(0)
    """Most brokerage of one order, rupees; 0 = no cap."""
    brokerage_flat: Rupees = Decimal(0)
    """Fixed brokerage of one order, rupees."""
    stt_buy_percent: Percent = Decimal(0)
    """Securities transaction tax on purchases."""
    stt_sell_percent: Percent = Decimal(0)
    """Securities transaction tax on sales."""
    exchange_percent: Percent = Decimal(0)
    """The exchange's transaction charge."""
    ipft_percent: Percent = Decimal(0)
    """Investor protection fund; 0 where the exchange's charge holds it already."""
    sebi_per_crore: Rupees = Decimal(10)
    """SEBI's fee, rupees a crore."""
    stamp_buy_percent: Percent = Decimal(0)
    """Stamp duty on purchases."""
    gst_percent: Percent = Decimal(18)
    """GST on brokerage, exchange charges and SEBI's fee."""


ChargeSegment = Literal["delivery", "intraday", "futures", "options"]


class ChargeRow(_Model):
    """What orders cost from a day on."""

    from_day: Day = Field(alias="from")
    """First day of these rates."""
    delivery: SegmentCharges
    intraday: SegmentCharges
    futures: SegmentCharges
    options: SegmentCharges
    dp_charge: Rupees = Decimal(0)
    """Depository's charge of a delivery sale, rupees with GST; booked on each sale. Check your contract."""

    def kernel_rates(self, segment: ChargeSegment) -> dict[str, int]:
        """The kernel's ``ch_*`` numbers: parts per billion, and paise for cap, flat and dp_sell."""
        rates: SegmentCharges = getattr(self, segment)
        return {
            "ch_rate": _ppb(rates.brokerage_percent),
            "ch_cap": to_paise(rates.brokerage_cap),
            "ch_flat": to_paise(rates.brokerage_flat),
            "ch_stt_buy": _ppb(rates.stt_buy_percent),
            "ch_stt_sell": _ppb(rates.stt_sell_percent),
            "ch_exchange": _ppb(rates.exchange_percent),
            "ch_ipft": _ppb(rates.ipft_percent),
            "ch_sebi": int(rates.sebi_per_crore * 100),  # 1 rupee a crore = 100 parts per billion
            "ch_stamp_buy": _ppb(rates.stamp_buy_percent),
            "ch_gst": _ppb(rates.gst_percent),
            "ch_dp_sell": to_paise(self.dp_charge) if segment == "delivery" else 0,
        }


def _ppb(percent: Decimal) -> int:
    """Percent to parts per billion: exact, because a Percent has at most seven places."""
    return int(percent * 10_000_000)


def _segment(
    rate: str, cap: int, flat: int, stt: tuple[str, str], exchange: str, stamp: str
) -> SegmentCharges:
    ipft = Decimal("0.0000001") if exchange == "0.0030699" else Decimal(0)
    return SegmentCharges(
        brokerage_percent=Decimal(rate),
        brokerage_cap=Decimal(cap),
        brokerage_flat=Decimal(flat),
        stt_buy_percent=Decimal(stt[0]),
        stt_sell_percent=Decimal(stt[1]),
        exchange_percent=Decimal(exchange),
        ipft_percent=ipft,
        stamp_buy_percent=Decimal(stamp),
    )


def _row(rates: tuple[tuple[str, int, int], ...], dp: str) -> ChargeRow:
    """Rates of 2026. STT: FATAX73524 (1 Apr 2026); exchange: FA73061 (1 Mar 2026). Only brokerage differs."""
    taxes = (
        (("0.1", "0.1"), "0.0030699", "0.015"),
        (("0", "0.025"), "0.0030699", "0.003"),
        (("0", "0.05"), "0.00183", "0.002"),
        (("0", "0.15"), "0.03553", "0.003"),
    )
    parts = [_segment(*rate, *tax) for rate, tax in zip(rates, taxes, strict=True)]
    names = ("delivery", "intraday", "futures", "options")
    values = {"from": date(2026, 4, 1), **dict(zip(names, parts, strict=True)), "dp_charge": Decimal(dp)}
    return ChargeRow.model_validate(values)


def _default_profiles() -> dict[str, tuple[ChargeRow, ...]]:
    # Upstox's delivery brokerage is published as "up to 20 rupees": the upper bound is booked.
    zerodha = (("0", 0, 0), ("0.03", 20, 0), ("0.03", 20, 0), ("0", 0, 20))
    upstox = (("0", 0, 20), ("0.1", 20, 0), ("0.05", 20, 0), ("0", 0, 20))
    return {"zerodha": (_row(zerodha, "15.93"),), "upstox": (_row(upstox, "23.60"),)}


class ChargesConfig(_Model):
    """charges.json: what a broker and the state take, by broker and day."""

    broker: Profile = "zerodha"
    """The profile that holds."""
    profiles: dict[Profile, Annotated[tuple[ChargeRow, ...], Field(min_length=1, max_length=100)]] = Field(
        default_factory=_default_profiles, min_length=1, max_length=20
    )
    """By broker: rows in the order of their days."""

    def row_for(self, day: date) -> tuple[ChargeRow, bool]:
        """The row that holds on ``day``; True beside it: the day is before the first row, whose rates
        are then the nearest known ones, not the true ones."""
        rows = self.profiles[self.broker]
        spot = bisect_right(rows, day, key=lambda row: row.from_day)
        return rows[max(spot - 1, 0)], spot == 0


# --- telegram.json ------------------------------------------------------------------------------------

Loudness = Literal["on", "silent", "off"]


class User(_Model):
    """Someone who may command the bot: both ids must match."""

    user_id: int = Field(ge=1, le=2**52)
    """The person's Telegram id."""
    chat_id: int = Field(ge=-(2**52), le=2**52)
    """The chat in which this person is heard; negative for groups."""
    role: Literal["viewer", "operator", "admin"] = "viewer"
    """viewer reads; operator also pauses, closes and flattens; admin also changes settings."""
    name: str = Field(default="", max_length=64)
    """For the audit trail."""
    topic: int | None = Field(default=None, ge=1, le=2**52)
    """In a group with topics the one in which this person is heard; null = every one."""
    blocked: bool = False
    """true: treated as a stranger, and nobody is told of it."""
    language: Literal["en", "hi"] = "en"
    """What this person is told in: English or Hindi."""


class Notifications(_Model):
    """What the phone is told unasked: on, silent (no sound) or off. Risk alerts, blocks of entries, a flatten, start
    and stop always come, with sound."""

    signal: Loudness = "silent"
    """A strategy wants to enter."""
    order: Loudness = "silent"
    """An order was accepted, refused or cancelled."""
    fill: Loudness = "on"
    """A fill, also of a part."""
    stop: Loudness = "silent"
    """A stop was armed or moved."""
    trade: Loudness = "on"
    """A closed round trip."""
    refusal: Loudness = "silent"
    """A limit or the gate said no."""
    session: Loudness = "silent"
    """The card before the open, open, square-off, close, the next session."""
    recovery: Loudness = "on"
    """What a comparison with the broker found."""
    day: Loudness = "on"
    """The day's summary."""
    alert: Loudness = "on"
    """Warnings that are no risk."""
    extra: Literal["risk", "warning", "info", "off"] = "risk"
    """From which severity on the channels of OTRADE_APPRISE_URLS are told too."""


class TelegramConfig(_Model):
    """telegram.json: who is heard, and what is told."""

    users: tuple[User, ...] = Field(default=(), max_length=100)
    """Nobody else is answered."""
    notifications: Notifications = Notifications()
    stale_seconds: int = Field(default=60, ge=10, le=3600)
    """A command older than this when it arrives is not simply done."""
    commands_per_minute: int = Field(default=60, ge=1, le=1000)
    """Of one person; /pause and /flatten always pass."""
    card: bool = True
    """One pinned message in each private chat, edited as things change."""


# --- all of it ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Config:
    """All settings at one moment; never changes, a reload makes another one."""

    trading: TradingConfig
    risk: RiskConfig
    brokers: BrokerConfig
    market: MarketConfig
    charges: ChargesConfig
    telegram: TelegramConfig

    @cached_property
    def calendar(self) -> Calendar:
        """The exchange's calendar under these settings."""
        return self.market.calendar()


#: File name -> its model; the attribute of ``Config`` is the name without ".json".
FILES: Mapping[str, type[_Model]] = {
    "trading.json": TradingConfig,
    "risk.json": RiskConfig,
    "brokers.json": BrokerConfig,
    "market.json": MarketConfig,
    "charges.json": ChargesConfig,
    "telegram.json": TelegramConfig,
}
