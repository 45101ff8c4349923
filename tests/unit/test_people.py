"""/users and invitations, and every way into the house that came to mind."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from people_room import CLERK, GROUP, GUEST, NEW, OWNER, ROWS, SECOND, House

from otrade_bot.config.models import User
from otrade_bot.control.auth import Role
from otrade_bot.control.phone.gate import Gate, Knock
from otrade_bot.control.phone.pace import Pace
from otrade_bot.core.errors import CommandException
from otrade_bot.service.invitations import KEY, LASTS_S, MOST, Invitations


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def row(house: House, user_id: int) -> dict[str, Any]:
    return next(one for one in house.rows if one["user_id"] == user_id)


# --- invitations -----------------------------------------------------------------------------------------


def test_an_invitation_is_proven_made_sent_opened_and_told(house: House) -> None:
    said = house.prove("/users invite operator Ravi Kumar")
    assert "Ravi Kumar is invited as operator" in said
    assert "https://t.me/otrade_test_bot?start=" in said
    code = said.partition("?start=")[2].split()[0]
    assert "Ravi Kumar · operator · the link counts for 24 h" in house.say("/users")
    caller = house.comes(code)
    assert caller is not None
    assert (caller.name, caller.role, caller.session) == ("Ravi Kumar", Role.OPERATOR, f"telegram:{NEW}:{NEW}")
    assert row(house, NEW) == {"user_id": NEW, "chat_id": NEW, "role": "operator", "name": "Ravi Kumar"}
    assert NEW in house.chats
    assert "Ravi Kumar has come by your link and is operator" in house.told[-1].to_plain()
    assert "Ravi @ravi" in house.told[-1].to_plain()
    assert house.heard[-1].outcome == "joined"
    assert "Entries are paused" in house.say("/pause", NEW)
    assert "the link counts" not in house.say("/users")


def test_the_code_itself_is_on_no_disk_and_in_no_record(house: House) -> None:
    code = house.invited()
    disk = "".join(path.read_text() for path in house.folder.rglob("*") if path.is_file())
    assert code not in disk
    house.comes(code)
    disk = "".join(path.read_text() for path in house.folder.rglob("*") if path.is_file())
    assert code not in disk + repr(house.heard) + repr(house.logged) + repr(house.told)


def test_only_the_first_of_two_strangers_with_one_link_is_let_in(house: House) -> None:
    code = house.invited()
    assert house.comes(code) is not None
    assert house.comes(code, 666, "Eve") is None
    assert [one["user_id"] for one in house.rows].count(666) == 0
    assert "A stranger wrote" in house.told[-1].to_plain()


def test_it_stays_used_after_a_restart(house: House) -> None:
    code = house.invited()
    house.comes(code)
    assert house.again().comes(code, 666) is None


def test_a_wrong_code_is_silence_and_counts_as_a_stranger(house: House) -> None:
    code = house.invited()
    wrong = ("x" if code[0] != "x" else "y") + code[1:]
    assert house.comes(wrong) is None
    assert "A stranger wrote" in house.told[-1].to_plain()
    assert wrong not in repr(house.told) + repr(house.heard) + repr(house.logged)
    assert house.comes(code) is not None


@pytest.mark.parametrize("more", [{"chat_id": GROUP}, {"chat_id": -42}, {"user_id": None, "chat_id": NEW}])
def test_a_code_counts_in_a_persons_own_chat_alone(house: House, more: dict[str, Any]) -> None:
    code = house.invited()
    assert house.comes(code, **more) is None
    assert house.rows == ROWS


def test_it_expires(house: House) -> None:
    code = house.invited()
    house.now += LASTS_S
    assert house.comes(code) is None
    assert house.rows == ROWS


def test_a_clock_that_was_set_back_makes_no_old_link_new(house: House) -> None:
    code = house.invited()
    house.now -= LASTS_S
    assert house.comes(code) is None


def test_it_can_be_withdrawn(house: House) -> None:
    code = house.invited()
    assert "its link opens nothing" in house.say("/users cancel ravi")
    assert house.comes(code) is None
    assert "No invitation of ravi is open" in house.say("/users cancel ravi")


def test_with_the_admin_go_the_invitations_that_he_made(house: House) -> None:
    """A thief who is thrown out comes back by no link that he has made before."""
    code = house.invited()
    house.prove("/users block owner", SECOND)
    assert house.comes(code) is None
    house.prove("/users unblock owner", SECOND)
    assert house.comes(code) is None


@pytest.mark.parametrize("how", ["removed", "blocked", "lowered"])
@pytest.mark.parametrize("restart", [True, False])
def test_with_an_admin_who_goes_by_hand_go_his_invitations_too(house: House, how: str, restart: bool) -> None:
    """telegram.json is edited where the phone was stolen: what the thief had prepared opens nothing."""
    code = house.prove("/users invite admin Ravi", SECOND).partition("?start=")[2].split()[0]
    rows = [one for one in ROWS if one["user_id"] != SECOND]
    changed = {"removed": {}, "blocked": {"blocked": True}, "lowered": {"role": "viewer"}}[how]
    rows += [{**one, **changed} for one in ROWS if one["user_id"] == SECOND and changed]
    house.file.write_text(json.dumps({"users": rows}))
    later = house.again() if restart else house
    assert not restart or later.people.invited() == []
    assert later.comes(code) is None
    assert later.rows == rows
    assert later.again().comes(code) is None


@pytest.mark.parametrize("line", ["/users block owner", "/users remove owner", "/users role owner operator"])
def test_with_the_admin_go_the_logins_that_he_has_begun(house: House, line: str) -> None:
    dismissed: list[int] = []
    house.people.dismissed = dismissed.append
    house.prove(line, SECOND)
    assert dismissed == [OWNER]


def test_who_is_blocked_comes_back_by_no_link_and_burns_none(house: House) -> None:
    house.say("/users block clerk")
    code, told = house.invited(), len(house.told)
    assert house.comes(code, CLERK) is None
    assert not house.people.welcome(Knock(CLERK, CLERK, code=code))
    assert row(house, CLERK)["blocked"] is True
    assert len(house.told) == told
    assert house.comes(code) is not None


def test_somebody_known_needs_no_link_and_becomes_nothing_more_by_it(house: House) -> None:
    code = house.invited("admin")
    caller = house.comes(code, GUEST)
    assert caller is not None
    assert caller.role is Role.VIEWER
    assert house.comes(code) is not None


def test_who_is_heard_in_a_group_alone_gets_a_chat_of_his_own(tmp_path: Path) -> None:
    house = House(tmp_path, [*ROWS, {"user_id": NEW, "chat_id": GROUP, "role": "viewer", "name": "Ravi G"}])
    caller = house.comes(house.invited())
    assert caller is not None
    assert caller.role is Role.OPERATOR


def test_killed_between_the_code_and_the_file_exactly_he_is_let_in_by_the_next_start(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = house.invited()

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("otrade_bot.config.files.write", killed)
    with pytest.raises(KeyboardInterrupt):
        house.comes(code)
    monkeypatch.undo()
    assert house.rows == ROWS
    later = house.again()
    assert row(later, NEW)["role"] == "operator"
    assert later.gate.allows(NEW, NEW) is not None
    assert "has come by your link" in later.told[-1].to_plain()
    assert later.comes(code, 666) is None


def test_killed_between_the_file_and_the_end_he_is_in_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    code = house.invited()

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Invitations, "end", killed)
    with pytest.raises(KeyboardInterrupt):
        house.comes(code)
    monkeypatch.undo()
    later = house.again()
    assert [one["user_id"] for one in later.rows].count(NEW) == 1
    assert later.comes(code, 666) is None
    assert later.again().told == []


@pytest.mark.parametrize("where", ["otrade_bot.service.control_state.write_state", "os.replace"])
def test_a_full_disk_lets_nobody_in_and_says_so(house: House, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code = house.invited()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(where, full)
    assert house.comes(code) is None
    assert any("could not be redeemed" in one.to_plain() for one in house.told)
    monkeypatch.undo()
    assert house.rows == ROWS
    assert house.comes(code, 666) is None
    assert house.comes(code) is not None


def test_a_telegram_json_that_was_broken_by_hand_keeps_the_link_for_who_opened_it(house: House) -> None:
    code, good = house.invited(), house.file.read_text()
    house.file.write_text(good[:-5])
    assert house.comes(code) is None
    assert any("could not be redeemed" in one.to_plain() for one in house.told)
    house.file.write_text(good)
    assert house.comes(code, 666) is None
    assert house.comes(code) is not None


@pytest.mark.parametrize(
    "mess", [7, {"x": 7}, {"a" * 64: {"role": "god", "name": "x", "by": 0, "until": 9e9, "taken": 0}}]
)
def test_invitations_edited_by_hand_break_nothing(house: House, mess: Any) -> None:
    house.say("/pause")
    house.invited()
    path = house.folder / "state" / "control.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), KEY: mess}))
    later = house.again()
    assert later.people.invited() == []
    assert later.comes("x" * 24) is None


def test_invitations_are_not_without_end(house: House) -> None:
    made = Invitations(house.control, lambda: house.now)
    for number in range(MOST):
        made.make("viewer", f"v{number}", 7)
    with pytest.raises(CommandException, match="withdraw one"):
        made.make("viewer", "one more", 7)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("/users invite viewer", "A name has"), ("/users invite king Ravi", "Which role"),
        ("/users invite", "Which role"),
        ("/users invite viewer clerk", "already"), ("/users invite viewer CLERK", "already"),
        ("/users invite viewer 12345", "begins with a letter"), ("/users invite viewer Ra\u202evi", "A name has"),
        ("/users invite viewer terminal", "word of the bot's own"), (f"/users invite viewer {'x' * 33}", "A name has"),
        ("/users invite viewer <b>", "A name has"), ("/users demolish", "Usage"),
    ],
)  # fmt: skip
def test_what_is_no_invitation_is_answered_before_any_code(house: House, line: str, why: str) -> None:
    assert why in house.say(line)
    assert house.people.invited() == []


def test_hindi_names_are_names(house: House) -> None:
    assert "रवि कुमार is invited" in house.prove("/users invite viewer रवि कुमार")


def test_in_a_group_nobody_is_invited(house: House) -> None:
    assert "Not in a group" in house.say("/users invite viewer Ravi", OWNER, GROUP)


def test_while_telegram_has_not_said_the_bots_name_there_is_no_link(house: House) -> None:
    house.people.username = str
    assert "try again" in house.prove("/users invite viewer Ravi")
    assert house.people.invited() == []


# --- roles, blocks, removals -----------------------------------------------------------------------------


def test_the_list_shows_who_may_do_what(house: House) -> None:
    said = house.say("/users")
    assert "owner · admin · authenticator · in 1 group · 7" in said
    assert "clerk · operator · 8" in said
    house.say("/users block clerk")
    assert "clerk · operator · BLOCKED" in house.say("/users")


@pytest.mark.parametrize("user_id", [CLERK, GUEST])
@pytest.mark.parametrize(
    "line", ["/users", "/users invite admin Ravi", "/users role clerk admin", "/users block owner"]
)
def test_who_is_no_admin_sees_and_changes_nobody(house: House, line: str, user_id: int) -> None:
    assert "needs the role admin" in house.say(line, user_id)
    assert house.rows == ROWS


def test_a_stranger_gets_nothing_at_all(house: House) -> None:
    assert house.say("/users", 666) == ""


def test_taking_power_from_an_operator_is_done_at_once_and_everywhere(house: House) -> None:
    """A stolen phone must be out within the second."""
    assert "clerk is blocked" in house.say("/users block Clerk")
    assert house.say("/status", CLERK) == ""
    assert CLERK not in house.chats
    assert house.again().say("/status", CLERK) == ""


def test_of_a_blocked_user_nobody_is_told_whatever_he_tries(house: House) -> None:
    house.say("/users block clerk")
    told = len(house.told)
    for chat, what in ((CLERK, "message"), (CLERK, "button"), (GROUP, "message"), (-5, "message")):
        assert house.gate.passes(Knock(CLERK, chat, "Clerk", "/flatten yes", what)) is None
    assert len(house.told) == told


def test_a_command_that_waited_while_its_giver_was_blocked_is_nobodys(house: House) -> None:
    caller = house.gate.passes(Knock(CLERK, CLERK))
    assert caller is not None
    house.say("/users block clerk")
    assert house.gate.current(caller) is None


def test_a_lower_role_counts_for_what_waits_too(house: House) -> None:
    caller = house.gate.passes(Knock(CLERK, CLERK))
    assert caller is not None
    house.say("/users role clerk viewer")
    now = house.gate.current(caller)
    assert now is not None
    assert now.role is Role.VIEWER


@pytest.mark.parametrize(
    "line",
    [
        "/users role clerk admin", "/users unblock clerk", "/users block second", "/users remove second",
        "/users role second viewer", "/users invite viewer R",
    ],
)  # fmt: skip
def test_what_gives_power_or_takes_it_from_an_admin_wants_a_code(house: House, line: str) -> None:
    assert "six digits" in house.say(line)
    assert house.rows == ROWS
    assert "six digits" not in house.prove(line)
    assert house.rows != ROWS or house.people.invited() or "unblock" in line


@pytest.mark.parametrize("line", ["/users remove owner", "/users block owner", "/users role owner viewer"])
def test_nobody_removes_blocks_or_lowers_himself(house: House, line: str) -> None:
    assert "You cannot" in house.prove(line)
    assert house.rows == ROWS


@pytest.mark.parametrize("line", ["remove", "block", "role {} operator"])
def test_the_last_admin_stays_also_at_the_machine(tmp_path: Path, line: str) -> None:
    house = House(tmp_path, [ROWS[0], ROWS[3]])
    words = line.format("owner") if "{}" in line else f"{line} owner"
    assert "no admin" in house.terminal(f"/users {words}")
    assert row(house, OWNER) == ROWS[0]


def test_a_blocked_admin_is_no_admin_who_could_be_left(house: House) -> None:
    house.prove("/users block second")
    assert "no admin" in house.terminal("/users remove owner")


def test_a_role_is_that_of_the_person_in_all_his_chats(house: House) -> None:
    house.prove("/users role owner viewer", SECOND)
    assert {one["role"] for one in house.rows if one["user_id"] == OWNER} == {"viewer"}
    assert "needs the role" in house.say("/users", OWNER, GROUP)


def test_removed_is_removed_everywhere_and_at_the_next_start(house: House) -> None:
    assert "no user any more" in house.say("/users remove guest")
    assert house.say("/status", GUEST) == ""
    assert all(one["user_id"] != GUEST for one in house.rows)
    assert "There is no user guest" in house.say("/users remove guest")


def test_two_of_one_name_are_told_apart_by_number(tmp_path: Path) -> None:
    house = House(tmp_path, [*ROWS, {"user_id": NEW, "chat_id": NEW, "role": "viewer", "name": "Guest"}])
    assert "Which guest? Say the number: 9, 4242." in house.say("/users remove guest")
    house.say(f"/users remove {NEW}")
    assert house.rows == ROWS


def test_a_name_that_is_somebodys_number_is_the_number(tmp_path: Path) -> None:
    house = House(tmp_path, [*ROWS, {"user_id": NEW, "chat_id": NEW, "role": "viewer", "name": str(GUEST)}])
    house.say(f"/users remove {GUEST}")
    assert [one["user_id"] for one in house.rows][-1] == NEW
    assert all(one["user_id"] != GUEST for one in house.rows)


def test_the_other_admins_hear_of_every_change(house: House) -> None:
    house.invited("viewer", "Ravi")
    house.prove("/users role clerk admin")
    house.say("/users block guest")
    house.prove("/users unblock guest")
    house.say("/users remove guest")
    assert [said.to_plain() for said in house.told] == [
        "owner has invited Ravi as viewer", "owner has made clerk admin", "owner has blocked guest",
        "owner lets guest in again", "owner has removed guest",
    ]  # fmt: skip


def test_the_only_admin_is_not_told_what_he_has_just_done(tmp_path: Path) -> None:
    house = House(tmp_path, [ROWS[0], ROWS[3]])
    house.say("/users block clerk")
    assert house.told == []
    assert house.logged == ["people: owner has blocked clerk"]


# --- the file --------------------------------------------------------------------------------------------


def test_what_somebody_wrote_by_hand_meanwhile_is_kept(house: House) -> None:
    text = house.file.read_text().replace('"name": "guest"', '"name":  "guest",  "language": "hi"')
    house.file.write_text(text)
    house.say("/users block clerk")
    assert '"name":  "guest",  "language": "hi"' in house.file.read_text()
    assert house.gate.allows(GUEST, GUEST) is not None


def test_who_was_removed_by_hand_meanwhile_does_not_come_back(house: House) -> None:
    house.file.write_text(json.dumps({"users": [one for one in ROWS if one["user_id"] != GUEST]}))
    house.say("/users block clerk")
    assert all(one["user_id"] != GUEST for one in house.rows)
    assert house.say("/status", GUEST) == ""


def test_a_file_broken_by_hand_changes_nobody(house: House) -> None:
    house.file.write_text(house.file.read_text()[:-4])
    assert "Nothing was changed" in house.say("/users block clerk")
    assert house.gate.allows(CLERK, CLERK) is not None


def test_a_full_disk_changes_nobody(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert "No space left" in house.say("/users block clerk")
    assert house.gate.allows(CLERK, CLERK) is not None


def test_users_of_an_overlay_are_changed_there(tmp_path: Path) -> None:
    house = House(tmp_path, ROWS[:1])
    over = tmp_path / "config" / "dev" / "telegram.json"
    over.parent.mkdir()
    over.write_text(json.dumps({"users": ROWS}))
    base, later = house.file.read_bytes(), house.again()
    later.say("/users block clerk")
    assert house.file.read_bytes() == base
    assert json.loads(over.read_text())["users"][3]["blocked"] is True


# --- the gate --------------------------------------------------------------------------------------------


def gate(*users: User, **more: Any) -> Gate:
    return Gate(users, tell=lambda reply, chats: None, **more)


def heard(topic: int | None) -> Callable[[int | None], bool]:
    made = gate(User(user_id=7, chat_id=GROUP, topic=topic))
    return lambda where: made.passes(Knock(7, GROUP, topic=where)) is not None


@pytest.mark.parametrize(
    ("topic", "where", "is_heard"),
    [
        (None, None, True), (None, 5, True), (5, 5, True), (5, 6, False), (5, None, False), (1, None, True),
        (1, 5, False),
    ],
)  # fmt: skip
def test_in_a_group_with_topics_a_person_is_heard_in_his_own(
    topic: int | None, where: int | None, is_heard: bool
) -> None:
    assert heard(topic)(where) is is_heard


def test_another_topic_is_no_news_for_the_admins() -> None:
    told: list[Any] = []
    made = Gate((User(user_id=7, chat_id=GROUP, topic=5),), tell=lambda reply, chats: told.append(reply))
    assert made.passes(Knock(7, GROUP, topic=6)) is None
    assert told == []


def test_what_a_group_is_told_goes_to_the_topic_of_all_who_are_heard_there() -> None:
    one, other = User(user_id=7, chat_id=GROUP, topic=5), User(user_id=8, chat_id=GROUP, topic=6)
    assert gate(one).topic_of(GROUP) == 5
    assert gate(one, other).topic_of(GROUP) is None
    assert gate(User(user_id=7, chat_id=GROUP, topic=1)).topic_of(GROUP) is None
    assert gate(one).topic_of(7) is None


def test_a_judge_of_invitations_who_fails_lets_nobody_in() -> None:
    def broken(knock: Knock) -> bool:
        raise ZeroDivisionError

    assert gate(welcome=broken).passes(Knock(7, 7, code="x" * 24)) is None
    assert gate(welcome=lambda knock: True).passes(Knock(7, 7, code="x" * 24)) is None


# --- pace ------------------------------------------------------------------------------------------------


def test_a_persons_commands_have_a_pace_and_emergencies_have_none() -> None:
    now = [0.0]
    pace = Pace(lambda: 30, lambda: now[0])
    assert [pace.passes(7, "status") for _ in range(31)] == [True] * 30 + [False]
    assert pace.untold(7)
    assert not pace.untold(7)
    assert all(pace.passes(7, name) for name in ("pause", "resume", "flatten") for _ in range(100))
    assert pace.passes(8, "status")
    now[0] += 2.0
    assert [pace.passes(7, "status") for _ in range(2)] == [True, False]
    assert pace.untold(7)


def test_two_by_one_link_in_one_moment_are_one_after_the_other(tmp_path: Path) -> None:
    house = House(tmp_path)
    code = house.invited()

    async def both() -> list[Any]:
        async def one(user_id: int) -> Any:
            return house.comes(code, user_id)

        return await asyncio.gather(*(one(user_id) for user_id in (NEW, 666, 667)))

    assert sum(caller is not None for caller in asyncio.run(both())) == 1
    assert len(house.rows) == len(ROWS) + 1
