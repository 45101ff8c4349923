"""What a person types. Heavy imports happen only inside the command that needs them.

Exit codes: 0 fine, 1 the thing asked for failed, 2 wrong usage or configuration (one line on standard
error that names the file, the key, the value and what is allowed).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

from otrade_bot import __version__
from otrade_bot.core.errors import ConfigException, DataException, StrategyException, TradingException
from otrade_bot.core.lastwords import mask_last_words

__all__ = ["main"]

OK, FAILED, USAGE = 0, 1, 2


class _Parser(argparse.ArgumentParser):
    """One line to standard error, like every other wrong usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. ``argv`` None: of a process that is ours, not a test's."""
    if argv is None:
        mask_last_words()
    args = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = args.run
    try:
        return run(args)
    except (ConfigException, StrategyException) as error:
        return _fail(str(error), USAGE)
    except DataException as error:
        return _fail(str(error), USAGE)
    except TradingException as error:
        return _fail(str(error), FAILED)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:
        sys.stderr.close()
        return FAILED


def _fail(text: str, code: int) -> int:
    print(f"otrade-bot: {' '.join(text.split())}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="otrade-bot", description="A trading agent for Indian markets.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    _demo_parser(commands)
    _run_parser(commands)
    login = commands.add_parser("login", help="a broker's daily login")
    login.add_argument("broker", nargs="?", choices=("kite", "upstox"), help="default: the one that takes the orders")
    login.add_argument("--approve", action="store_true", help="Upstox: consent in its app instead of an address")
    login.set_defaults(run=_login)
    _telegram_parser(commands)
    doctor = commands.add_parser("doctor", help="is everything ready? each check green, or red with its cure")
    doctor.add_argument("--json", action="store_true", help="one JSON object on standard output")
    doctor.set_defaults(run=_doctor)
    watch = commands.add_parser("watch", help="the watchdog: tells the phone when the service falls silent")
    watch.set_defaults(run=_watch)
    report = commands.add_parser("report", help="what the journal says of a day")
    report.add_argument("--day", type=_day, help="YYYY-MM-DD; default: the newest day with a journal")
    report.add_argument("--json", action="store_true", help="one JSON object on standard output")
    report.add_argument("--audit", action="store_true", help="what came of each command; exit 1 if it was changed")
    report.add_argument("--tape", action="store_true", help="replay the recorded day; exit 1 if it comes out otherwise")
    report.set_defaults(run=_report)
    _backtest_parser(commands)
    _optimize_parser(commands)
    config = commands.add_parser("config", help="write defaults, validate, show")
    config.add_argument("what", choices=("init", "check", "schema", "show"))
    config.set_defaults(run=_config)
    bench = commands.add_parser("bench", help="measure this machine")
    bench.add_argument("--json", action="store_true", help="one JSON object on standard output")
    bench.set_defaults(run=_bench)
    version = commands.add_parser("version", help="version, Python, platform")
    version.set_defaults(run=_version)
    return parser


def _demo_parser(commands: Any) -> None:
    demo = commands.add_parser("demo", help="a whole NSE day on paper, without any account")
    demo.add_argument("--speed", type=_speed, default=60.0, help="times faster than the market, or max (default 60)")
    demo.add_argument("--seed", type=_seed, default=1, help="which synthetic day (default 1)")
    demo.add_argument("--ticks", type=Path, nargs="+", default=(), metavar="FILE", help="recorded ticks instead")
    demo.add_argument("--history", type=Path, nargs="+", default=(), metavar="FILE", help="earlier days, for warm-up")
    demo.add_argument("--strategy", metavar="NAME", help="one strategy on every instrument")
    demo.add_argument("--strategies", type=Path, metavar="DIR", help="folder of your own strategies")
    demo.add_argument("--timeframe", choices=("tick", "1m", "3m", "5m", "15m", "30m", "60m"), help="length of the bars")
    demo.add_argument("--no-input", action="store_true", help="unattended: no prompt, ends by itself")
    demo.add_argument("--json", action="store_true", help="the day as one JSON object on standard output")
    demo.add_argument("--resume", action="store_true", help="go on with the day that was interrupted")
    demo.set_defaults(run=_demo)


def _backtest_parser(commands: Any) -> None:
    test = commands.add_parser("backtest", help="a strategy on recorded prices, days to years: the same kernel")
    _price_options(test)
    test.add_argument("--json", action="store_true", help="one JSON object on standard output")
    test.add_argument("--plot", type=Path, metavar="OUT.png", help="equity, drawdown, entries and exits on the price")
    test.add_argument("--html", type=Path, metavar="OUT.html", help="the report as one page")
    test.add_argument("--trades", type=Path, metavar="OUT.csv", help="all trades")
    test.set_defaults(run=_backtest)


def _optimize_parser(commands: Any) -> None:
    seek = commands.add_parser("optimize", help="search a strategy's parameters on recorded prices")
    _price_options(seek)
    seek.add_argument("--search", choices=("grid", "random", "tpe"), default="grid", help="how (default grid)")
    seek.add_argument("--grid", action="append", default=[], metavar="KEY=FROM:TO:STEP", help="a parameter, or KEY=A,B")
    seek.add_argument("--trials", type=_count, default=500, metavar="N", help="most sets (default 500)")
    seek.add_argument("--objective", default="sharpe", metavar="NAME", help="net, sharpe, sortino, calmar and more")
    seek.add_argument("--min-trades", type=_count, default=10, metavar="N", help="sets with fewer are not picked (10)")
    seek.add_argument("--walk-forward", type=_count, default=0, metavar="N", help="pick and judge on N windows of days")
    seek.add_argument("--train", type=_count, metavar="DAYS", help="trading days that a window is picked on")
    seek.add_argument("--test", type=_count, metavar="DAYS", help="trading days after them that it is judged on")
    seek.add_argument("--anchored", action="store_true", help="every training begins with the first day")
    seek.add_argument("--seed", type=_seed, default=1, help="of random and tpe (default 1)")
    seek.add_argument("--jobs", type=_count, metavar="N", help="threads; default: all cores")
    seek.add_argument("--cluster", metavar="ADDRESS", help="a Dask scheduler, tcp://HOST:PORT, computes instead")
    seek.add_argument("--heatmap", type=Path, metavar="OUT.png", help="two parameters against the objective")
    seek.add_argument("--heatmap-axes", type=_names, default=[], metavar="A,B", help="default: the first two")
    seek.add_argument("--heatmap-others", choices=("best", "mean"), default="best", help="what stands for the others")
    seek.add_argument("--csv", type=Path, metavar="OUT.csv", help="all sets")
    seek.add_argument("--json", action="store_true", help="one JSON object on standard output")
    seek.set_defaults(run=_optimize)


def _price_options(test: Any) -> None:
    """Files, and what trades them how: of backtest and optimize."""
    test.add_argument("files", type=Path, nargs="+", metavar="FILE", help="ticks or OHLC bars, CSV or Parquet; folders")
    test.add_argument("--strategy", metavar="NAME", help="default: ema_crossover")
    test.add_argument("--strategies", type=Path, metavar="DIR", help="folder of your own strategies")
    test.add_argument("--timeframe", choices=("tick", "1m", "3m", "5m", "15m", "30m", "60m"), help="length of the bars")
    test.add_argument("--param", type=_param, action="append", default=[], metavar="KEY=VALUE", help="of the strategy")
    test.add_argument("--from", dest="start", type=_day, metavar="DAY", help="first day; those before warm up")
    test.add_argument("--to", dest="end", type=_day, metavar="DAY", help="last day")
    test.add_argument("--product", choices=("MIS", "CNC", "NRML"), help="default: the one of trading.json")
    test.add_argument("--capital", type=_rupees, metavar="RUPEES", help="total capital; default: that of risk.json")
    test.add_argument("--per-position", type=_rupees, metavar="RUPEES", help="default: that of trading.json")
    test.add_argument("--latency-ms", type=_number(0, 60_000), metavar="MS", help="from sending an order to working")
    test.add_argument("--slippage-bps", type=_number(0, 1000), metavar="BPS", help="worse price, in 0.01 %%")
    test.add_argument("--participation", type=_number(0.000001, 1), metavar="PART", help="of the traded volume, 0 to 1")
    test.add_argument("--history", type=Path, nargs="+", default=(), metavar="FILE", help="earlier days, for warm-up")
    test.add_argument("--label", choices=("auto", "end", "start"), default="auto", help="which end of a bar is named")
    test.add_argument("--all-days", action="store_true", help="trade on days that the calendar calls closed too")
    test.add_argument("--as-future", action="store_true", help="trade an index as if it were its future")


def _run_parser(commands: Any) -> None:
    run = commands.add_parser("run", help="the service: trades on schedule, commanded from Telegram")
    run.add_argument("--rehearse", metavar="MOMENT", help="a day from this Indian time on: 2026-09-16T09:14:50")
    run.add_argument("--speed", type=_pace, help="times faster than the market, with --rehearse (default 1)")
    run.add_argument("--seed", type=_seed, default=1, help="which simulated days (default 1)")
    run.add_argument("--keep-time", action="store_true", help="the rehearsed market does not wait for a restart")
    run.set_defaults(run=_run)


def _telegram_parser(commands: Any) -> None:
    telegram = commands.add_parser("telegram", help="set the bot up, give a person an authenticator")
    parts = telegram.add_subparsers(required=True, metavar="WHAT", parser_class=_Parser)
    setup = parts.add_parser("setup", help="from BotFather's token to a claimed, tested bot")
    setup.add_argument("--again", action="store_true", help="claim it although there is an admin already")
    setup.set_defaults(run=_telegram_setup)
    totp = parts.add_parser("totp", help="an authenticator for one person: live mode, limits and people want its codes")
    totp.add_argument("name", nargs="?", help="name or number in telegram.json; default: the only admin")
    totp.add_argument("--remove", action="store_true", help="take it away")
    totp.set_defaults(run=_telegram_totp)


def _pace(text: str) -> float:
    """A service cannot answer between prices that never pause."""
    speed = _speed(text)
    if not speed:
        raise argparse.ArgumentTypeError("'max' leaves no time to answer; allowed: a number from 0.01 to 1000000")
    return speed


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day; allowed: YYYY-MM-DD") from None


def _param(text: str) -> tuple[str, Any]:
    """'fast=9' -> ('fast', 9); true, false, null and numbers as in JSON, anything else is text."""
    import json

    key, mark, value = text.partition("=")
    if not mark or not key.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: KEY=VALUE, such as fast=9")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 10_000_000):
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: a whole number from 1 to 10000000")
    return int(text)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _rupees(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 10_000_000_000):
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: whole rupees from 1 to 10000000000")
    return int(text)


def _number(least: float, most: float) -> Callable[[str], float]:
    """A reader of numbers within bounds."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r}; allowed: a number from {least:g} to {most:g}")
        return value

    return read


def _speed(text: str) -> float:
    try:
        speed = 0.0 if text == "max" else float(text)
    except ValueError:
        speed = -1.0
    if text != "max" and not 0.01 <= speed <= 1e6:
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: a number from 0.01 to 1000000, or max")
    return speed


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 2**63):
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: a whole number from 0")
    return int(text)


# --- commands ---------------------------------------------------------------------------------------


def _demo(args: argparse.Namespace) -> int:
    from otrade_bot.service.demo_command import run_demo

    return run_demo(args)


def _backtest(args: argparse.Namespace) -> int:
    from otrade_bot.service.backtest_command import run_backtest

    return run_backtest(args)


def _optimize(args: argparse.Namespace) -> int:
    from otrade_bot.service.optimize_command import run_optimize

    return run_optimize(args)


def _run(args: argparse.Namespace) -> int:
    from otrade_bot.service.garbage import held

    with held():
        from otrade_bot.service.run_command import run_service

        return run_service(args)


def _login(args: argparse.Namespace) -> int:
    from otrade_bot.service.login_command import run_login

    return run_login(args)


def _telegram_setup(args: argparse.Namespace) -> int:
    from otrade_bot.service.telegram_setup import run_setup

    return run_setup(args)


def _telegram_totp(args: argparse.Namespace) -> int:
    from otrade_bot.service.telegram_totp import run_totp

    return run_totp(args)


def _doctor(args: argparse.Namespace) -> int:
    from otrade_bot.service.doctor_command import run_doctor

    return run_doctor(args)


def _watch(args: argparse.Namespace) -> int:
    from otrade_bot.service.watch_command import run_watch

    return run_watch(args)


def _report(args: argparse.Namespace) -> int:
    if args.tape:
        from otrade_bot.service.selfcheck_command import run_selfcheck

        return run_selfcheck(args)
    from otrade_bot.config.paths import state_dir
    from otrade_bot.research.report import day_report, render
    from otrade_bot.service.journal import days, read_day

    folder = state_dir()
    known = days(folder)
    for guest in ("rehearsal", "demo"):  # they keep out of a service's own folder
        if (not known or (args.day and args.day not in known)) and days(state_dir() / guest):
            folder = state_dir() / guest
            known = days(folder)
    day = args.day or (known[-1] if known else None)
    if day is None or day not in known:
        have = ", ".join(d.isoformat() for d in known[-5:]) or "none"
        what = f"no journal of {day}" if day else "no journal"
        return _fail(f"{what} in {folder / 'journal'}; there is: {have}", FAILED)
    if args.audit:
        return _audit(folder, day, json=args.json)
    found = day_report(read_day(folder, day), day)
    _put(found) if args.json else print(render(found))
    return OK


def _audit(folder: Path, day: date, *, json: bool) -> int:
    from otrade_bot.research.audit import audit, render
    from otrade_bot.service.audit import earlier_of
    from otrade_bot.service.journal import day_path

    found = audit(day_path(folder, day), earlier_of(folder, day))
    _put(found) if json else print(render(found))
    return OK if found["chain"]["whole"] else FAILED


def _config(args: argparse.Namespace) -> int:
    from otrade_bot.config import ConfigManager, config_dir, environment
    from otrade_bot.trading.setup import check_strategies

    manager = ConfigManager(config_dir(), environment())
    if args.what == "schema":
        _put(manager.schema())
        return OK
    manager.load(lambda config: check_strategies(config, manager.config_dir), create=args.what == "init")
    if args.what == "show":
        _put(manager.show())
    else:
        print(f"{manager.config_dir}: all settings are valid ({manager.env})")
    return OK


def _bench(args: argparse.Namespace) -> int:
    from otrade_bot.research.bench import machine, measure, render
    from otrade_bot.service.journal import DayJournal

    rows = measure(DayJournal, lambda name: print(f"measuring {name}", file=sys.stderr))
    if args.json:
        _put({"machine": machine(), "rows": [row.as_json() for row in rows]})
    else:
        print(", ".join(f"{key} {value}" for key, value in machine().items()))
        print(render(rows))
    return OK


def _version(args: argparse.Namespace) -> int:
    import platform

    print(f"otrade-bot {__version__}, Python {platform.python_version()}, {platform.platform()}")
    return OK


def _put(value: Any) -> None:
    import json

    json.dump(value, sys.stdout, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write("\n")
