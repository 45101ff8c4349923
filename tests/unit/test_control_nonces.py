"""What a button carries: a word made by chance, for one person, one message, one moment, once."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from control_fakes import Wall
from hypothesis import given
from hypothesis import strategies as st
from phone_desk import CLERK, DESK, GUEST, OWNER, USERS, Desk, desk
from shelves import Shelf

from otrade_bot.config.models import User
from otrade_bot.control.phone.buttons import SHELF, Offers, Press
from otrade_bot.control.phone.gate import Caller
from otrade_bot.control.reply import Action, Picture, Reply, bold, text
from otrade_bot.core import lang
from tests.venues.photos import png
from tests.venues.telegram import BadRequest, BotApi, Reset

READ, ACT = Action("Read", "/status"), Action("Act", "/resume")
STAYS = Action("Stays", "/pause", lasting=True)


def acts(line: str) -> bool:
    return line != "/status"


def says(*actions: Action, head: str = "look") -> Any:
    """A script that offers these on every answer."""

    async def answer(_: Caller, line: str) -> Reply:
        return Reply(text(f"{head} at {line}").runs, actions)

    return answer


async def offered(at: Desk, *actions: Action, chat: int = OWNER) -> int:
    at.script = says(*actions)
    before = len(at.api.to(chat))
    at.api.say(OWNER, "/status", chat)
    return (await at.said(before + 1, chat))[-1].message_id


async def told(at: Desk, query: str) -> str:
    await at.api.until(lambda: query in at.api.answers)
    return at.api.answers[query].text


# The words themselves.


LINES = ("/status", "/flatten yes ab", "/sl NSE:SBIN 245", "/x " + "y" * 90)


@given(st.lists(st.sampled_from(LINES), min_size=1, max_size=6))
def test_no_word_holds_anything_of_its_command_and_none_comes_twice(lines: list[str]) -> None:
    offers = Offers(Wall(), acts=acts)
    decks = [offers.deck(7, [Action("x", line)], 7) for line in lines]
    words = [word for deck in decks for _, word in deck.buttons]
    assert len(set(words)) == len(words)
    for word, line in zip(words, lines, strict=True):
        assert len(word.encode()) <= 64
        assert not set(line.split()) & {word}
        assert "/" not in word and " " not in word  # noqa: PT018


def test_the_newest_are_remembered_and_the_oldest_are_too_old() -> None:
    offers = Offers(Wall(), acts=acts, most=3)
    decks = [offers.deck(7, [READ], 7) for _ in range(5)]
    for deck in decks:
        deck.sending()
        deck.shown(1)
    verdicts = [offers.press(7, 7, 1, deck.buttons[0][1]).press for deck in decks]
    assert verdicts == [Press.OLD, Press.OLD, Press.GOOD, Press.GOOD, Press.GOOD]


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [({}, Press.GOOD), ({"user": 8}, Press.FOREIGN), ({"chat": 8}, Press.OLD), ({"message": 2}, Press.OLD),
     ({"message": None}, Press.OLD), ({"word": "a" * 21}, Press.OLD), ({"word": ""}, Press.OLD)],
)  # fmt: skip
def test_it_counts_for_its_person_chat_message_and_word_alone(changed: dict[str, Any], verdict: Press) -> None:
    offers = Offers(Wall(), acts=acts)
    deck = offers.deck(7, [READ], 7)
    deck.sending()
    deck.shown(1)
    asked = {"chat": 7, "user": 7, "message": 1, "word": deck.buttons[0][1]} | changed
    assert offers.press(asked["chat"], asked["user"], asked["message"], asked["word"]).press is verdict
    if changed:
        assert offers.press(7, 7, 1, deck.buttons[0][1]).press is Press.GOOD, "nothing was used up"


@pytest.mark.parametrize(
    ("action", "owner", "counts"),
    [(READ, 7, 900), (ACT, 7, 30), (replace(ACT, edit=True), 7, 30), (replace(ACT, seconds=120), 7, 120),
     (ACT, None, 900), (replace(READ, seconds=5), 7, 5)],
)  # fmt: skip
def test_what_acts_counts_for_a_moment_and_what_reads_for_longer(
    action: Action, owner: int | None, counts: float
) -> None:
    for later, good in ((counts - 0.1, True), (counts + 0.1, False)):
        wall = Wall()
        offers = Offers(wall, acts=acts)
        deck = offers.deck(7, [action], owner)
        deck.sending()
        deck.shown(1)
        wall.now += later
        assert (offers.press(7, 7, 1, deck.buttons[0][1]).press is Press.GOOD) == good


PRESSES = st.lists(
    st.tuples(
        st.integers(0, 5), st.sampled_from([7, 8]), st.sampled_from([7, -5]), st.integers(0, 3),
        st.sampled_from([0.0, 10.0, 29.0, 400.0]),
    ),
    max_size=30,
)  # fmt: skip


@given(PRESSES)
def test_whatever_is_pressed_by_whom_a_deck_is_good_once_for_its_person_place_and_time(presses: Any) -> None:
    wall = Wall()
    offers = Offers(wall, acts=acts)
    decks = [offers.deck(-5 if owner is None else 7, [READ, ACT], owner) for owner in (7, 8, None)]
    for number, deck in enumerate(decks):
        deck.sending()
        deck.shown(number)
    words = [(deck, number, action, word) for number, deck in enumerate(decks) for action, word in deck.buttons]
    good: list[int] = []
    for which, user, chat, message, later in presses:
        wall.now += later
        deck, number, action, word = words[which]
        if offers.press(chat, user, message, word).press is not Press.GOOD:
            continue
        assert (chat, message) == (deck.chat_id, number)
        assert deck.owner in (None, user)
        assert wall.now - deck.at <= (30 if action is ACT and deck.owner is not None else 900)
        good.append(number)
    assert len(set(good)) == len(good)


def test_a_message_whose_id_was_lost_is_known_by_its_first_press_and_no_second_one_is() -> None:
    offers = Offers(Wall(), acts=acts)
    deck = offers.deck(7, [READ, ACT], 7)
    deck.sending()  # and nobody knows what became of it
    assert offers.press(7, 7, 41, deck.buttons[0][1]).press is Press.GOOD
    assert deck.messages == {41}
    assert offers.press(7, 7, 42, deck.buttons[1][1]).press is Press.OLD


def test_lasting_buttons_keep_their_word_and_survive_a_restart_for_their_chat_alone() -> None:
    shelf = Shelf()
    first, again = (Offers(Wall(), acts=acts, shelf=shelf).deck(7, [STAYS], None) for _ in range(2))
    word = first.buttons[0][1]
    assert again.buttons[0][1] == word
    offers = Offers(Wall(), acts=acts, shelf=shelf)
    for _ in range(3):
        assert offers.press(7, 99, 5, word) == offers.press(7, 7, None, word)
        assert offers.press(7, 7, 5, word).press is Press.GOOD
    assert offers.press(8, 7, 5, word).press is Press.OLD
    assert "/pause" not in word


def test_a_card_asks_the_disk_once_and_not_again_for_the_same_buttons() -> None:
    shelf, written = Shelf(), list[str]()
    keep = shelf.keep_part
    shelf.keep_part = lambda key, document: written.append(key) or keep(key, document)  # type: ignore[method-assign]
    offers = Offers(Wall(), acts=acts, shelf=shelf)
    for _ in range(3):
        offers.deck(7, [STAYS, replace(STAYS, line="/card"), READ], None)
    assert written == [SHELF]


@pytest.mark.parametrize("found", [{"w": 3}, {"w": {"chat": "7"}}, {"lx": {"chat": 7, "line": "/pause"}}, {"l": []}])
def test_what_is_no_button_of_ours_in_the_file_is_none(found: dict[str, Any]) -> None:
    shelf = Shelf()
    shelf.kept[SHELF] = found
    offers = Offers(Wall(), acts=acts, shelf=shelf)
    assert all(offers.press(7, 7, 1, word).press is Press.OLD for word in found)


# On the phone.


async def test_the_data_on_the_wire_name_no_command(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.api.say(OWNER, "/flatten")
        await at.said(1)
        wire = at.api.called("sendMessage")[0].params["reply_markup"]
        assert "callback_data" in wire
        assert "flatten" not in wire
        assert "yes" not in wire
        assert "/" not in wire


async def test_a_word_of_one_message_does_nothing_on_another(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        first, second = await offered(at, ACT), await offered(at, ACT)
        at.script = None
        word = at.api.to(OWNER)[0].buttons[0].data
        assert word is not None
        assert "nothing was done" in await told(at, at.api.press(OWNER, second, word, forged=True))
        assert at.engine.calls == []
        assert at.api.to(OWNER)[1].buttons, "and takes nothing from it"
        assert "Entries" in await told(at, at.api.press(OWNER, first, "Act"))
        assert at.engine.calls == ["resume by owner"]


async def test_what_acts_is_too_late_after_half_a_minute_and_is_recorded_as_refused(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        shown = await offered(at, ACT)
        at.script = None
        at.steady.now += 31
        assert "Too late" in await told(at, at.api.press(OWNER, shown, "Act"))
        assert at.engine.calls == []
        assert (at.heard[-1].line, at.heard[-1].outcome) == ("/resume", "refused")


async def test_a_lower_role_gains_nothing_by_pressing(tmp_path: Path) -> None:
    async with desk(tmp_path, users=(*USERS, User(user_id=GUEST, chat_id=DESK, role="viewer", name="guest"))) as at:
        shown = await offered(at, STAYS, chat=DESK)
        at.script = None
        assert "needs the role operator" in await told(at, at.api.press(GUEST, shown, "Stays", DESK))
        assert at.engine.calls == []


async def test_a_lasting_button_stays_when_the_others_go_and_works_again(tmp_path: Path) -> None:
    async with desk(tmp_path, shelf=Shelf()) as at:
        shown = await offered(at, ACT, STAYS, Action("Page", "", url="https://example.org"))
        at.script = None
        await told(at, at.api.press(OWNER, shown, "Act"))
        await at.api.until(lambda: [one.label for one in at.api.sent[0].buttons] == ["Stays", "Page"])
        for _ in range(2):
            assert "paused" in await told(at, at.api.press(OWNER, shown, "Stays"))
        assert at.engine.calls == ["resume by owner", "pause by owner", "pause by owner"]


async def test_a_button_that_asks_back_may_be_pressed_again_in_its_time_and_leaves_the_others(tmp_path: Path) -> None:
    asks = (Action("One", "/close SBIN", seconds=900, again=True), Action("Two", "/resume", seconds=900, again=True))
    async with desk(tmp_path) as at:
        shown = await offered(at, *asks)
        at.script = None
        for _ in range(2):
            await told(at, at.api.press(OWNER, shown, "Two"))
        await at.quiet()
        assert [one.label for one in at.api.sent[0].buttons] == ["One", "Two"]
        assert at.engine.calls == ["resume by owner"] * 2
        at.steady.now += 901
        assert "too old" in await told(at, at.api.press(OWNER, shown, "Two"))
        assert at.engine.calls == ["resume by owner"] * 2


async def test_presses_from_an_outage_are_as_old_as_it_may_be(tmp_path: Path) -> None:
    """A press has no date: what acts is not done, unless it is a pause."""
    shelf, lasting = Shelf(), (STAYS, Action("Go on", "/resume", lasting=True), Action("Look", "/status", lasting=True))
    async with BotApi([OWNER]) as api:
        async with desk(tmp_path, api=api, shelf=shelf) as at:
            shown = await offered(at, *lasting)
        presses = [api.press(OWNER, shown, label) for label in ("Go on", "Stays", "Look")]
        async with desk(tmp_path, api=api, shelf=shelf) as at:
            answers = [await told(at, one) for one in presses]
            assert "nothing was done" in answers[0]
            assert "paused" in answers[1]
            assert "Status" in answers[2]
            assert at.engine.calls == ["pause by owner"]
            await at.quiet()
            assert "The pause is over" in await told(at, api.press(OWNER, shown, "Go on"))


async def test_a_notice_from_the_outbox_has_buttons_for_everybody_there_and_the_first_answer_wins(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as at:
        await at.phone.send(DESK, Reply(text("signal").runs, (ACT,)), silent=False)
        shown = at.api.to(DESK)[0].message_id
        at.steady.now += 600  # who made it judges its age
        assert "Entries" in await told(at, at.api.press(CLERK, shown, "Act", DESK))
        assert "Answered already" in await told(at, at.api.press(OWNER, shown, "Act", DESK))
        assert at.engine.calls == ["resume by clerk"]


async def test_what_is_said_of_a_press_is_said_in_the_language_of_who_pressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used, late = "Answered already: nothing more was done.", "messages that came too late: {n}."
    monkeypatch.setattr(lang, "catalogue", lambda spoken: {used: "ho chuka", late: "der se: {n}"})
    hindi = {"speaking": lambda caller: lang.speaking("hi" if caller.user_id == CLERK else "en")}
    async with desk(tmp_path, **hindi) as at:
        await at.phone.send(DESK, Reply(text("signal").runs, (ACT,)), silent=False)
        shown = at.api.to(DESK)[0].message_id
        await told(at, at.api.press(OWNER, shown, "Act", DESK))
        assert await told(at, at.api.press(CLERK, shown, "Act", DESK)) == "ho chuka"
        assert await told(at, at.api.press(OWNER, shown, "Act", DESK)) == used
        at.api.say(CLERK, "/orders", date=time.time() - 600)
        assert "der se: 1" in (await at.said(1, CLERK))[0].text


# In place.


async def test_an_answer_in_place_edits_the_message_and_its_new_buttons_work(tmp_path: Path) -> None:
    turn = Action("Next", "/status", edit=True)
    async with desk(tmp_path) as at:
        shown = await offered(at, turn)
        old = at.api.to(OWNER)[0].buttons[0].data
        assert old is not None
        for page in ("one", "two"):
            at.script = says(turn, head=f"page {page}")
            assert await told(at, at.api.press(OWNER, shown, "Next")) == ""
            await at.api.until(lambda page=page: f"page {page}" in at.api.sent[0].text)  # type: ignore[misc]
        assert len(at.api.sent) == 1
        assert "Answered already" in await told(at, at.api.press(OWNER, shown, old, forged=True)), "replayed"


async def test_what_does_not_fit_in_place_comes_as_a_message_and_the_old_buttons_go(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        shown = await offered(at, Action("Next", "/status", edit=True))
        at.script = says(head="x" * 5000)
        at.api.press(OWNER, shown, "Next")
        await at.said(3)
        await at.api.until(lambda: not at.api.sent[0].buttons)
        assert at.api.sent[0].text.startswith("look")


async def test_an_edit_that_fails_is_tried_again_and_then_sent(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        shown = await offered(at, Action("Next", "/status", edit=True))
        at.script = says(head="again")
        at.api.fail("editMessageText", Reset(after=True))
        at.api.press(OWNER, shown, "Next")
        await at.api.until(lambda: "again" in at.api.sent[0].text)
        assert len(at.api.sent) == 1
    async with desk(tmp_path / "b") as at:
        shown = await offered(at, Action("Next", "/status", edit=True))
        at.script = says(head="again")
        at.api.fail("editMessageText", BadRequest("message can't be edited"))
        at.api.press(OWNER, shown, "Next")
        assert "again" in (await at.said(2))[1].text


# Pictures and keys.


async def test_a_picture_comes_with_its_words_and_buttons_and_is_replaced_in_place(tmp_path: Path) -> None:
    wider = Action("Wider", "/chart", edit=True)

    def drawn(width: int, words: str) -> Any:
        async def answer(_: Caller, __: str) -> Reply:
            return Reply(bold(words).runs, (wider,), Picture("day.png", png(width, 30)))

        return answer

    async with desk(tmp_path) as at:
        at.script = drawn(40, "narrow")
        at.api.say(OWNER, "/chart")
        sent = (await at.said(1))[0]
        assert sent.photo is not None
        assert (sent.photo.width, sent.text, sent.photo.name) == (40, "narrow", "day.png")
        at.script = drawn(50, "wide")
        at.api.press(OWNER, sent.message_id, "Wider")
        await at.api.until(lambda: at.api.sent[0].text == "wide")
        assert at.api.sent[0].photo is not None
        assert at.api.sent[0].photo.width == 50
        assert len(at.api.sent) == 1


async def test_words_too_long_for_a_caption_follow_the_picture_whole(tmp_path: Path) -> None:
    long = "\n".join(f"line {at}" for at in range(300))

    async def answer(_: Caller, __: str) -> Reply:
        return Reply(text(bold("Day"), "\n", long).runs, (READ,), Picture("day.png", png()))

    async with desk(tmp_path) as at:
        at.script = answer
        at.api.say(OWNER, "/daily")
        picture, words = await at.said(2)
        assert picture.photo is not None
        assert picture.text == "Day\nline 0"
        assert picture.buttons == []
        assert words.text == f"Day\n{long}"
        assert [one.label for one in words.buttons] == ["Read"]


async def test_a_picture_that_telegram_refuses_leaves_its_words(tmp_path: Path) -> None:
    async def answer(_: Caller, __: str) -> Reply:
        return Reply(bold("Day").runs, (READ,), Picture("day.png", b"nonsense"))

    async with desk(tmp_path) as at:
        at.script = answer
        at.api.say(OWNER, "/daily")
        said = (await at.said(1))[0]
        assert said.photo is None
        assert said.text.startswith("Day")
        assert "did not take the picture" in said.text
        assert said.buttons


async def test_keys_are_put_up_and_taken_away(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.script = says()
        for number, keys in enumerate((("/status", "/pnl", "/pause", "/help"), ())):

            async def answer(_: Caller, __: str, keys: tuple[str, ...] = keys) -> Reply:
                return Reply(text("keys").runs, keys=keys)

            at.script = answer
            at.api.say(OWNER, "/keyboard")
            shown = (await at.said(number + 1))[number].keyboard
            if keys:
                rows = [[one["text"] if isinstance(one, dict) else one for one in row] for row in shown["keyboard"]]
                assert rows == [["/status", "/pnl", "/pause"], ["/help"]]
                assert shown["is_persistent"]
            else:
                assert shown["remove_keyboard"]
