"""The doctor's questions to the network, and which of them are asked."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from otrade_bot.core.model import Product
from otrade_bot.service.doctor import (
    NOT_NEEDED,
    PATIENCE,
    Check,
    Doubt,
    Patient,
    brokers_of,
    local_runner,
    paper_instruments,
)
from otrade_bot.service.doctor_broker import FEED, LISTING, Surgery, client, with_token
from otrade_bot.service.doctor_people import people_checks

__all__ = ["net_checks"]


async def _egress(patient: Patient) -> str:
    given = patient.config.brokers
    if not patient.live:
        return NOT_NEEDED
    if given.static_ip is None:
        return "not compared: brokers.json names no static_ip; brokers refuse orders from an address they do not know"
    if given.ip_echo is None:
        return f"not compared with {given.static_ip}: ip_echo is null"
    async with client() as http:
        answer = await http.get(given.ip_echo)
    try:
        seen = ipaddress.ip_address(answer.raise_for_status().text.strip())
    except (ValueError, httpx.HTTPStatusError):
        cure = "set ip_echo in brokers.json to one that does, or to null"
        raise Doubt(f"{given.ip_echo} tells no address", cure) from None
    if seen != ipaddress.ip_address(given.static_ip):
        raise Doubt(
            f"orders leave from {seen}, registered is {given.static_ip}",
            "register this address at the broker and in brokers.json, or run where the registered one is",
        )
    return f"{seen}, as registered"


async def _telegram(patient: Patient) -> str:
    token, settings = patient.secrets.telegram_token, patient.config.telegram
    if token is None:
        return "not set up: commands at the terminal"
    me = await _get_me(patient, token.get_secret_value())
    if not settings.users:
        cure = "otrade-bot telegram setup makes you its admin"
        raise Doubt(f"@{me} answers, but telegram.json names nobody", cure)
    return f"@{me}, {len(settings.users)} user{'s' * (len(settings.users) != 1)}"


async def _get_me(patient: Patient, token: str) -> str:
    from telegram import Bot
    from telegram.error import Forbidden, InvalidToken, NetworkError

    where: dict[str, Any] = {}
    if patient.secrets.telegram_base_url:
        where["base_url"] = patient.secrets.telegram_base_url
    try:
        async with Bot(token, **where) as bot:
            return str((await bot.get_me()).username)
    except (InvalidToken, Forbidden):
        cure = "put the token of @BotFather behind OTRADE_TELEGRAM_TOKEN"
        raise Doubt("Telegram does not know the token", cure) from None
    except NetworkError as error:
        raise Doubt(f"Telegram is not reached: {error}", "look at the network; trading goes on without it") from None


def _delivery(patient: Patient) -> str:
    if not patient.live or patient.config.trading.product is not Product.CNC:
        return NOT_NEEDED
    return "holdings are sold only with DDPI, or a TPIN given at the broker that day: stops need DDPI"


def net_checks(patient: Patient) -> tuple[list[tuple[str, Check, float]], Callable[[], Awaitable[None]]]:
    """Checks with their limits, and what ends them. The first broker takes the orders, on live."""
    rooms = [Surgery(patient, name) for name in brokers_of(patient.config)]
    first = rooms[0] if patient.live and rooms else None
    checks: list[tuple[str, Check, float]] = []
    for room in rooms:
        mark = "" if room is rooms[0] else f" {room.name}"
        checks += [
            (f"token{mark}", room.token, PATIENCE),
            (f"clock{mark}", room.clock, PATIENCE),
            (f"instruments{mark}", with_token(room, room.instruments), LISTING),
            (f"feed{mark}", with_token(room, room.feed), FEED),
        ]
    if not rooms:
        checks += [(name, _not_needed, PATIENCE) for name in ("token", "clock")]
        checks += [("instruments", lambda: paper_instruments(patient), PATIENCE), ("feed", _not_needed, PATIENCE)]
    checks += [
        ("funds", with_token(first, first.funds) if first else _not_needed, PATIENCE),
        ("egress address", lambda: _egress(patient), PATIENCE),
        ("Telegram", lambda: _telegram(patient), PATIENCE),
        *people_checks(patient),
        ("other instance", lambda: _others(patient, first), PATIENCE),
        ("delivery", lambda: _plain(_delivery(patient)), PATIENCE),
    ]

    async def close() -> None:
        await asyncio.gather(*(room.close() for room in rooms), return_exceptions=True)

    return checks, close


async def _others(patient: Patient, room: Surgery | None) -> str:
    said = local_runner(patient.state_dir)
    if room is not None:
        await with_token(room, room.tags)()
        said += f"; no order with our tags that we did not send at {room.name}"
    return said


async def _plain(text: str) -> str:
    return text


async def _not_needed() -> str:
    return NOT_NEEDED
