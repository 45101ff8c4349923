"""What a process loads, and what it does not; each looked at in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from otrade_bot.core.imports import sparse, without
from otrade_bot.research import bench
from otrade_bot.research.bench_live import live_run
from tests.unit.test_readme import ROOT

#: Prints which of these modules are loaded when the last statement is done.
LOADED = "\nimport sys\nprint(*sorted({watched} & set(sys.modules)))\n"


def loaded(code: str, *watched: str, cwd: Path | None = None, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code + LOADED.format(watched=set(watched))], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, cwd=cwd,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1] if done.stdout.strip("\n") else ""


# --- hiding ---------------------------------------------------------------------------------------------------------


def test_a_part_that_is_hidden_is_absent_inside_and_there_again_afterwards() -> None:
    sys.modules.pop("this", None)
    with without("this"), pytest.raises(ImportError):
        __import__("this")
    assert "this" not in sys.modules


def test_what_is_loaded_already_cannot_be_hidden() -> None:
    with without("json"):
        import json
    assert sys.modules["json"] is json


def test_a_part_is_shown_again_after_an_error() -> None:
    with pytest.raises(RuntimeError), without("this"):
        raise RuntimeError
    assert "this" not in sys.modules


def test_modules_of_a_sparse_package_are_found_and_the_package_is_itself_afterwards() -> None:
    code = (
        "import sys\nfrom otrade_bot.core.imports import sparse\nimport xml\n"
        "with sparse('xml.dom'):\n    import xml.dom.NodeFilter\n"
        "    assert not hasattr(sys.modules['xml.dom'], 'Node')\n"
        "assert 'xml.dom' not in sys.modules and not hasattr(xml, 'dom')\n"
        "import xml.dom\nassert xml.dom.Node.ELEMENT_NODE == 1\n"
    )
    assert loaded(code, "xml.dom") == "xml.dom"


def test_a_package_that_is_loaded_stays_what_it_is() -> None:
    import email

    with sparse("email"):
        assert sys.modules["email"] is email


# --- libraries ------------------------------------------------------------------------------------------------------


def test_kites_library_comes_without_twisted_and_gives_its_real_streamer_to_who_asks() -> None:
    load = "from otrade_bot.core.imports import kite_sdk\nsdk = kite_sdk()\nassert sdk.KiteConnect('k')\n"
    watched = ("kiteconnect", "twisted", "autobahn", "kiteconnect.ticker", "charset_normalizer")
    assert loaded(load, *watched) == "kiteconnect"
    for ask in ("from kiteconnect import KiteTicker", "from kiteconnect.ticker import KiteTicker",
                "KiteTicker = sdk.ticker.KiteTicker"):  # fmt: skip
        code = f"{load}{ask}\nassert KiteTicker('k', 't').socket_url.startswith('wss://ws.kite.trade')\n"
        assert loaded(code, "twisted", "autobahn") == "autobahn twisted"


def test_kites_library_that_was_loaded_before_keeps_its_streamer() -> None:
    code = "import kiteconnect\nfrom otrade_bot.core.imports import kite_sdk\nassert kite_sdk() is kiteconnect\n"
    assert loaded(f"{code}assert kiteconnect.KiteTicker.MODE_FULL == 'full'\n", "twisted") == "twisted"
    with pytest.raises(AssertionError, match="has no attribute 'nothing'"):
        loaded("from otrade_bot.core.imports import kite_sdk\nkite_sdk().nothing\n", "twisted")


def test_telegrams_library_comes_without_passports_and_a_command_line() -> None:
    code = "from otrade_bot.core.imports import telegram_library\ntelegram_library()\n"
    assert loaded(code, "telegram", "httpx", "httpx._main", "rich", "click", "cryptography") == "httpx telegram"
    assert loaded(f"{code}import cryptography.fernet\n", "cryptography") == "cryptography"


def test_logs_come_without_a_console_and_a_reactor() -> None:
    assert loaded("import otrade_bot.service.logs", "structlog", "rich", "twisted") == "structlog"


def test_the_calendar_comes_without_the_rest_of_the_world() -> None:
    code = (
        "from datetime import date\nfrom otrade_bot.core.session import Calendar\n"
        "assert Calendar().holiday_name(date(2026, 1, 26)) == 'Republic Day'\n"
    )
    watched = ("holidays", "holidays.countries", "holidays.countries.france", "holidays.financial.ny_stock_exchange")
    assert loaded(code, *watched) == "holidays"
    whole = f"{code}import holidays\nassert date(2026, 7, 14) in holidays.France(years=2026)\n"
    assert loaded(whole, "holidays.countries") == "holidays.countries"


# --- the service ----------------------------------------------------------------------------------------------------

#: What no service needs, whatever its settings.
NEVER = (
    *("numba", "llvmlite", "matplotlib", "PIL", "twisted", "autobahn", "rich", "pygments", "click", "cryptography"),
    *("holidays.countries", "kiteconnect.ticker", "upstox_client", "polars", "optuna", "dask", "unittest"),
)
#: What only a broker's connection needs.
BROKERS = ("kiteconnect", "requests", "urllib3")


def test_a_rehearsal_with_a_phone_loads_no_compiler_no_broker_no_console_and_no_reactor() -> None:
    watched = {*NEVER, *BROKERS, "apscheduler"}
    code = bench._FIRST.replace("print(time.monotonic_ns()", f"print('loaded', *sorted({watched} & set(sys.modules))")
    bench.kernel_of()
    told = bench.child(code, "run", "--rehearse", "2026-09-16T09:20:00", "--speed", "1")
    assert told == "loaded"


def test_a_live_run_at_kite_loads_its_library_and_nothing_of_the_other_brokers(tmp_path: Path) -> None:
    bench.kernel_of()
    told, watched = tmp_path / "loaded", {*NEVER, *BROKERS}
    code = (
        f"import atexit, sys\natexit.register(lambda: open({str(told)!r}, 'w')"
        f".write(' '.join(sorted({watched} & set(sys.modules)))))\n"
    )
    with live_run(shares=2, rate=50, past=5, before=code):
        pass
    assert told.read_text() == "kiteconnect requests urllib3"


@pytest.mark.parametrize("name", ["kite", "upstox"])
def test_an_account_at_one_broker_loads_nothing_of_the_other(name: str) -> None:
    code = (
        "from otrade_bot.brokers.factory import BrokerFactory\nfrom otrade_bot.config.secrets import Secrets\n"
        "from otrade_bot.core.clock import SystemClock\n"
        "secrets = Secrets(_env_file=None, kite_api_key='k', upstox_api_key='k', live='yes')\n"
        f"broker = BrokerFactory.create_broker({name!r}, secrets, access_token='t', clock=SystemClock())\n"
    )
    mine = {"kite": "kiteconnect", "upstox": "upstox_client"}[name]
    assert loaded(code, "kiteconnect", "upstox_client", "twisted") == mine
