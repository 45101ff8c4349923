"""The ``login`` command: a broker's daily login from a terminal, for a service that runs or is started later."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys

from otrade_bot.brokers.logins import login_for
from otrade_bot.config import ConfigManager, config_dir, environment, state_dir
from otrade_bot.config.models import BrokerConfig
from otrade_bot.config.secrets import Secrets, load_secrets
from otrade_bot.control.reply import Reply, Told, worded
from otrade_bot.core.clock import SystemClock
from otrade_bot.core.errors import CommandException, ConfigException
from otrade_bot.service.callback import notify_path
from otrade_bot.service.login_desk import SECONDS, ServiceLogins
from otrade_bot.service.logins import brokers_of, callback_for, desk_for, store_for

__all__ = ["run_login"]

#: The person at this terminal.
HERE = "terminal"


def run_login(args: argparse.Namespace) -> int:
    """0 where the token is kept, 1 where not. Raises ConfigException, CommandException."""
    settings = ConfigManager(config_dir(), environment()).load().brokers
    secrets = load_secrets()
    broker = args.broker or next(iter(brokers_of(settings)), "")
    if not broker:
        raise ConfigException("no broker of these settings wants a login; say which", key="login",
                              allowed="kite, upstox")  # fmt: skip
    store = store_for(secrets, state_dir())
    store.check()
    login_for(broker, secrets)  # what it lacks is said before anybody logs in
    told: list[Reply] = []
    desk = desk_for(
        settings, secrets, store, clock=SystemClock(), on_token=lambda name, token: None,
        tell=lambda said: told.append(worded(said)),
        brokers=(broker,), again="Run the command again; the code alone, without the rest of the address, will do too.",
    )  # fmt: skip
    assert desk is not None
    if args.approve:
        return _by_consent(desk, broker, settings, secrets, told)
    return _by_page(desk, broker)


def _by_page(desk: ServiceLogins, broker: str) -> int:
    page = asyncio.run(desk.begin(HERE, broker))
    print(page.url, flush=True)  # a program that reads it from a pipe must not wait for our end
    _hint(
        f"Open this address, log in to {broker.capitalize()}, then paste the whole address of the page that the "
        "browser ends up at; an error is what it may show."
    )
    end = asyncio.run(desk.finish(_secret("Address (it is not shown): "), HERE))
    return _settled(desk, end.said, end.account)


def _by_consent(
    desk: ServiceLogins, broker: str, settings: BrokerConfig, secrets: Secrets, told: list[Reply]
) -> int:
    """Upstox asks in its app and posts the token here."""
    if settings.login.listen is None or secrets.secret_key is None:
        raise ConfigException("is not set, so the token could not come here", file="brokers.json", key="login.listen")
    path = notify_path(secrets.secret_key.get_secret_value())
    _hint(f"The app's notifier address at {broker.capitalize()} must lead to {settings.login.listen}, path {path}")
    asyncio.run(_await_consent(desk, broker, settings, secrets, told))
    if not told:
        raise CommandException(f"Nothing came within {SECONDS / 60:.0f} min.")
    return _settled(desk, told[-1].to_plain(), desk.waiting(HERE))


async def _await_consent(
    desk: ServiceLogins, broker: str, settings: BrokerConfig, secrets: Secrets, told: list[Reply]
) -> None:
    callback = callback_for(desk, settings, secrets)
    assert callback is not None
    came = asyncio.Event()

    def tell(reply: Told) -> None:
        told.append(worded(reply))
        came.set()

    desk.tell = tell
    listening = asyncio.create_task(callback.run())
    ready = asyncio.create_task(callback.ready.wait())
    try:
        await asyncio.wait({listening, ready}, return_when=asyncio.FIRST_COMPLETED)
        if listening.done():
            raise ConfigException(
                "is in use; where the service runs, send it /login upstox approve", file="brokers.json",
                key="login.listen", value=settings.login.listen,
            ) from None  # fmt: skip
        _hint(await desk.approve(HERE, broker))
        await asyncio.wait({listening, came_task := asyncio.create_task(came.wait())}, timeout=SECONDS,
                           return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
        came_task.cancel()
    finally:
        listening.cancel()
        ready.cancel()
        await asyncio.gather(listening, ready, return_exceptions=True)


def _settled(desk: ServiceLogins, said: str, account: str) -> int:
    """Another account asks back."""
    print(said, flush=True)
    if not account:
        return 0 if said.startswith("Logged in") else 1
    _hint(f"Trade with the account {account} from now on? Positions of the one before are watched by nobody then.")
    if _line("yes or no: ").strip().casefold() != "yes":
        desk.drop(HERE)
        print("Nothing was changed.")
        return 1
    print(asyncio.run(desk.accept(HERE)))
    return 0


def _secret(prompt: str) -> str:
    """Typed or pasted without an echo; from a pipe a line."""
    return getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline()


def _line(prompt: str) -> str:
    return input(prompt) if sys.stdin.isatty() else sys.stdin.readline()


def _hint(text: str) -> None:
    print(f"otrade-bot: {text}", file=sys.stderr)
