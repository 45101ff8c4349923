"""From paper to live and back: only with empty hands, and a day's journal stays one account's."""

from __future__ import annotations

import argparse
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from harness.bench import SHARE, Bench

from otrade_bot.core.clock import ManualClock, at_ist
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.events import Event, EventKind
from otrade_bot.service import run_command
from otrade_bot.service.journal import DayJournal, day_path, read_day
from otrade_bot.service.switch import another_user, check_switch, own, set_aside

DAY = date(2026, 9, 16)
LIVE = {"primary": "kite", "feed": "kite"}


def ran(folder: Path, broker: str, day: date = DAY) -> None:
    """A run on that account is in the day's diary."""
    journal = DayJournal(folder, ManualClock(at_ist(day, 10)))
    journal.append(Event(EventKind.RUN, at_ist(day, 10), data={"state": "started", "broker": broker}))
    journal.close()


def beat(folder: Path, **told: Any) -> None:
    folder.mkdir(exist_ok=True)
    orderly = {"running": False, "positions": [], "unknown": [], "unread": ""}
    (folder / "heartbeat.json").write_text(json.dumps({**orderly, **told}))


def held_on_paper(folder: Path) -> Bench:
    bench = Bench.paper(folder / "paper.jsonl")
    bench.signal()
    assert bench.life().held
    bench.broker.close()
    ran(folder, "paper")
    return bench


def test_a_position_on_paper_keeps_the_next_start_on_paper(tmp_path: Path) -> None:
    held_on_paper(tmp_path)
    with pytest.raises(ConfigException, match=rf"the paper account is not flat: {SHARE.symbol} \+"):
        check_switch(tmp_path, "kite")
    check_switch(tmp_path, "paper")


def test_an_account_that_was_left_flat_may_be_changed(tmp_path: Path) -> None:
    ran(tmp_path, "paper")
    check_switch(tmp_path, "kite")
    check_switch(tmp_path / "new", "kite")


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"positions": [{"symbol": "NSE:INFY", "quantity": 5, "external": False}]}, "NSE:INFY 5"),
        ({"unknown": ["0A1X0H1E00020006"]}, "nobody knows what became of order 0A1X0H1E00020006"),
        ({"unread": "no access token"}, "its books were not read"),
        ({"running": True}, "it was killed"),  # an order of its last seconds is in no heartbeat
    ],
)
def test_what_a_live_run_left_open_or_unknown_keeps_the_next_start_at_that_broker(
    tmp_path: Path, told: dict[str, Any], why: str
) -> None:
    ran(tmp_path, "kite")
    beat(tmp_path, **told)
    for account in ("paper", "upstox"):
        with pytest.raises(ConfigException, match=why):
            check_switch(tmp_path, account)
    check_switch(tmp_path, "kite")


@pytest.mark.parametrize("torn", ["", "{", "[]", None])
def test_a_live_run_whose_heartbeat_is_gone_keeps_the_next_start_at_that_broker(
    tmp_path: Path, torn: str | None
) -> None:
    ran(tmp_path, "kite")
    if torn is not None:
        (tmp_path / "heartbeat.json").write_text(torn)
    with pytest.raises(ConfigException, match="no heartbeat tells what it held"):
        check_switch(tmp_path, "paper")
    check_switch(tmp_path, "kite")


def test_what_is_the_humans_own_hinders_no_change(tmp_path: Path) -> None:
    ran(tmp_path, "kite")
    beat(tmp_path, positions=[{"symbol": "NSE:INFY", "quantity": 5, "external": True}])
    check_switch(tmp_path, "paper")


def test_the_journal_of_another_account_is_kept_under_its_name_and_counts_for_nothing(tmp_path: Path) -> None:
    ran(tmp_path, "paper")
    before = day_path(tmp_path, DAY).read_bytes()
    said = set_aside(tmp_path, DAY, "kite")
    assert "2026-09-16.paper.jsonl" in said
    assert (tmp_path / "journal" / "2026-09-16.paper.jsonl").read_bytes() == before
    assert read_day(tmp_path, DAY) == []
    assert set_aside(tmp_path, DAY, "kite") == ""
    ran(tmp_path, "kite")
    assert set_aside(tmp_path, DAY, "kite") == ""
    lines = read_day(tmp_path, DAY)
    assert own(lines, "kite") == lines
    assert own(lines, "paper") == []


def test_the_diaries_of_another_persons_account_are_kept_under_its_name_until_it_is_back(tmp_path: Path) -> None:
    ran(tmp_path, "kite")
    before = day_path(tmp_path, DAY).read_bytes()
    for user in ("AB1234", "", "AB1234"):  # '' = nobody knows
        assert another_user(tmp_path, "kite", user) == ""
    assert another_user(tmp_path, "upstox", "2ABCDE") == ""
    assert day_path(tmp_path, DAY).read_bytes() == before
    said = another_user(tmp_path, "kite", "ZZ9999")
    assert "the account at kite is ZZ9999, before it was AB1234" in said
    assert "journal.kite-AB1234" in said
    assert read_day(tmp_path, DAY) == []
    assert another_user(tmp_path, "kite", "ZZ9999") == ""
    ran(tmp_path, "kite", date(2026, 9, 17))
    assert "its own of before go on" in another_user(tmp_path, "kite", "AB1234")
    assert day_path(tmp_path, DAY).read_bytes() == before
    assert read_day(tmp_path, date(2026, 9, 17)) == []
    assert [path.name for path in tmp_path.glob("journal*/*")] == ["2026-09-16.jsonl", "2026-09-17.jsonl"]
    assert (tmp_path / "accounts.json").stat().st_mode & 0o777 == 0o600


def test_a_kill_between_the_two_steps_of_a_change_believes_nothing_of_the_other_account(tmp_path: Path) -> None:
    ran(tmp_path, "kite")
    another_user(tmp_path, "kite", "AB1234")
    noted = (tmp_path / "accounts.json").read_bytes()
    another_user(tmp_path, "kite", "ZZ9999")
    (tmp_path / "accounts.json").write_bytes(noted)  # killed before it was written
    another_user(tmp_path, "kite", "ZZ9999")
    assert read_day(tmp_path, DAY) == []
    assert len(list((tmp_path / "journal.kite-AB1234").iterdir())) == 1


@pytest.mark.parametrize("torn", [b"", b"[]", b"[" * 100_000, b"\xff"])
def test_whose_account_it_was_may_be_forgotten(tmp_path: Path, torn: bytes) -> None:
    ran(tmp_path, "kite")
    (tmp_path / "accounts.json").write_bytes(torn)
    assert another_user(tmp_path, "kite", "AB1234") == ""
    assert another_user(tmp_path, "kite", "ZZ9999") != ""


def test_a_second_change_on_one_day_loses_no_line_of_the_first(tmp_path: Path) -> None:
    for account, following in (("paper", "kite"), ("kite", "paper"), ("paper", "kite")):
        ran(tmp_path, account)
        assert set_aside(tmp_path, DAY, following)
    kept = (tmp_path / "journal" / "2026-09-16.paper.jsonl").read_text().splitlines()
    assert len([line for line in kept if '"kind":"run"' in line]) == 2


# --- the command itself ---------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``run`` with settings; anything that goes beyond the checks is an error of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTRADE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("OTRADE_STATE_DIR", str(tmp_path / "state"))
    for name in ("OTRADE_LIVE", "OTRADE_KITE_API_KEY", "OTRADE_TELEGRAM_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    def reached(*_: object) -> None:
        raise AssertionError("the service was put together")

    monkeypatch.setattr(run_command, "kernel_for", reached)

    def run(trading: dict[str, Any], brokers: dict[str, Any], **options: Any) -> int:
        folder = tmp_path / "config"
        folder.mkdir(exist_ok=True)
        (folder / "trading.json").write_text(json.dumps(trading))
        (folder / "brokers.json").write_text(json.dumps(brokers))
        given = {"rehearse": None, "speed": None, "seed": 1, "keep_time": False, **options}
        return run_command.run_service(argparse.Namespace(**given))

    return run


@pytest.mark.parametrize("word", [None, "", "YES", "true", "1", "yes please", " yes"])
def test_no_other_word_than_yes_lets_real_orders_out(
    command: Any, monkeypatch: pytest.MonkeyPatch, word: str | None
) -> None:
    if word is not None:
        monkeypatch.setenv("OTRADE_LIVE", word)
    with pytest.raises(ConfigException, match="OTRADE_LIVE"):
        command({"mode": "live"}, LIVE)


@pytest.mark.parametrize(
    ("brokers", "key"),
    [({"primary": "paper", "feed": "kite"}, "primary"), ({"primary": "kite", "feed": "simulated"}, "feed"),
     ({"primary": "kite"}, "feed"), ({}, "primary")],
)  # fmt: skip
def test_live_needs_a_broker_and_its_prices(
    command: Any, monkeypatch: pytest.MonkeyPatch, brokers: dict[str, Any], key: str
) -> None:
    monkeypatch.setenv("OTRADE_LIVE", "yes")
    with pytest.raises(ConfigException, match=f"brokers.json: {key}"):
        command({"mode": "live"}, brokers)


def test_a_rehearsal_of_live_settings_stays_on_paper(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def reached(config: Any, secrets: Any, manager: Any, source: Any, rehearsal: Any) -> int:
        seen.append((config.trading.mode, rehearsal is not None))
        return 0

    monkeypatch.setattr(run_command, "_run", reached)
    monkeypatch.setenv("OTRADE_LIVE", "yes")
    assert command({"mode": "live"}, LIVE, rehearse="2026-09-16T09:14:50") == 0
    assert seen == [("paper", True)]


def test_paper_left_open_stops_a_live_start_before_anything_is_connected(
    command: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    held_on_paper(tmp_path / "state")
    monkeypatch.setenv("OTRADE_LIVE", "yes")
    with pytest.raises(ConfigException, match="the paper account is not flat"):
        command({"mode": "live"}, LIVE)


