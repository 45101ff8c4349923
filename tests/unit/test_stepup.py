"""One-time codes, as somebody sees them who has stolen a phone, or looks over a shoulder."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from people_room import CLERK, GROUP, GUEST, NOW, OWNER, SECOND, SECRETS, House

from otrade_bot.control.commands import Context
from otrade_bot.control.stepup import HELD_S, KEY, LOCK_S, MOST_WRONG, PROVEN_S, matching_step
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.onetime import DIGITS, holds_digits, invitation, six_digits, veiled
from otrade_bot.core.redirects import concealed, secret

LINE = "/users role clerk admin"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def role(house: House, user_id: int = CLERK) -> str:
    return next(str(row["role"]) for row in house.rows if row["user_id"] == user_id)


def test_the_right_code_does_what_asked_for_it(house: House) -> None:
    assert f"Make clerk admin · /users role {CLERK} admin" in house.say(LINE)  # what the code is for
    assert role(house) == "operator"
    assert "clerk is admin from now on" in house.say(house.code())
    assert role(house) == "admin"


@pytest.mark.parametrize("form", ["{}", " {} ", "/code {}", "/CODE@otrade_test_bot {}", "code {}"])
def test_a_code_may_be_written_as_people_write_it(house: House, form: str) -> None:
    house.say(LINE)
    code = house.code()
    assert "from now on" in house.say(form.format(code))


def test_a_code_with_a_space_or_in_another_script_is_the_same_code(house: House) -> None:
    house.say(LINE)
    code = house.code()
    hindi = "".join(chr(0x966 + int(digit)) for digit in code)
    assert "from now on" in house.say(f"{hindi[:3]} {hindi[3:]}")


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_a_phone_whose_clock_is_half_a_minute_off_will_do(house: House, steps: int) -> None:
    house.say(LINE)
    assert "from now on" in house.say(house.code(steps=steps))


@pytest.mark.parametrize("steps", [-3, -2, 2, 3])
def test_older_and_later_codes_are_wrong(house: House, steps: int) -> None:
    house.say(LINE)
    assert "This code is wrong" in house.say(house.code(steps=steps))
    assert role(house) == "operator"


def test_no_code_counts_twice_not_even_for_another_command_or_in_another_chat(house: House) -> None:
    house.say(LINE)
    code = house.code()
    house.say(code)
    house.say("/users unblock clerk")
    assert "used already" in house.say(code)
    house.say("/users unblock clerk", OWNER, GROUP)
    assert "used already" in house.say(code, OWNER, GROUP)


def test_no_code_counts_twice_across_a_restart(house: House) -> None:
    house.say(LINE)
    code = house.code()
    house.say(code)
    later = house.again()
    later.say("/users unblock clerk")
    assert "used already" in later.say(code)


def test_after_a_newer_code_the_one_before_is_used_up_too(house: House) -> None:
    house.say(LINE)
    house.say(house.code(steps=1))
    house.say("/users unblock clerk")
    assert "used already" in house.say(house.code(steps=0))


def test_another_persons_code_is_wrong(house: House) -> None:
    house.say(LINE)
    assert "This code is wrong" in house.say(house.code(SECOND))


def test_a_code_in_another_chat_or_of_another_person_than_was_asked_does_nothing(house: House) -> None:
    house.say(LINE)
    assert "No code is asked for here" in house.say(house.code(), OWNER, GROUP)
    assert "No code is asked for here" in house.say(house.code(), SECOND)
    assert role(house) == "operator"
    assert "from now on" in house.say(house.code())


def test_proven_is_that_line_alone_in_that_chat_alone_for_a_minute(house: House) -> None:
    demand = house.people.stepup.demand
    here, there = f"telegram:{OWNER}:{OWNER}", f"telegram:{OWNER}:{GROUP}"
    house.say(LINE)
    house.say(house.code())
    line = f"/users role {CLERK} admin"
    assert demand(here, OWNER, "owner", line, "") is None
    assert demand(here, OWNER, "owner", f"/users role {CLERK} viewer", "") is not None
    assert demand(there, OWNER, "owner", line, "") is not None
    house.steady.now += PROVEN_S + 1
    assert demand(here, OWNER, "owner", line, "") is not None


def test_no_other_command_slips_in_before_the_code_is_typed(house: House) -> None:
    """A thief in the same chat, on another phone, waits for the owner to be asked."""
    house.say(LINE)
    thief = house.say("/users invite admin Evil")
    assert "The next code counts for another command: /users role 8 admin" in thief
    house.say(house.code())
    assert role(house) == "admin"
    assert house.people.invited() == []


def test_who_thinks_better_of_it_waits_a_moment(house: House) -> None:
    house.say(LINE)
    house.steady.now += HELD_S + 1
    assert "six digits" in house.say("/users role guest operator")
    house.say(house.code())
    assert (role(house), role(house, GUEST)) == ("operator", "operator")


def test_one_code_makes_one_link(house: House) -> None:
    """Whoever snatches the phone within the minute gets no second one."""
    line = "/users invite admin Ravi"
    assert "?start=" in house.prove(line)
    house.say("/users cancel Ravi")
    assert "six digits" in house.say(line)


def test_who_asks_too_late_is_asked_again(house: House) -> None:
    house.say(LINE)
    house.steady.now += 121
    assert "No code is asked for here" in house.say(house.code())
    assert role(house) == "operator"


def test_five_wrong_codes_lock_and_the_admins_are_told_also_after_a_restart(house: House) -> None:
    for _ in range(MOST_WRONG):
        house.say(LINE)
        said = house.say(house.wrong())
    assert "locked for 15 min" in said
    assert "5 wrong codes of owner" in house.told[-1].to_plain()
    assert "locked" in house.say(LINE)
    later = house.again()
    assert "locked" in later.say(LINE)
    assert "No code is asked" in later.say(later.code())
    assert role(house) == "operator"
    later.now += LOCK_S + 1
    later.say(LINE)
    assert "from now on" in later.say(later.code())


def test_wrong_codes_are_counted_over_restarts_and_chats(house: House) -> None:
    for number in range(MOST_WRONG):
        house = house.again()
        chat = GROUP if number % 2 else OWNER
        house.say(LINE, OWNER, chat)
        said = house.say(house.wrong(), OWNER, chat)
    assert "locked" in said
    assert "locked" in house.say(LINE, OWNER, GROUP)


async def test_codes_guessed_in_parallel_from_several_chats_are_as_many_as_one_after_the_other(tmp_path: Path) -> None:
    house = House(tmp_path)
    chats = [OWNER, GROUP]
    for chat in chats:
        await house.ask(LINE, OWNER, chat)
    near = {house.code(OWNER, step) for step in range(-1, 2)}
    guesses = [f"{number:06d}" for number in range(200) if f"{number:06d}" not in near][:100]
    said = await asyncio.gather(
        *(house.ask(guess, OWNER, chats[at % 2]) for at, guess in enumerate(guesses)),
        house.ask(house.code(), OWNER, OWNER),
    )
    words = [one.to_plain() for one in said]
    assert sum("This code is wrong" in one for one in words) == MOST_WRONG - 1
    assert not any("from now on" in one for one in words)
    assert role(house) == "operator"
    assert len(house.told) == 1


async def test_one_code_sent_to_two_chats_at_once_counts_once(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.ask("/users unblock clerk", OWNER, OWNER)
    await house.ask(LINE, OWNER, GROUP)
    code = house.code()
    said = await asyncio.gather(house.ask(code, OWNER, OWNER), house.ask(code, OWNER, GROUP))
    assert sorted("used already" in one.to_plain() for one in said) == [False, True]


def test_the_right_one_forgives_the_wrong_ones(house: House) -> None:
    for _ in range(3):
        for _ in range(MOST_WRONG - 1):
            house.say(LINE)
            house.say(house.wrong())
        house.now += 30
        assert "locked" not in house.say(house.code())


def test_a_locked_person_locks_nobody_else_and_commands_on(house: House) -> None:
    for _ in range(MOST_WRONG):
        house.say(LINE)
        house.say(house.wrong())
    assert "Entries are paused" in house.say("/pause")
    house.say(LINE, SECOND)
    assert "from now on" in house.say(house.code(SECOND), SECOND)


def test_a_disk_that_does_not_take_it_proves_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    house.say(LINE)
    monkeypatch.setattr("otrade_bot.service.control_state.write_state", full)
    assert "No space left" in house.say(house.code())
    assert role(house) == "operator"


def test_without_an_authenticator_nothing_is_done_and_the_cure_is_named(house: House) -> None:
    house.seeds.drop(OWNER)
    said = house.say(LINE)
    assert "none is set up for you" in said
    assert "otrade-bot telegram totp owner" in said
    assert "No code is asked" in house.say(house.code())
    assert role(house) == "operator"


def test_one_that_is_taken_away_between_question_and_code_proves_nothing(house: House) -> None:
    house.say(LINE)
    house.seeds.drop(OWNER)
    assert "none is set up" in house.say(house.code())
    assert role(house) == "operator"


def test_a_new_authenticator_begins_anew_without_locks(house: House) -> None:
    for _ in range(MOST_WRONG):
        house.say(LINE)
        house.say(house.wrong())
    house.seeds.save(OWNER, SECRETS[OWNER], int(house.now // 30))
    house.now += LOCK_S + 1
    house.say(LINE)
    assert "from now on" in house.say(house.code())


def test_the_code_that_set_it_up_counts_for_nothing_else(house: House) -> None:
    house.seeds.save(OWNER, SECRETS[OWNER], int(house.now // 30))
    house.say(LINE)
    assert "used already" in house.say(house.code())


@pytest.mark.parametrize("mess", [7, [], {"7": 7}, {"7": {"of": 1}}, {"7": {"step": "x", "wrong": None}}, None])
def test_a_memory_edited_by_hand_breaks_nothing(tmp_path: Path, mess: Any) -> None:
    house = House(tmp_path)
    house.say("/pause")
    house.say(LINE)
    house.say(house.wrong())
    path = tmp_path / "state" / "control.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), KEY: mess}))
    later = house.again()
    later.say(LINE)
    assert "from now on" in later.say(later.code())


def test_another_key_of_the_machine_is_said_and_proves_nothing(house: House, tmp_path: Path) -> None:
    from otrade_bot.service.authenticators import FILE, Authenticators

    house.people.stepup._seeds = Authenticators(tmp_path / "state" / FILE, "another key")
    house.say(LINE)
    said = house.say(house.code())
    assert "OTRADE_SECRET_KEY" in said
    assert role(house) == "operator"


def test_what_a_person_enters_stands_in_no_record(house: House) -> None:
    house.say(LINE)
    house.say(house.wrong())
    house.say(f"/code {house.wrong()[:5]}")
    code = house.code()
    house.say(code)
    written = repr(house.heard) + repr(house.logged) + (house.folder / "state" / "control.json").read_text()
    assert code not in written
    assert house.wrong() not in written
    assert house.wrong()[:5] not in written
    outcomes = [one.outcome for one in house.heard if one.command == "code"]
    assert outcomes == ["allowed", "code wrong", "allowed", "allowed", "code proven"]


def test_at_the_machine_nobody_is_asked(house: House) -> None:
    assert "clerk is admin" in house.terminal(LINE)


def test_where_codes_cannot_be_taken_nothing_that_wants_one_is_done(house: House) -> None:
    from control_fakes import context

    made: Context = context(house.engine, session="telegram:7:7")
    with pytest.raises(Exception, match="Nothing was done"):
        made.prove("/mode live", "LIVE")


def test_who_loses_his_role_between_question_and_code_does_nothing(house: House) -> None:
    house.say(LINE)
    code = house.code()
    house.prove("/users role owner viewer", SECOND)
    assert "No code is asked" in house.say(code)
    assert role(house) == "operator"


def test_seeds_that_cannot_be_read_are_no_proof(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(user_id: int) -> bool:
        raise ConfigException("cannot be read", file="totp.json")

    monkeypatch.setattr(house.seeds, "enrolled", broken)
    assert "cannot be read" in house.say(LINE)
    assert role(house) == "operator"


@given(st.integers(0, 999_999), st.floats(NOW, NOW + 1e6))
def test_a_code_matches_exactly_where_the_library_says_so(number: int, now: float) -> None:
    digits = f"{number:06d}"
    made = pyotp.TOTP(SECRETS[OWNER])
    near = [step for step in range(int(now // 30) - 1, int(now // 30) + 2) if made.generate_otp(step) == digits]
    assert matching_step(SECRETS[OWNER], digits, now) == (near[-1] if near else None)
    assert matching_step(SECRETS[OWNER], made.at(int(now)), now) in (int(now // 30), int(now // 30) + 1)


@pytest.mark.parametrize(
    "line",
    ["123456", " 123 456 ", "123-456", "/code 123456", "/code 12345", "/code", "code 1", "१२३४५६", "123456.",
     "/code123456", "code: 123 456", "/code=123456", "\u200b123456"],
)  # fmt: skip
def test_what_is_a_code_or_was_meant_to_be_one_goes_from_chats_and_records(line: str) -> None:
    assert holds_digits(line)
    assert secret(line)
    assert concealed(line) == veiled(line) == DIGITS


@pytest.mark.parametrize(
    "line", ["/orders 123456", "1234567", "12345", "sl 123456", "/codes 123456", "123456 789012", ""]
)
def test_other_numbers_are_no_codes(line: str) -> None:
    assert not holds_digits(line)
    assert six_digits(line) == ""
    assert veiled(line) == line


def test_an_invitation_is_in_no_record_however_it_is_written() -> None:
    word = "AbCdEfGhIjKlMnOpQrStUvWx"
    assert invitation(f"/start {word}") == invitation(f" /START@bot {word} ") == word
    for line in (f"/start {word}", f"/start@x {word} and more", f"start {word[:5]}", f"/start: {word}", word,
                 f"https://t.me/some_bot?start={word}", f"for Ravi: t.me/some_bot?start={word} from me",
                 f"https://t.me/share/url?url=https%3A%2F%2Ft.me%2Fbot%3Fstart%3D{word}"):  # fmt: skip
        assert word[:5] not in concealed(line)
    assert not any(map(invitation, ("/start", f"/start {word} x", word, "/start short")))
    assert veiled("/start") == "/start"
