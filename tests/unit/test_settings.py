"""/risk, /set and /strategies: nothing without a question, nothing riskier without a code, the file before the desk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyotp
import pytest
from settings_room import TRADING, Asks, Room

from otrade_bot.config import changes
from otrade_bot.config.files import write
from otrade_bot.config.models import Config, Notifications
from otrade_bot.control.auth import Role
from otrade_bot.control.news.notices import describe
from otrade_bot.control.news.pushes import loudness
from otrade_bot.control.stepup import Seed, StepUp
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.events import Severity
from otrade_bot.core.model import Block

PHONE = "telegram:7:7"


# --- /set -------------------------------------------------------------------------------------------


def test_a_limit_is_changed_after_a_question_that_shows_the_old_and_the_new_value(tmp_path: Path) -> None:
    room = Room(tmp_path)
    asked = room.say("/set max_trades_per_day 20")
    assert "max_trades_per_day 500 → 20 · at once" in asked
    assert room.untouched
    said = room.say("/set max_trades_per_day 20 yes")
    assert "Changed." in said
    assert str(room.risk) in said
    assert room.filed.risk.max_trades_per_day == room.config.risk.max_trades_per_day == 20
    assert int(room.engine.account[0]["max_trades"]) == 20


def test_everybody_is_told_and_the_journal_has_it(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.do("/set cooldown_seconds 30")
    event = room.told[-1]
    assert event.text == "changed by owner: cooldown_seconds 0 → 30"
    assert event.data["changes"] == [
        {"file": "risk.json", "key": "cooldown_seconds", "old": 0, "new": 30, "effect": "now"}
    ]
    assert event.data["rungs"] == {"ema_crossover": [[2.0, 4.0, False, 0.0]]}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("/set max_positions 0", ">= 1"),
        ("/set max_positions many", "number"),
        ("/set max_postions 5", "did you mean max_positions"),
        ("/set capital 5", "did you mean total_capital or capital_per_position"),
        ("/set capital_per_position 200000", "every entry would be refused"),
        ("/set spike_percent 99", "<= 50"),
        ("/set daily_loss_flatten maybe", "true or false"),
        ("/set approval.unanswered perhaps", "skip, enter"),
        ("/strategies ema_crossover fast 3", "fast must be smaller than slow"),
        ("/strategies ema_crossover stop_percent 0", "greater than or equal to 0.1"),
        ("/strategies ema_crossover sloww 9", "did you mean 'slow'"),
        ("/strategies ema_crossover capital 0", ">= 1"),
        ("/strategies ema_crossover capital 150000", "every entry would be refused"),
        ("/set max_positions " + "9" * 60, "<= "),
        ("/set max_positions -" + "9" * 59, ">= 1"),
        ("/set spike_percent nan", "Nothing was changed: risk.json: spike_percent"),
        ("/set spike_percent 1e309", "Nothing was changed: risk.json: spike_percent"),
        ("/set max_positions 0x10", "number"),
        ("/strategies ema_crossover stop_percent nan", "<= 20"),
        ("/strategies ema_crossover stop_percent 1e309", "<= 20"),
        ("/strategies ema_crossover fast " + "9" * 60, "<="),
        ("/strategies ema_crossover capital " + "9" * 60, "number"),
        ("/strategies nobody stop", "There is no strategy nobody here: ema_crossover"),
    ],
)
def test_what_is_out_of_bounds_is_refused_with_what_is_allowed(tmp_path: Path, line: str, why: str) -> None:
    room = Room(tmp_path)
    said = room.say(line)
    assert why in said
    assert room.untouched
    assert why in room.say(f"{line} yes")
    assert room.untouched


def test_what_is_riskier_wants_a_code_before_the_question_and_at_the_yes(tmp_path: Path) -> None:
    room = Room(tmp_path)
    line = "/set max_positions 200"
    assert room.say(line, session=PHONE).endswith(f"CODE for {line}")
    assert room.say(f"{line} yes", session=PHONE).endswith(f"CODE for {line}")
    assert room.untouched
    room.asks = Asks(frozenset({line}))
    assert "More can be lost than before" in room.say(line, session=PHONE)
    room.asks = Asks()
    assert room.say(f"{line} yes", session=PHONE).endswith(f"CODE for {line}")
    assert room.untouched
    room.asks = Asks(frozenset({line}))
    assert "Changed." in room.say(f"{line} yes", session=PHONE)
    assert room.told[-1].severity is Severity.WARNING


class Kept(dict[str, Any]):
    """A memory, and one person's secret."""

    secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

    def part(self, key: str) -> dict[str, Any]:
        return dict(self.get(key, {}))

    def keep_part(self, key: str, value: Any) -> str:
        self[key] = dict(value)
        return ""

    def enrolled(self, user_id: int) -> bool:
        return user_id == 7

    def seed(self, user_id: int) -> Seed | None:
        return Seed(self.secret, "first") if user_id == 7 else None


def test_the_right_code_brings_the_question_and_its_yes_the_change(tmp_path: Path) -> None:
    room, kept, now = Room(tmp_path), Kept(), 1_790_000_000.0
    room.asks = StepUp(kept, kept, wall=lambda: now, steady=lambda: now)
    line = "/set max_positions 200"
    assert "six digits of your authenticator" in room.say(line, session=PHONE)
    assert "This code is wrong" in room.say("/code 000000", session=PHONE)
    assert "six digits of your authenticator" in room.say(f"{line} yes", session=PHONE)
    asked = room.say(f"/code {pyotp.TOTP(kept.secret).at(int(now))}", session=PHONE)
    assert "max_positions 90 → 200" in asked
    assert room.untouched
    assert "six digits" in room.say("/set max_positions 300", session=PHONE)  # proven is that one line
    assert "Changed." in room.say(f"{line} yes", session=PHONE)
    assert room.config.trading.max_positions == 200


def test_what_lowers_the_risk_needs_no_code(tmp_path: Path) -> None:
    room = Room(tmp_path)
    assert "Changed." in room.do("/set max_positions 10", session=PHONE)
    assert "Changed." in room.do("/set total_capital 2,00,000", session=PHONE)
    assert room.filed.risk.total_capital == 200_000
    assert "Changed." in room.do("/strategies ema_crossover stop", session=PHONE)


def test_a_no_changes_nothing(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.say("/set max_positions 10")
    assert "Nothing was done." in room.say("/set max_positions 10 no")
    assert "no question of yours is open" in room.say("/set max_positions 10 yes")
    assert room.untouched


def test_a_value_that_somebody_else_has_changed_meanwhile_is_asked_again(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.say("/set max_positions 10", session=PHONE)
    room.do("/set max_positions 50", user="clerk")
    said = room.say("/set max_positions 10 yes", session=PHONE)
    assert "It has changed. Look again." in said
    assert "max_positions 50 → 10" in said
    assert room.config.trading.max_positions == 50
    assert "Changed." in room.say("/set max_positions 10 yes", session=PHONE)


def test_the_file_that_was_edited_by_hand_meanwhile_keeps_the_edit(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.say("/set max_positions 10")
    room.trading.write_bytes(TRADING.replace(b"3000", b"2500"))
    assert "Changed." in room.say("/set max_positions 10 yes")
    assert (room.filed.trading.capital_per_position, room.filed.trading.max_positions) == (2500, 10)
    assert room.config.trading.capital_per_position == 3000  # not in force before /reload


def test_a_file_that_cannot_be_written_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(tmp_path)

    def full(path: str, raw: bytes) -> None:
        raise ConfigException("cannot be written: no space left on device", file=path)

    room.say("/set max_positions 10")
    monkeypatch.setattr("otrade_bot.config.manager.files.write", full)
    assert "no space left" in room.say("/set max_positions 10 yes")
    monkeypatch.setattr("otrade_bot.config.manager.files.write", write)
    assert room.untouched
    assert int(room.engine.account[0]["max_rungs"]) == 90


def test_a_process_that_dies_between_file_and_desk_leaves_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(tmp_path)

    class Killed(BaseException):
        pass

    def killed(config: Config) -> None:
        raise Killed

    room.say("/set max_positions 10")
    monkeypatch.setattr(room, "take", killed)
    with pytest.raises(Killed):
        room.say("/set max_positions 10 yes")
    assert room.filed.trading.max_positions == 10


def test_the_same_value_again_is_no_change(tmp_path: Path) -> None:
    room = Room(tmp_path)
    assert "It is so already" in room.say("/set max_positions 90")
    assert "It is so already" in room.say("/strategies ema_crossover start")
    assert "It is so already" in room.say("/strategies ema_crossover slow 3")


def test_a_part_of_a_name_that_no_other_one_has_is_enough(tmp_path: Path) -> None:
    room = Room(tmp_path)
    assert "max_trades_per_day 500 → 20" in room.say("/set trades 20")
    assert "Changed." in room.say("/set trades 20 yes")
    assert room.filed.risk.max_trades_per_day == 20


def test_a_nested_setting_is_put_beside_its_neighbours(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.do("/set approval.seconds 40")
    room.do("/set approval.ask on")
    assert json.loads(room.trading.read_bytes())["approval"] == {"seconds": 40, "ask": True}
    assert room.engine.config.trading.approval.ask


def test_a_parameter_must_go_with_those_that_wait_in_the_file_too(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.trading.write_bytes(TRADING.replace(b'"fast": 2, "slow": 3', b'"fast": 8, "slow": 20'))
    assert "fast must be smaller than slow" in room.say("/strategies ema_crossover slow 5")  # with this run's 2 it is
    assert "Changed." in room.do("/strategies ema_crossover slow 9")
    assert room.filed.trading.strategies[0].params["fast"] == 8
    assert room.config.trading.strategies[0].params["fast"] == 2


def test_every_other_byte_of_the_file_stays(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.do("/strategies ema_crossover slow 9")
    assert room.trading.read_bytes() == TRADING.replace(b'"slow": 3', b'"slow": 9')
    room.do("/strategies ema_crossover stop")
    assert b'"timeframe" : "tick",' in room.trading.read_bytes()
    assert not room.filed.trading.strategies[0].enabled


def test_the_list_and_the_explanation_show_values_and_bounds(tmp_path: Path) -> None:
    room = Room(tmp_path)
    said = room.say("/set")
    assert "total_capital 2,40,000" in said
    assert all(name in said for name in changes.KEYS)
    assert "Allowed: a whole number >= 1 and <= 10000" in room.say("/set max_positions")
    assert "Entries a day" in room.say("/set trades")


@pytest.mark.parametrize("name", list(changes.KEYS))
def test_every_setting_knows_which_way_is_riskier(name: str) -> None:
    key = changes.KEYS[name]
    assert key.info.description
    assert key.allowed
    known = (*changes._MORE, *changes._LESS, "approval.seconds", "approval.unanswered")
    assert name in known


@pytest.mark.parametrize(
    ("name", "old", "new", "worse"),
    [
        ("daily_loss_limit", 6000, 0, True), ("daily_loss_limit", 0, 6000, False), ("max_order_value", 1, 2, True),
        ("cooldown_seconds", 300, 60, True), ("cooldown_seconds", 60, 300, False), ("spike_percent", 5.0, 0.0, True),
        ("daily_loss_flatten", True, False, True), ("approval.ask", True, False, True), ("total_capital", 2, 1, False),
        ("approval.unanswered", "skip", "enter", True), ("never heard of", 1, 2, True), ("max_positions", 5, 5, False),
    ],
)  # fmt: skip
def test_a_limit_that_is_switched_off_is_the_riskiest(name: str, old: Any, new: Any, worse: bool) -> None:
    assert changes.riskier(name, old, new) is worse


def test_a_limit_below_what_is_used_says_what_comes_of_it(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.bought()
    room.do("/set capital_per_position 1000")
    room.do("/set daily_loss_limit 1500")
    said = room.say("/set total_capital 2000")
    assert "₹3,000.00 are bound: nothing is closed" in said
    room.bench.price(9_900)
    said = room.say("/set daily_loss_limit 10")
    assert "entries stop at once" in said
    room.say("/set daily_loss_limit 10 yes")
    room.bench.price(9_900)
    assert room.engine.status().halted
    assert "EVERYTHING IS CLOSED" in room.say("/set daily_loss_flatten on")
    assert "entries begin again" in room.say("/set daily_loss_limit 1000")


# --- /strategies ------------------------------------------------------------------------------------


def test_a_stopped_strategy_keeps_what_it_holds_and_says_so(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.bought()
    asked = room.say("/strategies ema_crossover stop")
    assert "watched on, keeps its stops and is squared off: ALPHA" in asked
    room.say("/strategies ema_crossover stop yes")
    assert room.filed.trading.strategies[0].enabled is False
    held = room.engine.positions()[0]
    assert held.stop_resting
    assert "STOPPED: no entries" in room.say("/strategies")
    room.bench.prices(9_700, 9_700)  # its stop
    room.bench.signal()
    assert room.engine.positions() == []
    assert "Changed." in room.do("/strategies ema_crossover start")
    room.bench.price(9_900, seconds=70)
    room.bench.signal()
    room.bench.price(10_000)
    assert room.engine.positions()


def test_capital_of_its_own_and_given_back(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.do("/strategies ema_crossover capital 1000")
    assert room.filed.trading.strategies[0].capital_per_position == 1000
    assert "₹1,000 a rung" in room.say("/strategies")
    room.do("/strategies ema_crossover capital default")
    assert room.config.trading.strategies[0].capital_per_position is None
    assert int(room.engine.params[0]["capital"]) == 300_000


def test_more_capital_and_a_wider_stop_want_a_code_and_less_does_not(tmp_path: Path) -> None:
    room = Room(tmp_path)
    assert "CODE" in room.say("/strategies ema_crossover capital 5000", session=PHONE)
    assert "CODE" in room.say("/strategies ema_crossover stop_percent 3", session=PHONE)
    assert "CODE" in room.say("/strategies ema_crossover short on", session=PHONE)
    assert "Changed." in room.do("/strategies ema_crossover capital 1000", session=PHONE)
    assert "Changed." in room.do("/strategies ema_crossover stop_percent 1", session=PHONE)


def test_percentages_hold_for_new_positions(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.bought()
    asked = room.say("/strategies ema_crossover stop_percent 1")
    assert "for new positions" in asked
    assert "keep the stops and targets they have: ALPHA" in asked
    room.say("/strategies ema_crossover stop_percent 1 yes")
    room.bench.price(10_010)
    assert room.engine.positions()[0].stop == 9_800
    assert room.again == ""


def test_everybody_hears_of_a_setting_and_nobody_can_mute_it(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.do("/set max_positions 10")
    assert loudness(room.told[-1], Notifications(alert="off", signal="off")) == "on"
    said = describe(room.told[-1])
    assert said is not None
    assert said.to_plain().endswith("Setting changed by owner: max_positions 90 → 10")


def test_what_goes_into_indicators_opens_the_desk_again(tmp_path: Path) -> None:
    room = Room(tmp_path)
    asked = room.say("/strategies ema_crossover slow 30")
    assert "the desk is opened again for it" in asked
    assert "Not warm, so no entries until there are bars enough (known/needed): ALPHA 0/31" in asked
    room.say("/strategies ema_crossover slow 30 yes")
    assert room.again
    assert int(room.engine.params[0]["slow"]) == 3  # the running average is not spoilt
    assert room.config.trading.strategies[0].params["slow"] == 30
    room.desk.opened()
    assert room.told[-1].text.startswith("in force: ema_crossover slow 3 → 30")
    room.desk.opened()
    assert len(room.told) == 2


def test_the_desk_is_not_opened_again_while_a_flatten_waits_or_the_books_are_unknown(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.engine.flattener.queued = True
    assert "a flatten is queued or under way" in room.say("/strategies ema_crossover slow 9")
    room.engine.flattener.queued = False
    room.engine.restore({Block.RECOVERY})
    assert "what is held is not known" in room.say("/strategies ema_crossover slow 9")
    room.engine.release(Block.RECOVERY)
    room.say("/strategies ema_crossover slow 9")
    room.engine.flattener.queued = True
    assert "not possible now" in room.say("/strategies ema_crossover slow 9 yes")
    assert room.trading.read_bytes() == TRADING
    assert "Changed." in room.do("/set max_positions 5")  # a limit can be lowered at any time


def test_a_window_longer_than_the_rings_is_found_before_it_is_written(tmp_path: Path) -> None:
    params = b'{"fast": 2, "slow": 3,  "stop_percent": 2.0, "target_percent": 4.0, "short": false}'
    other = TRADING.replace(b"ema_crossover", b"momentum_ladder").replace(params, b"{}")
    room = Room(tmp_path, trading=other)
    said = room.say("/strategies momentum_ladder lookback 64")
    assert "Nothing was changed" in said
    assert room.trading.read_bytes() == other


def test_parameters_are_shown_with_their_bounds(tmp_path: Path) -> None:
    room = Room(tmp_path)
    said = room.say("/strategies ema_crossover")
    assert "slow 3 (set)" in said
    assert "exit_on_signal off" in said
    one = room.say("/strategies ema_crossover slow")
    assert "Bars (or ticks) of the slow average." in one
    assert "a whole number >= 3 and <= 500" in one
    labels = [action.label for action in room.ask("/strategies").actions]
    assert labels == ["Stop ema_crossover", "Parameters of ema_crossover"]
    room.do("/strategies ema_crossover slow default")
    assert "slow" not in room.filed.trading.strategies[0].params


def test_the_wrong_button_or_person_changes_nothing(tmp_path: Path) -> None:
    room = Room(tmp_path)
    question = room.ask("/strategies ema_crossover stop", session=PHONE)
    yes = question.actions[0].line
    assert "no question of yours" in room.say(yes, session="telegram:8:8")
    assert "needs the role admin" in room.say(yes, session=PHONE, role=Role.OPERATOR)
    assert room.untouched
    assert "Changed." in room.say(yes, session=PHONE)


def test_a_rehearsal_says_that_the_files_are_the_real_ones(tmp_path: Path) -> None:
    room = Room(tmp_path, rehearsal=True)
    assert "This is a rehearsal, and risk.json is not" in room.say("/set cooldown_seconds 30")


# --- /reload ----------------------------------------------------------------------------------------


def edit(room: Room, old: bytes, new: bytes) -> None:
    raw = room.trading.read_bytes()
    assert old in raw
    room.trading.write_bytes(raw.replace(old, new))


def test_reload_says_what_changed_and_what_needs_a_start(tmp_path: Path) -> None:
    room = Room(tmp_path)
    assert "nothing to change" in room.say("/reload")
    edit(room, b'"stop_percent": 2.0', b'"stop_percent": 1.0')
    edit(room, b'"capital_per_position":   3000', b'"capital_per_position": 2000, "product": "CNC"')
    (room.folder / "market.json").write_text('{"warning_minutes": 5}')
    asked = room.say("/reload")
    assert "capital_per_position 3,000 → 2,000 · at once" in asked
    assert "ema_crossover stop_percent 2 → 1 · for new positions" in asked
    assert "product MIS → CNC · not before the next start" in asked
    assert "warning_minutes 10 → 5 · not before the next start" in asked
    assert "Changed." in room.say("/reload yes")
    assert int(room.engine.params[0]["capital"]) == 200_000
    assert room.config.trading.product == "MIS"
    assert "product MIS → CNC" in room.say("/reload")  # still waits
    assert "NOT in force before the next start" in room.told[-1].text


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b'"slow": 3', b'"slow": "3"', "valid integer"),
        (b'"slow": 3', b'"slow": 1', "greater than or equal to 3"),
        (b'"strategies"', b'"strategeis"', "is not a known key"),
        (b"3000,", b"3000", "is not JSON"),
        (b"3000", b"900000", "buys more than there is"),
        (b'"name": "ema_crossover"', b'"name": "nobody"', "no such strategy"),
    ],
)
def test_a_bad_file_changes_nothing(tmp_path: Path, old: bytes, new: bytes, why: str) -> None:
    room = Room(tmp_path)
    before = room.config
    edit(room, old, new)
    said = room.say("/reload")
    assert "Nothing was changed: " in said
    assert str(room.folder) not in said
    assert why in said
    assert room.config is before
    assert not room.told


def test_other_instruments_wait_for_a_start_and_hold_up_setting_parameters(tmp_path: Path) -> None:
    room = Room(tmp_path)
    edit(room, b'["NSE:ALPHA"]', b'["NSE:ALPHA", "NSE:BRAVO"]')
    said = room.say("/reload")
    assert "ema_crossover tick: ALPHA → tick: ALPHA, BRAVO · not before the next start" in said
    assert "other instruments or another timeframe" in room.say("/strategies ema_crossover stop")
    assert "Changed." in room.do("/set max_positions 5")


def test_a_strategy_that_was_added_to_the_file_holds_up_none_of_this_run(tmp_path: Path) -> None:
    room = Room(tmp_path)
    more = b'{"name": "momentum_ladder", "instruments": ["NSE:BRAVO"], "timeframe": "5m"},\n        {"name": "ema'
    edit(room, b'{"name": "ema', more)
    assert "momentum_ladder none → 5m: BRAVO · not before the next start" in room.say("/reload")
    assert "Changed." in room.do("/strategies ema_crossover stop")
    assert [one.enabled for one in room.filed.trading.strategies] == [True, False]
    assert int(room.engine.params[0]["enabled"]) == 0


def test_a_strategy_whose_code_was_edited_waits_for_a_start(tmp_path: Path) -> None:
    room = Room(tmp_path)
    known = room.opener.strategies["ema_crossover"]
    other = tmp_path / "ema_crossover.py"
    other.write_text(known.source.source + "\n# edited\n")
    room.opener.strategies = {**room.opener.strategies, "ema_crossover": replace(known, path=other)}
    assert "ema_crossover the code of this run → edited · not before the next start" in room.say("/reload")


def test_a_raised_limit_in_the_file_wants_a_code(tmp_path: Path) -> None:
    room = Room(tmp_path)
    edit(room, b"3000", b"9000")
    assert room.say("/reload", session=PHONE).endswith("CODE for /reload")
    assert room.config.trading.capital_per_position == 3000


def test_files_that_change_between_question_and_yes_are_asked_about_again(tmp_path: Path) -> None:
    room = Room(tmp_path)
    edit(room, b"3000", b"2000")
    room.say("/reload")
    edit(room, b"2000", b"1000")
    said = room.say("/reload yes")
    assert "It has changed" in said
    assert "3,000 → 1,000" in said
    assert "Changed." in room.say("/reload yes")
    assert room.config.trading.capital_per_position == 1000


def test_people_and_notifications_are_taken_over_where_there_is_a_phone(tmp_path: Path) -> None:
    room = Room(tmp_path)
    one = {"user_id": 7, "chat_id": 7, "role": "viewer", "name": "ravi"}
    (room.folder / "telegram.json").write_text(json.dumps({"users": [one], "notifications": {"fill": "off"}}))
    assert "before the next start" in room.say("/reload")
    taken: list[Any] = []
    room.desk.people = taken.append
    assert "CODE" in room.say("/reload", session=PHONE)
    asked = room.say("/reload")
    assert "users nobody → ravi (viewer) · at once" in asked
    assert "notifications.fill on → off · at once" in asked
    room.say("/reload yes")
    assert [user.name for user in taken[0]] == ["ravi"]
    assert room.config.telegram.notifications.fill == "off"
    (room.folder / "telegram.json").write_text(json.dumps({"users": [{**one, "blocked": True}]}))
    assert "ravi (viewer) → ravi (blocked)" in room.say("/reload", session=PHONE)  # less power needs no code


# --- /risk ------------------------------------------------------------------------------------------


def test_risk_shows_limits_and_what_is_used_of_them(tmp_path: Path) -> None:
    room = Room(tmp_path)
    assert "Nothing is held." in room.say("/risk", role=Role.VIEWER)
    room.bought()
    room.bench.price(9_900)
    said = room.say("/risk", role=Role.VIEWER)
    assert "Rungs open: 1 of 90" in said
    assert "Capital bound: ₹3,000.00 of ₹2,40,000.00 (1 %)" in said
    assert "Entries today: 1 of 500" in said
    assert "If every stop were hit now: -₹30.00 from here." in said
    assert "loss limit ₹6,000.00: 0 % used, then entries stop." in said
    room.do("/set daily_loss_limit 0")
    assert "NO loss limit" in room.say("/risk")


def test_an_operator_changes_no_setting(tmp_path: Path) -> None:
    room = Room(tmp_path)
    for line in ("/set max_positions 5", "/reload", "/strategies"):
        assert "needs the role admin" in room.say(line, role=Role.OPERATOR)
