"""The ``doctor`` command: settings and environment around the checks."""

from __future__ import annotations

import argparse
import asyncio
import json

from otrade_bot.config import Config, ConfigManager, config_dir, environment, state_dir
from otrade_bot.config.secrets import load_secrets
from otrade_bot.core.clock import SystemClock
from otrade_bot.core.errors import ConfigException, StrategyException
from otrade_bot.service.doctor import Finding, Patient, as_card, brokers_of, examine, local_checks, render
from otrade_bot.trading.setup import check_strategies

__all__ = ["run_doctor"]


def run_doctor(args: argparse.Namespace) -> int:
    """0 where all is green, else 1."""
    findings = asyncio.run(_findings())
    print(json.dumps(as_card(findings), indent=2, ensure_ascii=False) if args.json else render(findings))
    return 0 if all(one.well for one in findings) else 1


async def _findings() -> list[Finding]:
    """Of wrong settings nothing else is asked: every answer would be about other settings."""
    try:
        manager = ConfigManager(config_dir(), environment())
        config = manager.load(lambda given: check_strategies(given, manager.config_dir), create=False)
        secrets = load_secrets()
        patient = Patient(config, secrets, state_dir(), SystemClock())
    except (ConfigException, StrategyException) as error:
        return [Finding("configuration", False, str(error), "mend it; otrade-bot config check says whether it is")]
    from otrade_bot.service.doctor_net import net_checks

    checks, close = net_checks(patient)
    try:
        found = await examine([*local_checks(patient), *checks])
    finally:
        await close()
    return [Finding("configuration", True, _said(config, manager)), *found]


def _said(config: Config, manager: ConfigManager) -> str:
    mode = config.trading.mode
    where = " and ".join(brokers_of(config)) if mode == "live" else f"{config.brokers.feed} prices"
    return f"valid ({manager.config_dir}, {manager.env}): mode {mode}, {where}"
