"""The doctor's questions about who is told, and who may prove that it is really him. Nothing is sent."""

from __future__ import annotations

import asyncio
from functools import partial

from otrade_bot.config.models import User
from otrade_bot.control.news.extra import addresses, channels
from otrade_bot.service.authenticators import authenticators_for
from otrade_bot.service.doctor import NOT_NEEDED, PATIENCE, Check, Doubt, Patient
from otrade_bot.service.people import active

__all__ = ["people_checks"]


def people_checks(patient: Patient) -> list[tuple[str, Check, float]]:
    """Those that need no network."""
    return [
        ("authenticators", lambda: _authenticators(patient), PATIENCE),
        ("other channels", lambda: _channels(patient), PATIENCE),
    ]


async def _authenticators(patient: Patient) -> str:
    """A note where there is none: trading needs none, only what a stolen phone must not do."""
    admins = {user.user_id: user for user in active(patient.config.telegram.users) if user.role == "admin"}
    if patient.secrets.telegram_token is None or not admins:
        return f"{NOT_NEEDED}: no admin on a phone"
    store = authenticators_for(patient.secrets, patient.state_dir)
    have = [_name(user) for user in admins.values() if store.seed(user.user_id) is not None]
    if have:
        return f"{', '.join(have)} ({len(have)} of {len(admins)} admin{'s' * (len(admins) != 1)})"
    first = "set OTRADE_SECRET_KEY, then " if patient.secrets.secret_key is None else ""
    return (
        "no admin has one: the phone cannot go live, raise a limit or let people in; "
        f"{first}otrade-bot telegram totp gives one"
    )


def _name(user: User) -> str:
    return user.name or str(user.user_id)


async def _channels(patient: Patient) -> str:
    given = patient.secrets.apprise_urls
    if given is None:
        return "none beside Telegram"
    urls = addresses(given.get_secret_value())
    level = patient.config.telegram.notifications.extra
    if level == "off":
        return f"{len(urls)}, switched off by notifications.extra of telegram.json"
    try:
        await asyncio.to_thread(partial(channels, urls))
    except RuntimeError as error:
        said, _, cure = str(error).partition(": ")
        raise Doubt(f"{said}, which is not installed", cure) from None
    except ValueError as error:
        raise Doubt(str(error), "mend it in .env; https://github.com/caronc/apprise says how they look") from None
    return f"{len(urls)}, told from {level} on; not tried"
