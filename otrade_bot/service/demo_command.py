"""The ``demo`` command: settings and terminal around ``service.demo``."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from otrade_bot import __version__
from otrade_bot.config import Config, ConfigManager, config_dir, environment, state_dir
from otrade_bot.config.manager import as_documents
from otrade_bot.control.auth import Role
from otrade_bot.control.commands import Context, answer
from otrade_bot.control.confirm import Confirmations
from otrade_bot.control.handlers import COMMANDS
from otrade_bot.control.reply import Reply
from otrade_bot.control.screen.terminal import PlainPrinter, PlainTerminal, TerminalUI, terminal
from otrade_bot.core.errors import ConfigException
from otrade_bot.research.report import render
from otrade_bot.service import logs
from otrade_bot.service.demo import Demo, DemoOptions
from otrade_bot.service.folder import guest_folder, only_one
from otrade_bot.service.journal import read_day
from otrade_bot.service.logs import get_logger, tail
from otrade_bot.service.observe import command_event, log_observer
from otrade_bot.service.pictures import Pictures
from otrade_bot.trading.setup import user_strategies

__all__ = ["progress", "run_demo"]


def run_demo(args: argparse.Namespace) -> int:
    """0 after a day that ended as it should, 1 where something is left open."""
    config, folder = _settings(args)
    state = guest_folder(state_dir(), "demo")
    options = DemoOptions(
        state_dir=state, ticks=tuple(args.ticks), history=tuple(args.history), strategy=args.strategy,
        timeframe=args.timeframe, strategies_dir=args.strategies or folder, seed=args.seed, speed=args.speed,
        resume=args.resume,
    )  # fmt: skip
    with only_one(state):
        logs.configure(state, level="INFO", console=False)
        demo = Demo.prepare(config, options, progress)
        demo.engine.add_observer(log_observer)
        try:
            asyncio.run(_attend(demo, args))
            report = demo.report()
        finally:
            demo.close()
            logs.shutdown()
    if args.json:
        json.dump(report, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        print(render(report))
        print(f"Journal: {report['journal']}")
    if "incomplete" in report:
        print(f"otrade-bot: the journal and this report are incomplete: {report['incomplete']}", file=sys.stderr)
    return 1 if report["open_positions"] or "incomplete" in report else 0


def _settings(args: argparse.Namespace) -> tuple[Config, Path | None]:
    """The user's settings where there are any; a demo writes none."""
    manager = ConfigManager(config_dir(), environment())
    config = manager.load(create=False)
    if args.strategies is not None and not args.strategies.is_dir():
        raise ConfigException("no such folder", key="--strategies", value=str(args.strategies))
    return config, user_strategies(config, manager.config_dir)


def progress(what: str, fraction: float) -> None:
    """The one start that compiles says so."""
    if fraction == 0.0:
        print("Compiling the trading kernel, once for this version (about half a minute):", file=sys.stderr)
    done = "done" if fraction >= 1 else f"{fraction:4.0%} {what}"
    print(f"  {done}", file=sys.stderr, flush=True)


async def _attend(demo: Demo, args: argparse.Namespace) -> None:
    """Run the day with the mouth that fits: live picture, plain lines, or silence."""
    engine = demo.engine
    if args.no_input:
        if not args.json:
            print(f"PAPER · {demo.source} prices · {demo.day}")
            engine.add_observer(PlainPrinter(sys.stdout).on_event)
        await demo.run()
        return
    out = sys.stderr if args.json else sys.stdout
    speed = "max" if args.speed == 0 else f"{args.speed:g}x"
    pictures = Pictures(demo.options.state_dir)
    pictures.begin(engine, read_day(demo.options.state_dir, demo.day))
    engine.add_observer(pictures.on_event)
    folder = demo.options.state_dir / "pictures"
    mouth = terminal(engine, _answerer(demo, pictures), speed=speed, out=out, pictures=folder)
    engine.add_observer(mouth.on_event)
    await _until_either(demo, mouth)


def _answerer(demo: Demo, pictures: Pictures) -> Callable[[str], Awaitable[Reply]]:
    """The command table for whoever sits at the terminal."""
    context = Context(
        view=demo.engine,
        user="terminal",
        role=Role.ADMIN,
        session="terminal",
        table=COMMANDS,
        confirmations=Confirmations(),
        now_ns=demo.clock.now_ns,
        version=__version__,
        config_text=lambda: json.dumps(as_documents(demo.engine.config), indent=1, ensure_ascii=False),
        log_tail=lambda newest: tail(demo.options.state_dir / "logs" / "system.log", newest),
        log_error=lambda what, error: get_logger("error").error(what, error=repr(error)),
        audit=lambda heard: demo.engine.emit(command_event(heard, demo.clock.now_ns())),
        pictures=pictures,
    )
    return lambda line: answer(context, line)


async def _until_either(demo: Demo, mouth: TerminalUI | PlainTerminal) -> None:
    """The day and the terminal side by side; leaving the terminal ends the day between two inputs."""
    day = asyncio.create_task(demo.run())
    talk = asyncio.create_task(mouth.run())
    await asyncio.wait({day, talk}, return_when=asyncio.FIRST_COMPLETED)
    if not day.done() and talk.result() == "quit":
        demo.driver.stop()
    try:
        await day
    finally:
        mouth.stop()
        await asyncio.wait({talk})
