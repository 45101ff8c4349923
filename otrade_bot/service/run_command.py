"""The ``run`` command: settings, secrets, state folder and logs around ``service.app``."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace

from otrade_bot.config import Config, ConfigManager, config_dir, environment, state_dir
from otrade_bot.config.models import SpecialDay
from otrade_bot.config.secrets import Secrets, load_secrets
from otrade_bot.core.clock import SystemClock, at_ist, to_ist
from otrade_bot.core.errors import ConfigException, TradingException
from otrade_bot.core.masking import mask_text
from otrade_bot.kernel.compile import COSTS_MB, IN_PROCESS, Kernel
from otrade_bot.service import logs
from otrade_bot.service.app import Service, Setting, first_cause
from otrade_bot.service.broker_setup import LIVE_FEEDS, broker_parts, check_live
from otrade_bot.service.demo_command import progress
from otrade_bot.service.desk import kernel_for
from otrade_bot.service.folder import guest_folder, only_one, own_folder
from otrade_bot.service.mouths import mouths_for
from otrade_bot.service.prices import PriceSource, Replay, Simulated
from otrade_bot.service.rehearsal import Rehearsal, start_text
from otrade_bot.service.switch import check_switch
from otrade_bot.trading.setup import load_strategies, user_strategies

__all__ = ["run_service"]

#: A recorded day that is played without ``--rehearse`` begins so long before its open.
AHEAD = (9, 14, 50)


def run_service(args: argparse.Namespace) -> int:
    """0 after an orderly stop or a rehearsed day's end; 1 after a crash, for a supervisor to start it again."""
    manager = ConfigManager(config_dir(), environment())
    config = manager.load(create=True)
    secrets = load_secrets()
    if args.rehearse is None and config.trading.mode == "live":
        check_live(config, secrets)
    if args.rehearse is None and config.brokers.feed in LIVE_FEEDS:
        _no_rehearsal(args)
        return _run(config, secrets, manager, None, None)
    source = _source(config, manager, rehearse=args.rehearse is not None, seed=args.seed)
    rehearsal = _rehearsal(args, config, source)
    return _run(_rehearsed(config, rehearsal, source), secrets, manager, source, rehearsal)


def _run(
    config: Config, secrets: Secrets, manager: ConfigManager, source: PriceSource | None, rehearsal: Rehearsal | None
) -> int:
    """``source`` None: a broker's prices."""
    folder = user_strategies(config, manager.config_dir)
    state = state_dir()
    if rehearsal is not None:
        state = guest_folder(state, "rehearsal")
    with only_one(state):
        if rehearsal is None:
            own_folder(state)
            check_switch(state, config.brokers.primary if config.trading.mode == "live" else "paper")
        logs.configure(state, level="INFO", console=False)
        try:
            strategies = load_strategies(config, folder)
            with logs.timed("kernel"):
                kernel = kernel_for(strategies, progress)
            _say_kernel(kernel)
            start, resumed = rehearsal.begin(state, time.time_ns()) if rehearsal else (0, False)

            def setting() -> Setting:
                if source is not None:
                    return Setting(config, strategies, kernel, source, state, rehearsal, start, resumed)
                parts = broker_parts(config, secrets, state, SystemClock())
                return Setting(
                    config, strategies, kernel, parts.source, state, account=parts.account, brokers=parts.side
                )

            return asyncio.run(_attend(setting, secrets))
        finally:
            logs.shutdown()


def _say_kernel(kernel: Kernel) -> None:
    """Which one it is; aloud where it is not the one that was meant."""
    logs.get_logger().info("kernel", executor=kernel.executor, was_cached=kernel.was_cached, why=kernel.why)
    if kernel.why:
        costs = "" if kernel.executor != IN_PROCESS else f", about {COSTS_MB} MB more memory"
        said = f"kernel compiled {kernel.executor}{costs}: {kernel.why}; otrade-bot doctor has the cure"
        print(f"otrade-bot: {said}", file=sys.stderr)


async def _attend(make: Callable[[], Setting], secrets: Secrets) -> int:
    """The service under the signals of a supervisor. ``make`` runs in the loop that the connections live in."""
    setting = make()
    service = Service(setting, mouths_for(secrets, sys.stdout))
    _announce(setting, secrets)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stopper(service, number))
    try:
        await service.run()
    except Exception as error:
        cause = first_cause(error)
        if isinstance(cause, TradingException):
            raise cause from None
        print(f"otrade-bot: the service crashed: {type(cause).__name__}: {mask_text(str(cause))}; "
              f"see {setting.state_dir / 'logs' / 'error.log'}", file=sys.stderr)  # fmt: skip
        return 1
    return 0


def _stopper(service: Service, number: signal.Signals) -> Callable[[], None]:
    """The first signal stops in good order, the second at once."""

    def stop() -> None:
        if service.reason:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        service.stop("stopped from the terminal" if number is signal.SIGINT else "stopped by the supervisor")

    return stop


def _announce(setting: Setting, secrets: Secrets) -> None:
    """One line on standard error: what runs, and who can command it."""
    rehearsal = setting.rehearsal
    mode = setting.config.trading.mode.upper()
    what = f"{mode} · {setting.source.name} prices"
    if setting.account is not None:
        what = f"{mode} · REAL ORDERS at {setting.account.name} · {setting.source.name} prices"
    if rehearsal is not None:
        begins = "goes on" if setting.resumed else "begins"
        what += f" · rehearsal at {rehearsal.speed:g}x {begins} at {to_ist(setting.start):%Y-%m-%d %H:%M:%S}"
    if secrets.telegram_token is None:
        who = "no OTRADE_TELEGRAM_TOKEN, so commands are taken here"
    elif not setting.config.telegram.users:
        who = "telegram.json names no user yet: otrade-bot telegram setup, or write to the bot and read here"
    else:
        who = f"commands by Telegram from {len(setting.config.telegram.users)} user(s)"
    print(f"otrade-bot: {what} · {who}", file=sys.stderr)


def _source(config: Config, manager: ConfigManager, *, rehearse: bool, seed: int) -> PriceSource:
    """Where prices come from. A rehearsal plays the configured recordings, else simulated prices."""
    brokers = config.brokers
    if brokers.replay.files and (rehearse or brokers.feed == "replay"):
        beside = manager.config_dir.resolve().parent
        return Replay([beside / file for file in brokers.replay.files])
    if rehearse or brokers.feed == "simulated":
        return Simulated(seed, config.market)
    raise AssertionError(f"{brokers.feed} is a broker's feed")


def _rehearsal(args: argparse.Namespace, config: Config, source: PriceSource) -> Rehearsal | None:
    """Asked for, or because recorded prices bring their own day with them."""
    speed = args.speed
    if args.rehearse is not None:
        return Rehearsal(start_text(args.rehearse), 1.0 if speed is None else speed, source.identity, args.keep_time)
    if source.name != "replay":
        _no_rehearsal(args)
        return None
    speed = config.brokers.replay.speed if speed is None else speed
    if not speed:
        raise ConfigException(
            "a service needs a pace (the demo plays at full speed)", file="brokers.json", key="replay.speed", value=0,
            allowed="0.01 to 100000",
        )  # fmt: skip
    return Rehearsal(at_ist(source.days()[-1], *AHEAD), speed, source.identity, args.keep_time)


def _no_rehearsal(args: argparse.Namespace) -> None:
    """Raises ConfigException for options that only a rehearsal has."""
    if args.speed is not None or args.keep_time:
        raise ConfigException("goes with --rehearse alone", key="--speed" if args.speed is not None else "--keep-time")


def _rehearsed(config: Config, rehearsal: Rehearsal | None, source: PriceSource) -> Config:
    """A rehearsal is on paper, on a day on which the exchange is open, or was."""
    if rehearsal is None:
        return config
    config = replace(config, trading=config.trading.model_copy(update={"mode": "paper"}))
    if config.calendar.is_trading_day(rehearsal.day):
        return config
    if source.name != "replay":
        why = config.calendar.holiday_name(rehearsal.day)
        raise ConfigException(f"is no trading day: {why}", key="--rehearse", value=rehearsal.day.isoformat())
    # Prices were recorded that day, so there was a session, whatever the calendar says.
    special = {**config.market.special_days, rehearsal.day: SpecialDay(name="recorded session", full=True)}
    return replace(config, market=config.market.model_copy(update={"special_days": special}))
