"""/mode, and every way round it that came to mind."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from control_fakes import FakeEngine, context, order, position
from mode_room import BROKERS, LIVE, TRADING, Room, environment

from otrade_bot.config import ConfigManager, files
from otrade_bot.config.secrets import load_secrets
from otrade_bot.control.auth import Role
from otrade_bot.control.commands import answer
from otrade_bot.control.confirm import Confirmations
from otrade_bot.control.reply import Reply, text
from otrade_bot.core.model import Block, OrderStatus
from otrade_bot.service.mode import missing_variables


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    environment(monkeypatch)
    return Room(tmp_path / "config")


def test_a_yes_writes_live_for_the_next_start_and_leaves_every_other_byte(room: Room) -> None:
    room.trading.chmod(0o640)
    assert "LIVE from the next start on?" in room.say("/mode live")
    assert room.untouched
    assert "The next start is LIVE" in room.say("/mode live yes")
    assert room.trading.read_bytes() == TRADING.replace(b'"mode" :"paper"', b'"mode" :"live"')
    assert room.mode == "live"
    assert room.trading.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in room.folder.iterdir()) == ["brokers.json", "dev", "trading.json"]
    assert room.told == ["owner <o> has set the mode of the next start to LIVE"]


def test_real_money_wants_a_code_and_paper_wants_none(room: Room) -> None:
    class Asks:
        """Nobody has proven anything."""

        def demand(self, *asked: object) -> Reply:
            return text(f"six digits for {asked[3]}")

    room.stepup = Asks()
    for line in ("/mode live", "/mode live yes", "/mode live yes 12345678"):
        assert "six digits for /mode live" in room.say(line)
    assert room.untouched
    assert "six digits" not in room.say("/mode paper")
    room.trading.write_bytes(TRADING.replace(b"paper", b"live"))
    assert "PAPER from the next start on?" in room.say("/mode paper")


def test_mode_alone_tells_both_modes_and_that_the_running_one_goes_on(room: Room) -> None:
    assert "Now: PAPER\nAt the next start: PAPER, the same" in room.say("/mode")
    room.say("/mode live")
    room.say("/mode live yes")
    assert "Now: PAPER\nAt the next start: LIVE" in room.say("/mode")
    assert room.engine.state.mode == "paper"


def test_the_button_does_what_the_question_says(room: Room) -> None:
    yes, no = room.ask("/mode Live").actions
    assert len(yes.line.encode()) <= 64
    assert "At the next start: PAPER" in room.say(no.line)
    assert "no question of yours is open" in room.say(yes.line)
    assert room.untouched


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
@pytest.mark.parametrize("line", ["/mode", "/mode live", "/mode live yes", "/mode paper"])
def test_who_is_no_admin_gets_nothing_not_even_an_admins_question(room: Room, role: Role, line: str) -> None:
    nonce = room.ask("/mode live").actions[0].line.split()[-1]
    assert "needs the role admin" in room.say(line, role)
    assert "needs the role admin" in room.say(f"/mode live yes {nonce}", role)
    assert room.untouched


def test_a_yes_of_another_person_or_place_is_none(room: Room) -> None:
    nonce = room.ask("/mode live").actions[0].line.split()[-1]
    for session in ("telegram:8:8", "telegram:7:-100", "terminal"):
        assert "no question of yours is open" in room.say(f"/mode live yes {nonce}", session=session)
    assert room.untouched


@pytest.mark.parametrize("line", ["/mode live yes", "/mode live yes deadbeef", "/mode LIVE YES 00000000"])
def test_a_forged_button_and_a_yes_without_a_question_do_nothing(room: Room, line: str) -> None:
    assert "no question of yours is open" in room.say(line)
    room.say("/mode live")
    if len(line.split()) == 4:
        assert "no question of yours is open" in room.say(line)
    assert room.untouched


def test_a_yes_counts_once_and_for_thirty_seconds(room: Room) -> None:
    room.say("/mode live")
    room.wall.now += 31
    assert "Too late" in room.say("/mode live yes")
    assert "no question" in room.say("/mode live yes")
    assert room.untouched


def test_a_yes_that_overtook_its_question_does_nothing(room: Room) -> None:
    room.confirmations = Confirmations(room.wall, travels=True)
    room.say("/mode live")
    assert "before the question had reached you" in room.say("/mode live yes")
    assert room.untouched


def test_a_yes_to_another_question_is_asked_again(room: Room) -> None:
    """Asked for /flatten, answered to /mode."""
    room.confirmations.ask("telegram:7:7", "flatten", ())
    assert "no question of yours is open" in room.say("/mode live yes")
    assert room.untouched


def held(room: Room) -> None:
    room.engine.held = [position("NSE:SBIN")]


def working(room: Room) -> None:
    room.engine.sent = [replace(order("NSE:SBIN", 0), status=OrderStatus.OPEN, unknown="")]


def bought(room: Room) -> None:
    room.engine.state = replace(room.engine.state, open_rungs=1)


def unknown(room: Room) -> None:
    room.engine.sent = [replace(order("NSE:SBIN", 0), status=OrderStatus.COMPLETE, unknown="no answer")]


def guarded(room: Room) -> None:
    room.engine.state = replace(room.engine.state, gtts=("NSE:SBIN",))


def blank(room: Room) -> None:
    room.engine.state = replace(room.engine.state, unread="no token")


def unread(room: Room) -> None:
    room.engine.state = replace(room.engine.state, blocks=(Block.RECOVERY.value,))


def queued(room: Room) -> None:
    room.engine.state = replace(room.engine.state, flatten="Flatten queued until 09:15")


def foreign(room: Room) -> None:
    room.engine.held = [position(room.engine.followed[0].symbol, 0, external=True)]


WORLDS = {
    held: "1 position open (SBIN)", working: "1 order at work", bought: "1 order at work",
    unknown: "1 order whose outcome nobody knows (SBIN)", unread: "what is held is not known",
    guarded: "a GTT of ours rests at the broker, or may (SBIN)", blank: "what is held is not known",
    queued: "a flatten is queued", foreign: "not clear whose they are",
}  # fmt: skip


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.__name__)
def test_hands_must_be_empty_when_asked_and_when_answered(room: Room, world: Any) -> None:
    room.say("/mode live")
    world(room)  # between question and yes
    said = room.say("/mode live yes")
    assert "Nothing was changed" in said
    assert WORLDS[world] in said
    assert WORLDS[world] in room.say("/mode live")
    assert room.untouched


def test_a_position_that_came_and_went_does_not_revive_the_old_yes(room: Room) -> None:
    nonce = room.ask("/mode live").actions[0].line.split()[-1]
    held(room)
    room.say(f"/mode live yes {nonce}")
    room.engine.held = []
    assert "no question of yours is open" in room.say(f"/mode live yes {nonce}")
    assert room.untouched


def test_what_belongs_to_nobody_we_trade_stands_in_no_way(room: Room) -> None:
    room.engine.held = [position("NSE:MYOWN", 0, external=True)]
    room.say("/mode live")
    assert "The next start is LIVE" in room.say("/mode live yes")


@pytest.mark.parametrize("value", ["", "no", "YES", "Yes", "true", "1", "yes!"])
def test_only_the_exact_word_yes_in_the_environment_allows_live(
    room: Room, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.say("/mode live")
    monkeypatch.setenv("OTRADE_LIVE", value)
    assert "OTRADE_LIVE is not yes" in room.say("/mode live yes")
    assert "OTRADE_LIVE is not yes" in room.say("/mode live")
    assert room.untouched


@pytest.mark.parametrize("name", [name for name in LIVE if name != "OTRADE_LIVE"])
def test_live_needs_a_broker_with_credentials(room: Room, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name)
    assert f"kite has no credentials: set {name} in .env" in room.say("/mode live")
    assert "Nothing was changed" in room.say("/mode live yes")
    assert room.untouched


@pytest.mark.parametrize("change", [{"primary": "paper"}, {"feed": "simulated"}])
def test_live_needs_a_broker_and_its_prices_in_the_settings(room: Room, change: dict[str, str]) -> None:
    room.say("/mode live")
    (room.folder / "brokers.json").write_text(json.dumps(BROKERS | change))
    assert "brokers.json" in room.say("/mode live yes")
    assert room.untouched


def test_settings_that_changed_after_the_question_are_shown_again(room: Room) -> None:
    room.say("/mode live")
    (room.folder / "risk.json").write_text('{"total_capital": 5000000}')
    assert "The settings have changed. Look again." in room.say("/mode live yes")
    assert room.untouched


def test_settings_that_cannot_be_read_change_nothing(room: Room) -> None:
    room.say("/mode live")
    (room.folder / "risk.json").write_text("{")
    assert "Nothing was changed" in room.say("/mode live yes")
    assert room.untouched


def test_an_overlay_that_holds_the_key_is_the_file_that_is_written(room: Room) -> None:
    room.overlay.write_text('{"mode": "paper", "max_positions": 9}')
    room.say("/mode live")
    assert str(room.overlay) in room.say("/mode live yes")
    assert room.overlay.read_text() == '{"mode": "live", "max_positions": 9}'
    assert room.untouched
    assert room.mode == "live"


def test_an_overlay_without_the_key_stays_as_it_is(room: Room) -> None:
    room.overlay.write_text('{"max_positions": 9}')
    room.say("/mode live")
    room.say("/mode live yes")
    assert room.overlay.read_text() == '{"max_positions": 9}'
    assert room.mode == "live"


def test_another_environments_overlay_is_left_alone(room: Room) -> None:
    (room.folder / "prod").mkdir()
    other = room.folder / "prod" / "trading.json"
    other.write_text('{"mode": "paper"}')
    room.say("/mode live")
    room.say("/mode live yes")
    assert other.read_text() == '{"mode": "paper"}'
    assert (room.mode, ConfigManager(room.folder, "prod").load(create=False).trading.mode) == ("live", "paper")


def test_a_symbolic_link_stays_one_and_its_target_is_what_changes(room: Room, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.json"
    room.trading.rename(target)
    room.trading.symlink_to(target)
    room.say("/mode live")
    room.say("/mode live yes")
    assert room.trading.is_symlink()
    assert os.readlink(room.trading) == str(target)
    assert (json.loads(target.read_text())["mode"], room.mode) == ("live", "live")


@pytest.mark.parametrize("other", ["brokers.json", "../.env", "/dev/null"])
def test_a_link_to_a_file_that_is_no_trading_json_is_not_written_to(room: Room, other: str) -> None:
    (room.folder.parent / ".env").write_text("OTRADE_LIVE=yes\n")
    there = room.folder / other
    before = there.read_bytes()
    room.trading.unlink()
    room.trading.symlink_to(other)
    for line in ("/mode live", "/mode live yes"):
        assert "Nothing was changed" in room.say(line)
    assert there.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_said(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    room.say("/mode live")
    monkeypatch.setattr("os.replace", full)
    assert "No space left on device" in room.say("/mode live yes")
    assert room.untouched
    assert room.told == []


def test_what_was_written_in_vain_is_no_change(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another hand puts the old file back at once."""
    write = files.write

    def and_back(path: str, raw: bytes) -> None:
        write(path, raw)
        write(path, TRADING)

    room.say("/mode live")
    monkeypatch.setattr(files, "write", and_back)
    said = room.say("/mode live yes")
    assert "the next start would be PAPER" in said
    assert "is LIVE" not in said
    assert room.told == []


def test_a_file_without_the_key_gets_it_and_keeps_the_rest(room: Room) -> None:
    room.trading.write_bytes(b'{\n  "capital_per_position": 5000\n}\n')
    room.say("/mode live")
    room.say("/mode live yes")
    assert room.trading.read_bytes() == b'{\n  "mode": "live",\n  "capital_per_position": 5000\n}\n'


def test_without_a_file_the_defaults_are_written_with_it(room: Room) -> None:
    room.trading.unlink()
    room.say("/mode live")
    room.say("/mode live yes")
    assert room.mode == "live"


def test_a_rehearsal_changes_no_settings(room: Room) -> None:
    assert "this is a rehearsal" in room.say("/mode live", rehearsal=True)
    assert "Nothing was changed" in room.say("/mode live yes", rehearsal=True)
    assert room.untouched


def test_what_was_set_by_mistake_is_taken_back_with_full_hands(room: Room) -> None:
    room.say("/mode live")
    room.say("/mode live yes")
    held(room)
    room.say("/mode paper")
    assert "The next start is PAPER" in room.say("/mode paper yes")
    assert room.untouched


def test_a_live_run_is_not_left_with_full_hands_either(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.trading.write_bytes(TRADING.replace(b"paper", b"live"))
    room.engine.state = replace(room.engine.state, mode="live", broker="kite")
    held(room)
    monkeypatch.setenv("OTRADE_LIVE", "")
    assert "1 position open (SBIN)" in room.say("/mode paper")
    room.engine.held = []
    room.say("/mode paper")
    room.say("/mode paper yes")
    assert room.mode == "paper"


@pytest.mark.parametrize("line", ["/mode yes", "/mode demo", "/mode live maybe", "/mode live yes 12345678901234567"])
def test_wrong_words_get_the_usage(room: Room, line: str) -> None:
    assert "Usage: /mode [live|paper]" in room.say(line)
    assert room.untouched


def test_where_there_are_no_settings_to_change_it_says_so() -> None:
    assert "cannot be changed here" in asyncio.run(answer(context(FakeEngine()), "/mode live yes")).to_plain()


@pytest.mark.parametrize("broker", ["kite", "upstox"])
def test_an_access_token_of_today_needs_no_login(broker: str, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LIVE:
        monkeypatch.delenv(name)
    if broker == "kite":
        monkeypatch.setenv("OTRADE_KITE_API_KEY", "k" * 16)
    monkeypatch.setenv(f"OTRADE_{broker.upper()}_ACCESS_TOKEN", "t" * 32)
    assert missing_variables(broker, load_secrets(None)) == []
    monkeypatch.delenv(f"OTRADE_{broker.upper()}_ACCESS_TOKEN")
    assert f"OTRADE_{broker.upper()}_API_SECRET" in missing_variables(broker, load_secrets(None))
