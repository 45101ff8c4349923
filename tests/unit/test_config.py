"""Settings: what is accepted, what is refused and how the refusal reads, and that a fault changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from otrade_bot.config import Config, ConfigManager, config_dir, environment, files, state_dir
from otrade_bot.config.manager import default_document, differences
from otrade_bot.config.models import FILES, MarketConfig
from otrade_bot.core.clock import at_ist
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.session import Phase, Segment, SessionKind, phase_at

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ConfigManager(tmp_path / "config").load()
    return tmp_path / "config"


@pytest.fixture
def _no_instance() -> Iterator[None]:
    ConfigManager.forget_instance()
    yield
    ConfigManager.forget_instance()


def put(folder: Path, name: str, values: Any) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(values), encoding="utf-8")


def edit(folder: Path, name: str, **values: Any) -> None:
    put(folder, name, {**json.loads((folder / name).read_text()), **values})


def refusal(folder: Path, env: str = "dev") -> ConfigException:
    with pytest.raises(ConfigException) as caught:
        ConfigManager(folder, env).load()
    assert "\n" not in str(caught.value)
    return caught.value


# --- defaults ---------------------------------------------------------------------------------------


def test_missing_files_are_written_with_defaults_that_load_again(tmp_path: Path) -> None:
    first = ConfigManager(tmp_path / "a" / "config").load()
    assert sorted(path.name for path in (tmp_path / "a" / "config").iterdir()) == sorted(FILES)
    assert ConfigManager(tmp_path / "a" / "config").load() == first


def test_out_of_the_box_it_is_paper_on_simulated_prices(folder: Path) -> None:
    config = ConfigManager(folder).current
    assert (config.trading.mode, config.brokers.primary, config.brokers.feed) == (
        "paper",
        "paper",
        "simulated",
    )


@pytest.mark.parametrize("name", FILES)
def test_the_files_of_the_repository_are_the_written_defaults(name: str) -> None:
    assert (ROOT / "config" / name).read_bytes() == default_document(name)


def test_without_create_nothing_is_written(tmp_path: Path) -> None:
    config = ConfigManager(tmp_path / "none").load(create=False)
    assert config.trading.max_positions == 90
    assert not (tmp_path / "none").exists()


def test_an_existing_file_is_never_rewritten_by_load(folder: Path) -> None:
    (folder / "risk.json").write_text('{"cooldown_seconds":7}')
    assert ConfigManager(folder).load().risk.cooldown_seconds == 7
    assert (folder / "risk.json").read_text() == '{"cooldown_seconds":7}'


@pytest.mark.parametrize("name", FILES)
def test_every_schema_describes_every_field_and_names_the_file(name: str) -> None:
    schema = ConfigManager("unused").schema()[name]
    assert set(schema["properties"]) == set(ConfigManager("unused").show()[name])
    assert name in schema["description"]
    for title, node in {**schema.get("$defs", {}), name: schema}.items():
        for key, field in node.get("properties", {}).items():
            assert field.get("description") or "$ref" in field, f"{title}.{key}"


def test_what_show_prints_is_what_the_files_say(folder: Path) -> None:
    put(folder, "dev/risk.json", {"cooldown_seconds": 5})
    shown = ConfigManager(folder).show()
    assert shown["risk.json"]["cooldown_seconds"] == 5
    assert shown["charges.json"] == json.loads((folder / "charges.json").read_text())


# --- faults of a file -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{\n  "mode": "paper",\n  "max_positions" 3\n}', "line 3 column 19"),
        (b"", "line 1 column 1"),
        (b"[]", "object"),
        (b"null", "object"),
        (b'{"mode": "\xff"}', "UTF-8"),
        (b'{"max_positions": 1, "max_positions": 2}', "'max_positions' stands twice"),
        (b'{"max_positions": NaN}', "NaN"),
        (b'{"a":' * 100_000, "nested too deep"),
        (b'{"max_positions": ' + b"9" * 5000 + b"}", "digits"),
        (b'{"mode": "\\ud800"}', "trading.json"),
    ],
)
def test_a_malformed_file_is_named_with_the_place(folder: Path, raw: bytes, said: str) -> None:
    (folder / "trading.json").write_bytes(raw)
    error = refusal(folder)
    assert error.file == str(folder / "trading.json")
    assert said in str(error)


def test_a_surrogate_in_an_overlay_is_a_clear_error_too(folder: Path) -> None:
    (folder / "dev").mkdir()
    (folder / "dev" / "telegram.json").write_text(
        '{"users": [{"user_id": 1, "chat_id": 1, "name": "\\ud800"}]}'
    )
    assert refusal(folder).file == str(folder / "dev" / "telegram.json")


def test_a_byte_order_mark_does_no_harm(folder: Path) -> None:
    (folder / "risk.json").write_bytes(b'\xef\xbb\xbf{"cooldown_seconds": 9}')
    assert ConfigManager(folder).load().risk.cooldown_seconds == 9


def test_a_directory_in_place_of_a_file_is_refused(folder: Path) -> None:
    (folder / "risk.json").unlink()
    (folder / "risk.json").mkdir()
    assert "cannot be read" in str(refusal(folder))


def test_a_file_in_place_of_the_config_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("")
    assert "cannot be" in str(refusal(tmp_path / "config"))


def test_an_endless_file_is_not_read_to_its_end(folder: Path) -> None:
    with (folder / "risk.json").open("wb") as handle:
        handle.truncate(files.LARGEST + 1)
    assert "too long" in str(refusal(folder))


# --- faults of a value ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values", "key", "allowed"),
    [
        ("trading.json", {"capital_per_position": "3000"}, "capital_per_position", "a whole number >= 1"),
        ("trading.json", {"max_positions": True}, "max_positions", "a whole number"),
        ("trading.json", {"max_positions": 90.5}, "max_positions", "a whole number"),
        ("trading.json", {"max_positions": 0}, "max_positions", ">= 1 and <= 10000"),
        ("trading.json", {"max_positions": None}, "max_positions", "a whole number"),
        ("trading.json", {"mode": "real"}, "mode", "paper, live"),
        ("trading.json", {"product": "BO"}, "product", "MIS, CNC, NRML"),
        ("trading.json", {"max_position": 3}, "max_position", "did you mean 'max_positions'?"),
        ("trading.json", {"strategies": {}}, "strategies", "a list"),
        ("risk.json", {"price_band_percent": True}, "price_band_percent", "a number"),
        ("risk.json", {"spike_percent": 1e999}, "spike_percent", "<= 50"),
        ("risk.json", {"daily_loss_flatten": 1}, "daily_loss_flatten", "true or false"),
        ("brokers.json", {"backup": "zerodha"}, "backup", "kite, upstox or null"),
        ("brokers.json", {"instance": "A-1"}, "instance", "1 to 3 letters"),
        ("brokers.json", {"paper": {"participation": 0}}, "paper.participation", "> 0"),
        ("brokers.json", {"static_ip": "300.1.1.1"}, "static_ip", "IPv4"),
        ("market.json", {"holidays": {"2026-13-01": "x"}}, "holidays.2026-13-01", "a date like"),
        ("market.json", {"instruments": {"RELIANCE": {"lot": 1}}}, "instruments.RELIANCE", ""),
        (
            "market.json",
            {"instruments": {"NSE:X": {"tick_size": 0.001}}},
            "instruments.NSE:X.tick_size",
            "0.01",
        ),
        ("telegram.json", {"users": [{"user_id": 1}]}, "users.0.chat_id", "a whole number"),
        ("telegram.json", {"users": [{"user_id": 1, "chat_id": 0}]}, "users.0.chat_id", "any number but 0"),
        ("telegram.json", {"notifications": {"fil": "on"}}, "notifications.fil", "did you mean 'fill'?"),
        ("market.json", {"holidays": {"1699920000": "x"}}, "holidays.1699920000", "a date like"),
        ("market.json", {"holidays": {"a\nb": "x"}}, "holidays.a\\nb", ""),
        ("charges.json", {"profiles": {"a\nb": []}}, "profiles.a\\nb", ""),
        ("charges.json", {"broker": "kite"}, "broker", "zerodha, upstox"),
        ("charges.json", {"profiles": {"zerodha": []}}, "profiles.zerodha", "at least 1"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key_and_what_is_allowed(
    folder: Path, name: str, values: dict[str, Any], key: str, allowed: str
) -> None:
    text = json.dumps({**json.loads((folder / name).read_text()), **values}).replace("Infinity", "1e999")
    (folder / name).write_text(text)
    error = refusal(folder)
    assert (error.file, error.key) == (str(folder / name), key)
    assert allowed in error.allowed


@pytest.mark.parametrize(
    ("name", "values", "key"),
    [
        ("telegram", {"token": "123456789:AAEabcdefghijklmnopqrstuvwxyz012345"}, "token"),
        ("brokers", {"kite_api_secret": "AAEabcdefghijkl"}, "kite_api_secret"),
        ("brokers", {"pin": 448811}, "pin"),
        ("brokers", {"algo_id": {"access_token": "AAEabcdefghijkl"}}, "algo_id"),
        ("brokers", {"algo_id": "123456789:AAEabcdefghijklmnopqrstuvwxyz012345"}, "algo_id"),
        ("brokers", {"123456789:AAEabcdefghijklmnopqrstuvwxyz012345": 1}, ""),
    ],
)
def test_a_secret_that_was_put_into_the_settings_by_mistake_is_not_repeated(
    folder: Path, name: str, values: dict[str, Any], key: str
) -> None:
    edit(folder, f"{name}.json", **values)
    error = refusal(folder)
    assert key in error.key
    assert "***" in str(error)
    assert "AAEabc" not in str(error)
    assert "448811" not in str(error)


def strategy(**values: Any) -> dict[str, Any]:
    return {"name": "ema_crossover", "instruments": ["NSE:SBIN"], "timeframe": "1m", **values}


@pytest.mark.parametrize(
    ("given", "key", "said"),
    [
        ([strategy(timeframe="2m")], "strategies.0.timeframe", "tick, 1m, 3m, 5m, 15m, 30m, 60m"),
        ([strategy(instruments=["SBIN"])], "strategies.0.instruments.0", "EXCHANGE:SYMBOL"),
        ([strategy(instruments=["NSE:sbin"])], "strategies.0.instruments.0", "EXCHANGE:SYMBOL"),
        ([strategy(instruments=[])], "strategies.0.instruments", "at least 1"),
        (
            [strategy(), strategy(name="momentum_ladder")],
            "strategies.1.instruments.0",
            "the broker nets them",
        ),
        ([strategy(instruments=["NSE:A", "NSE:A"])], "strategies.0.instruments.1", "the broker nets them"),
        ([strategy(speed=1)], "strategies.0.speed", "name, instruments, timeframe, params"),
        ([strategy(name="../evil")], "strategies.0.name", "letters, digits and _"),
    ],
)
def test_a_wrong_strategy_entry_is_refused(folder: Path, given: list[Any], key: str, said: str) -> None:
    edit(folder, "trading.json", strategies=given)
    error = refusal(folder)
    assert error.key == key
    assert said in str(error)


NFO = {"strategies": [strategy(instruments=["NFO:NIFTY26NOVFUT"])]}


@pytest.mark.parametrize(
    ("changes", "file", "key"),
    [
        ({"trading.json": {"mode": "live"}}, "brokers.json", "primary"),
        ({"trading.json": {"mode": "live"}, "brokers.json": {"primary": "kite"}}, "brokers.json", "feed"),
        ({"trading.json": {"product": "CNC", **NFO}}, "trading.json", "product"),
        ({"trading.json": {"product": "NRML"}}, "trading.json", "product"),
        ({"trading.json": {"capital_per_position": 240_001}}, "trading.json", "capital_per_position"),
        ({"trading.json": {"capital_per_position": 100_001}}, "trading.json", "capital_per_position"),
        ({"risk.json": {"daily_loss_limit": 240_001}}, "risk.json", "daily_loss_limit"),
        ({"brokers.json": {"paper": {"cash": 2999}}}, "brokers.json", "paper.cash"),
        ({"brokers.json": {"feed": "replay"}}, "brokers.json", "replay.files"),
        ({"brokers.json": {"primary": "kite", "backup": "kite"}}, "brokers.json", "backup"),
        (
            {"market.json": {"square_off": {"auction": {"entries_stop": "15:00", "exit": "15:15"}}}},
            "market.json",
            "square_off.auction",
        ),
        (
            {"market.json": {"special_days": {"2026-11-08": {"name": "x", "open": "18:00"}}}},
            "market.json",
            "special_days.2026-11-08",
        ),
        (
            {"telegram.json": {"users": [{"user_id": 1, "chat_id": 2}] * 2}},
            "telegram.json",
            "users.1",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    folder: Path, changes: dict[str, dict[str, Any]], file: str, key: str
) -> None:
    for name, values in changes.items():
        edit(folder, name, **values)
    error = refusal(folder)
    assert (error.file, error.key) == (str(folder / file), key)


def test_live_with_a_broker_and_its_prices_is_accepted(folder: Path) -> None:
    edit(folder, "trading.json", mode="live")
    edit(folder, "brokers.json", primary="kite", feed="kite", backup="upstox")
    assert ConfigManager(folder).load().trading.mode == "live"


# --- overlays ---------------------------------------------------------------------------------------


def test_an_overlay_merges_objects_and_replaces_lists(folder: Path) -> None:
    put(
        folder,
        "prod/market.json",
        {"square_off": {"auction": {"exit": "14:50"}}, "holidays": {"2027-01-01": "x"}},
    )
    put(folder, "prod/trading.json", {"strategies": [strategy()]})
    config = ConfigManager(folder, "prod").load()
    assert config.market.square_off.auction.exit == "14:50"
    assert config.market.square_off.auction.entries_stop == "14:40"
    assert set(config.market.holidays) == {date(2026, 1, 15), date(2027, 1, 1)}
    assert [s.name for s in config.trading.strategies] == ["ema_crossover"]
    assert len(ConfigManager(folder, "dev").load().trading.strategies) == 2


@pytest.mark.parametrize(
    ("overlay", "key", "in_overlay"),
    [
        ({"trading.json": {"max_positions": 0}}, "max_positions", True),
        ({"trading.json": {"mode": "paper"}}, "capital_per_position", False),
        ({"trading.json": {"strategies": [strategy(timeframe="x")]}}, "strategies.0.timeframe", True),
        ({"trading.json": {"capital_per_position": 999_999}}, "capital_per_position", True),
    ],
)
def test_the_file_that_holds_the_bad_value_is_named(
    folder: Path, overlay: dict[str, Any], key: str, in_overlay: bool
) -> None:
    if not in_overlay:
        edit(folder, "trading.json", capital_per_position=-1)
    for name, values in overlay.items():
        put(folder, f"dev/{name}", values)
    error = refusal(folder)
    place = folder / "dev" if in_overlay else folder
    assert (error.file, error.key) == (str(place / "trading.json"), key)


def test_a_misspelt_overlay_is_refused_not_ignored(folder: Path) -> None:
    put(folder, "dev/risks.json", {})
    assert "risk.json" in refusal(folder).allowed


def test_an_overlay_works_on_defaults_where_there_is_no_base(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    put(tmp_path, "dev/risk.json", {"cooldown_seconds": 1})
    risk = ConfigManager(tmp_path).load(create=False).risk
    assert (risk.cooldown_seconds, risk.total_capital) == (1, 240_000)


# --- reload, update, check --------------------------------------------------------------------------


def test_a_bad_reload_leaves_the_old_settings_in_force(folder: Path) -> None:
    manager = ConfigManager(folder)
    before = manager.load()
    edit(folder, "risk.json", cooldown_seconds=1)
    edit(folder, "telegram.json", users=7)
    with pytest.raises(ConfigException):
        manager.reload()
    assert manager.current is before


def test_a_reload_sees_the_files_as_they_are_and_says_what_differs(folder: Path) -> None:
    manager = ConfigManager(folder)
    before = manager.load()
    edit(folder, "risk.json", cooldown_seconds=1)
    after = manager.reload()
    assert after is manager.current
    assert differences(before, after) == [("risk.json", "cooldown_seconds", 300, 1)]


def test_an_update_is_written_and_in_force_and_keeps_the_rest_of_the_file(folder: Path) -> None:
    manager = ConfigManager(folder)
    manager.load()
    config = manager.update("brokers.json", {"paper": {"slippage_bps": 2.5}})
    assert manager.current is config
    assert (config.brokers.paper.slippage_bps, config.brokers.paper.cash) == (2.5, 1_000_000)
    assert ConfigManager(folder).load() == config


def test_an_update_keeps_exact_percentages_and_hand_edits_since_the_last_load(folder: Path) -> None:
    manager = ConfigManager(folder)
    manager.load()
    edit(folder, "charges.json", broker="upstox")
    config = manager.update(
        "charges",
        {"profiles": {"mine": json.loads((folder / "charges.json").read_text())["profiles"]["zerodha"]}},
    )
    assert config.charges.broker == "upstox"
    assert config.charges.profiles["mine"][0].delivery.exchange_percent == Decimal("0.0030699")


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("risk.json", {"cooldown_seconds": -1}),
        ("risk.json", {"cooldown": 1}),
        ("risk.json", {"cooldown_seconds": {1, 2}}),
        ("risks.json", {"cooldown_seconds": 1}),
        ("trading.json", {"mode": "live"}),
    ],
)
def test_a_refused_update_changes_neither_file_nor_settings(folder: Path, file: str, changes: Any) -> None:
    manager = ConfigManager(folder)
    before = manager.load()
    bytes_before = {name: (folder / name).read_bytes() for name in FILES}
    with pytest.raises(ConfigException):
        manager.update(file, changes)
    assert manager.current is before
    assert {name: (folder / name).read_bytes() for name in FILES} == bytes_before


def test_an_update_of_a_key_that_the_overlay_holds_is_refused(folder: Path) -> None:
    put(folder, "dev/risk.json", {"cooldown_seconds": 5})
    manager = ConfigManager(folder)
    manager.load()
    with pytest.raises(ConfigException, match="goes before") as caught:
        manager.update("risk.json", {"cooldown_seconds": 6})
    assert caught.value.file == str(folder / "dev" / "risk.json")


def test_a_failed_write_leaves_the_old_file_and_settings_and_no_litter(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = ConfigManager(folder)
    before = manager.load()
    raw = (folder / "risk.json").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigException, match="No space left"):
        manager.update("risk.json", {"cooldown_seconds": 6})
    assert manager.current is before
    assert (folder / "risk.json").read_bytes() == raw
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def test_an_update_keeps_the_mode_and_a_symbolic_link(folder: Path, tmp_path: Path) -> None:
    real = tmp_path / "real.json"
    (folder / "risk.json").rename(real)
    real.chmod(0o640)
    (folder / "risk.json").symlink_to(real)
    ConfigManager(folder).update("risk.json", {"cooldown_seconds": 6})
    assert (folder / "risk.json").is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert json.loads(real.read_text())["cooldown_seconds"] == 6


def test_a_check_that_objects_blocks_load_reload_and_update(folder: Path) -> None:
    def no_more_than_ninety(config: Config) -> None:
        if config.trading.max_positions > 90:
            raise ConfigException("too many", key="max_positions")

    manager = ConfigManager(folder)
    before = manager.load(no_more_than_ninety)
    with pytest.raises(ConfigException, match="too many"):
        manager.update("trading.json", {"max_positions": 91})
    edit(folder, "trading.json", max_positions=91)
    with pytest.raises(ConfigException, match="too many"):
        manager.reload()
    assert manager.current is before


def test_settings_cannot_be_changed_in_place(folder: Path) -> None:
    config = ConfigManager(folder).current
    with pytest.raises(ValueError, match="frozen"):
        config.risk.cooldown_seconds = 1
    with pytest.raises(AttributeError):
        config.risk = config.risk  # type: ignore[misc]


def test_updates_from_many_threads_are_all_kept(folder: Path) -> None:
    manager = ConfigManager(folder)
    manager.load()
    keys = ["cooldown_seconds", "reject_cooldown_seconds", "spike_confirmations", "stale_price_seconds"]
    threads = [threading.Thread(target=manager.update, args=("risk.json", {key: 42})) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [getattr(ConfigManager(folder).load().risk, key) for key in keys] == [42] * 4


# --- the process's one manager ------------------------------------------------------------------------


@pytest.mark.usefixtures("_no_instance")
def test_there_is_one_instance_for_all_threads(tmp_path: Path) -> None:
    found: list[ConfigManager] = []
    threads = [
        threading.Thread(target=lambda: found.append(ConfigManager.get_instance(tmp_path, "dev")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(one is ConfigManager.get_instance() for one in found)


@pytest.mark.usefixtures("_no_instance")
def test_another_folder_or_environment_for_the_instance_is_refused(tmp_path: Path) -> None:
    ConfigManager.get_instance(tmp_path, "dev")
    with pytest.raises(ConfigException):
        ConfigManager.get_instance(tmp_path / "other")
    with pytest.raises(ConfigException):
        ConfigManager.get_instance(tmp_path, "prod")


@pytest.mark.usefixtures("_no_instance")
def test_the_instance_takes_folder_and_environment_from_the_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTRADE_CONFIG_DIR", str(tmp_path / "here"))
    monkeypatch.setenv("OTRADE_ENV", "prod")
    found = ConfigManager.get_instance()
    assert (found.config_dir, found.env) == (tmp_path / "here", "prod")


def test_folders_and_environment_default_and_come_from_the_dotenv_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("OTRADE_ENV", "OTRADE_CONFIG_DIR", "OTRADE_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert (config_dir(), state_dir(), environment()) == (Path("config"), Path("state"), "dev")
    (tmp_path / ".env").write_text("OTRADE_ENV=staging\nOTRADE_STATE_DIR=/var/lib/otrade\n")
    monkeypatch.setenv("OTRADE_STATE_DIR", "elsewhere")
    assert (state_dir(), environment()) == (Path("elsewhere"), "staging")


def test_an_unknown_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTRADE_ENV", "production")
    with pytest.raises(ConfigException, match="dev, staging, prod"):
        environment()
    with pytest.raises(ConfigException):
        ConfigManager("x", "../prod")


# --- what consumers read ------------------------------------------------------------------------------


def test_charges_of_a_day_and_whether_they_are_known_for_it(folder: Path) -> None:
    charges = ConfigManager(folder).current.charges
    assert charges.row_for(date(2026, 3, 31)) == (charges.profiles["zerodha"][0], True)
    assert charges.row_for(date(2026, 4, 1)) == (charges.profiles["zerodha"][0], False)


def test_a_later_row_holds_from_its_own_day(folder: Path) -> None:
    raw = json.loads((folder / "charges.json").read_text())
    first = raw["profiles"]["zerodha"][0]
    edit(
        folder,
        "charges.json",
        profiles={"zerodha": [first, {**first, "from": "2027-04-01", "dp_charge": 99.5}]},
    )
    charges = ConfigManager(folder).load().charges
    assert charges.row_for(date(2027, 3, 31))[0].dp_charge == Decimal("15.93")
    assert charges.row_for(date(2027, 4, 1))[0].dp_charge == Decimal("99.5")


def test_charge_rows_out_of_order_are_refused(folder: Path) -> None:
    row = json.loads((folder / "charges.json").read_text())["profiles"]["zerodha"][0]
    edit(folder, "charges.json", profiles={"zerodha": [row, row]})
    assert refusal(folder).key == "profiles.zerodha.1.from"


def test_rates_reach_the_kernel_exactly(folder: Path) -> None:
    row, _ = ConfigManager(folder).current.charges.row_for(date(2026, 11, 23))
    delivery, intraday = row.kernel_rates("delivery"), row.kernel_rates("intraday")
    assert (delivery["ch_exchange"], delivery["ch_ipft"], delivery["ch_sebi"]) == (30_699, 1, 1000)
    assert (delivery["ch_stt_buy"], delivery["ch_stt_sell"], delivery["ch_dp_sell"]) == (
        1_000_000,
        1_000_000,
        1593,
    )
    assert (intraday["ch_rate"], intraday["ch_cap"], intraday["ch_dp_sell"]) == (300_000, 2000, 0)
    assert (intraday["ch_stt_buy"], intraday["ch_stt_sell"], intraday["ch_gst"]) == (0, 250_000, 180_000_000)
    assert row.kernel_rates("options")["ch_flat"] == 2000


def test_market_settings_make_the_calendar_and_the_rules(folder: Path) -> None:
    edit(
        folder,
        "market.json",
        special_days={"2026-11-08": {"name": "Muhurat", "open": "18:00", "close": "19:00"}},
    )
    config = ConfigManager(folder).load()
    assert config.calendar.holiday_name(date(2026, 1, 15)).startswith("Municipal")
    evening = at_ist(date(2026, 11, 8), 18, 30)
    assert phase_at(evening, Segment.EQUITY, True, config.calendar) is Phase.OPEN
    rule = config.market.square_off_rule(SessionKind.AUCTION)
    assert (rule.entries_stop, rule.exit) == (880, 895)


def test_instrument_overrides_hold_only_what_is_given() -> None:
    market = MarketConfig.model_validate_json(
        b'{"instruments": {"NSE:X": {"tick_size": 0.05, "closing_auction": false, "kind": "equity"}}}'
    )
    expected = {"NSE:X": {"tick_size": 0.05, "closing_auction": False, "kind": "equity"}}
    assert market.instrument_overrides() == expected


def test_reading_settings_imports_neither_the_secrets_nor_the_holiday_library(folder: Path) -> None:
    code = (
        "import sys; from otrade_bot.config import ConfigManager; "
        f"ConfigManager({str(folder)!r}).load(); "
        "sys.exit(' '.join({'pydantic_settings', 'holidays', 'dotenv', 'numba'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
