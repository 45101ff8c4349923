"""What no single field can tell: settings that are well formed and still cannot be meant."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from otrade_bot.config.explain import dotted
from otrade_bot.config.models import Config, minutes
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.model import Product

__all__ = ["Fault", "as_exception", "first_fault"]

DERIVATIVE_EXCHANGES = ("NFO", "BFO", "MCX", "CDS", "BCD", "NCO")
_OPEN, _ENDS = minutes("09:15"), {"auction": "15:15", "equity": "15:30", "fno": "15:40"}


class Fault(NamedTuple):
    """``loc`` is the path to the value inside ``file``."""

    file: str
    loc: tuple[str | int, ...]
    message: str
    value: Any = None
    allowed: str = ""


def first_fault(config: Config) -> Fault | None:
    """The first rule that the settings break."""
    return next((fault for rule in _RULES for fault in rule(config)), None)


def _unique_instruments(config: Config) -> Iterator[Fault]:
    owners: dict[str, str] = {}
    for number, strategy in enumerate(config.trading.strategies):
        for place, symbol in enumerate(strategy.instruments):
            owner = owners.setdefault(symbol, strategy.name) if symbol in owners else ""
            owners[symbol] = strategy.name
            if owner:
                text = f"already traded by {owner}: the broker nets them, nobody could tell them apart"
                loc = ("strategies", number, "instruments", place)
                yield Fault("trading.json", loc, text, symbol, "each instrument once")


def _product(config: Config) -> Iterator[Fault]:
    product = config.trading.product
    for number, strategy in enumerate(config.trading.strategies):
        for symbol in strategy.instruments:
            derivative = symbol.partition(":")[0] in DERIVATIVE_EXCHANGES
            if derivative and product is Product.CNC:
                yield _mismatch(number, strategy.name, symbol, product, "MIS or NRML for derivatives")
            if not derivative and product is Product.NRML:
                yield _mismatch(number, strategy.name, symbol, product, "MIS or CNC for shares")


def _mismatch(number: int, name: str, symbol: str, product: Product, allowed: str) -> Fault:
    text = f"does not go with {symbol} of strategies.{number} ({name})"
    return Fault("trading.json", ("product",), text, product.value, allowed)


def _capital(config: Config) -> Iterator[Fault]:
    risk = config.risk
    for loc, one in _rung_capitals(config):
        if one > risk.total_capital:
            yield Fault(
                "trading.json", loc, "buys more than there is", one, f"<= total_capital, {risk.total_capital}"
            )
        if risk.max_order_value and one > risk.max_order_value:
            most = f"<= max_order_value of risk.json, {risk.max_order_value}"
            yield Fault("trading.json", loc, "every entry would be refused", one, most)
    one = max(capital for _, capital in _rung_capitals(config))
    if risk.daily_loss_limit > risk.total_capital:
        text, most = "can never be reached", f"<= total_capital, {risk.total_capital}; 0 = off"
        yield Fault("risk.json", ("daily_loss_limit",), text, risk.daily_loss_limit, most)
    if config.trading.mode == "paper" and one > config.brokers.paper.cash:
        text, least = "does not buy one rung", f">= capital_per_position, {one}"
        yield Fault("brokers.json", ("paper", "cash"), text, config.brokers.paper.cash, least)


def _rung_capitals(config: Config) -> list[tuple[tuple[str | int, ...], int]]:
    """What buys one rung, and where it stands: of all strategies, and those of their own."""
    own = [
        (("strategies", number, "capital_per_position"), one.capital_per_position)
        for number, one in enumerate(config.trading.strategies)
    ]
    every: list[tuple[tuple[str | int, ...], int]] = [(("capital_per_position",), config.trading.capital_per_position)]
    return every + [(loc, capital) for loc, capital in own if capital is not None]


def _brokers(config: Config) -> Iterator[Fault]:
    brokers, live = config.brokers, config.trading.mode == "live"
    if live and brokers.primary == "paper":
        yield Fault(
            "brokers.json", ("primary",), "mode is live: it is the broker that takes real orders", brokers.primary,
            "kite, upstox; or mode paper",
        )
    if live and brokers.feed in ("simulated", "replay"):
        text = "mode is live: real orders need real prices"
        yield Fault("brokers.json", ("feed",), text, brokers.feed, "kite, upstox; or mode paper")
    if brokers.feed == "replay" and not brokers.replay.files:
        yield Fault(
            "brokers.json", ("replay", "files"), "the replay feed has nothing to play", [], "files of ticks"
        )
    if brokers.backup is not None and brokers.backup == brokers.primary:
        text = "is the primary: no help when that one fails"
        yield Fault("brokers.json", ("backup",), text, brokers.backup, "another broker, or null")
    yield from _address(brokers.static_ip)


def _address(given: str | None) -> Iterator[Fault]:
    if given is None:
        return
    try:
        ipaddress.ip_address(given)
    except ValueError:
        yield Fault(
            "brokers.json", ("static_ip",), "is no IP address", given, "an IPv4 or IPv6 address, or null"
        )


def _square_off(config: Config) -> Iterator[Fault]:
    for kind, end in _ENDS.items():
        times = getattr(config.market.square_off, kind)
        if not _OPEN < minutes(times.entries_stop) < minutes(times.exit) < minutes(end):
            value = {"entries_stop": times.entries_stop, "exit": times.exit}
            rule = f"09:15 < entries_stop < exit < {end}"
            yield Fault("market.json", ("square_off", kind), "times out of order", value, rule)
        elif times.extend_until and not minutes(times.exit) <= minutes(times.extend_until) < minutes(end):
            rule = f"exit <= extend_until < {end}"
            yield Fault("market.json", ("square_off", kind, "extend_until"), "out of order", times.extend_until, rule)


def _calendar(config: Config) -> Iterator[Fault]:
    for day, special in config.market.special_days.items():
        loc = ("special_days", day.isoformat())
        hours = [special.open, special.close]
        if special.full and hours != [None, None]:
            yield Fault("market.json", loc, "a full session has no hours of its own", hours, "full, or hours")
        elif hours.count(None) == 1:
            yield Fault("market.json", loc, "only one of open and close is given", hours, "both, or neither")
        elif special.open and special.close and minutes(special.close) - minutes(special.open) < 5:
            text = "closes less than 5 minutes after it opens"
            yield Fault("market.json", loc, text, hours, 'open and close, "HH:MM"')


def _charges(config: Config) -> Iterator[Fault]:
    charges = config.charges
    if charges.broker not in charges.profiles:
        yield Fault(
            "charges.json", ("broker",), "no such profile", charges.broker, ", ".join(charges.profiles)
        )
    for name, rows in charges.profiles.items():
        days = [row.from_day for row in rows]
        for number, (before, after) in enumerate(pairwise(days), start=1):
            if before >= after:
                loc = ("profiles", name, number, "from")
                yield Fault(
                    "charges.json", loc, "rows out of order", after.isoformat(), f"> {before.isoformat()}"
                )


def _users(config: Config) -> Iterator[Fault]:
    seen: set[tuple[int, int]] = set()
    for number, user in enumerate(config.telegram.users):
        pair = (user.user_id, user.chat_id)
        if pair in seen:
            text = "this user and chat stand here twice"
            yield Fault(
                "telegram.json", ("users", number), text, list(pair), "each pair of user_id and chat_id once"
            )
        if user.chat_id == 0:
            yield Fault("telegram.json", ("users", number, "chat_id"), "is no chat", 0, "any number but 0")
        seen.add(pair)


_RULES: tuple[Callable[[Config], Iterator[Fault]], ...] = (
    _unique_instruments,
    _product,
    _capital,
    _brokers,
    _square_off,
    _calendar,
    _charges,
    _users,
)


def as_exception(fault: Fault, path: str) -> ConfigException:
    """The fault as an error that names ``path``."""
    return ConfigException(
        fault.message, file=path, key=dotted(fault.loc), value=fault.value, allowed=fault.allowed
    )
