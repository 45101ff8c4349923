"""The channels beside Telegram, put together: what is grave, and that the bot does not hear."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from otrade_bot.config.secrets import Secrets
from otrade_bot.control.news.deaf import Deaf, Hearing
from otrade_bot.control.news.extra import Extra, addresses, channels
from otrade_bot.control.reply import Told
from otrade_bot.core.events import Observer
from otrade_bot.service.logs import get_logger

if TYPE_CHECKING:
    from otrade_bot.service.app import Service

__all__ = ["Extras", "extras_for"]


class _Phone(Protocol):
    """What is needed of those who talk by phone."""

    @property
    def label(self) -> Callable[[], str]: ...
    @property
    def state(self) -> Hearing: ...
    def tell(self, reply: Told) -> None: ...


class Extras:
    """``tasks`` to be kept running, ``observers`` for every day's engine. Where there are no addresses it is nobody."""

    def __init__(self, extra: Extra | None, deaf: Deaf | None) -> None:
        self._extra, self._deaf = extra, deaf

    def tasks(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        found = [("extra channels", self._extra.run)] if self._extra else []
        return [*found, *([("deaf", self._deaf.run)] if self._deaf else [])]

    def observers(self) -> list[Observer]:
        return [self._extra.on_event] if self._extra else []

    async def flush(self, seconds: float) -> None:
        if self._extra:
            await self._extra.flush(seconds)


def extras_for(service: Service, secrets: Secrets, phone: _Phone) -> Extras:
    """By OTRADE_APPRISE_URLS; what does not work with them is said when they are first needed."""
    if secrets.apprise_urls is None:
        return Extras(None, None)
    urls = addresses(secrets.apprise_urls.get_secret_value())

    def failed(line: str) -> None:
        get_logger().warning(line)

    def market() -> bool:
        return service.desk is not None and not service.engine.view.phase(service.clock.now_ns()).shut

    extra = Extra(
        lambda: channels(urls), lambda: service.config.telegram.notifications.extra, phone.label, phone.tell,
        log_error=failed,
    )  # fmt: skip
    return Extras(extra, Deaf(lambda: phone.state, market, extra.say))
