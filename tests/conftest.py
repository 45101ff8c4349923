"""One compiled kernel for all tests: both shipped strategies, in this order. Kept on disk between runs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from otrade_bot.brokers import vault
from otrade_bot.kernel.compile import Kernel
from otrade_bot.strategies.loader import TradingStrategy, build_kernel, load_strategy

# The same examples every time: what fails fails again. HYPOTHESIS_PROFILE=search looks for new ones.
# How fast a busy machine makes examples says nothing of the code: slowness is no failure, nor is a long example.
PATIENT = {"suppress_health_check": [HealthCheck.too_slow], "deadline": None}
settings.register_profile("same", derandomize=True, database=None, **PATIENT)
settings.register_profile("search", print_blob=True, **PATIENT)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

SHIPPED = ("ema_crossover", "momentum_ladder")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile before any test's time runs: processes that tests start would wait for it, and their patience end."""
    if not hasattr(session.config, "workerinput") and not session.config.option.collectonly:
        build_kernel(load_strategy(name) for name in SHIPPED)


@pytest.fixture(scope="session")
def shipped() -> tuple[TradingStrategy, ...]:
    """The shipped strategies in the order of their sids."""
    return tuple(load_strategy(name) for name in SHIPPED)


@pytest.fixture(scope="session")
def kernel(shipped: tuple[TradingStrategy, ...]) -> Kernel:
    """The compiled kernel. The first run on a machine compiles it (half a minute)."""
    return build_kernel(shipped)


@pytest.fixture(scope="session")
def twin(shipped: tuple[TradingStrategy, ...]) -> Kernel:
    """The same sources as plain Python."""
    return build_kernel(shipped, interpreted=True)


@pytest.fixture(autouse=True)
def _own_cost() -> Iterator[None]:
    """Whoever makes keys cheap to derive does it for its own test: a process that the next one starts does not."""
    before = vault.COST
    yield
    vault.COST = before


@pytest.fixture(autouse=True)
def _own_loudness() -> Iterator[None]:
    """Whoever talks to other channels quiets libraries for its whole process; a test does it for itself alone."""
    quieted = [logging.getLogger(name) for name in ("apprise", "urllib3.connectionpool")]
    before = [logger.level for logger in quieted]
    yield
    for logger, level in zip(quieted, before, strict=True):
        logger.setLevel(level)
