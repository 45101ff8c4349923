"""Pages and buttons for what is missing: long answers a page at a time, and nothing lost between them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from control_fakes import FakeEngine, context, order, position
from hypothesis import given
from hypothesis import strategies as st

from otrade_bot.control.auth import Role
from otrade_bot.control.commands import answer
from otrade_bot.control.pages import numbered, paged
from otrade_bot.control.reply import Action, Picture, Reply, bold, lines, pre

PHONE = "telegram:7:7"
FOOT = 90  # units of the heading, the page's number, tags and line breaks


def rows(number: int) -> Reply:
    return lines(bold("Rows"), pre("\n".join(f"row {at}\n  of {at}" for at in range(number))))


@given(st.integers(0, 400), st.integers(200, 3000))
def test_the_pages_together_hold_every_row_once_and_no_row_is_cut(number: int, size: int) -> None:
    whole = rows(number)
    pages, at = [], 1
    while True:
        page = paged(whole, "/x", at, size=size)
        assert len(page.to_html()) <= size + FOOT
        pages.append(page.to_plain())
        following = f"/x page {at + 1}"
        if following not in [one.line for one in page.actions]:
            break
        at += 1
    said = "\n".join(pages).splitlines()
    assert [row for row in said if row.startswith("row ")] == [f"row {at}" for at in range(number)]
    for page_text in pages:
        kept = [row for row in page_text.splitlines() if row.startswith(("row ", "  of "))]
        assert [row.removeprefix("row ") for row in kept[::2]] == [row.removeprefix("  of ") for row in kept[1::2]]
        assert page_text.startswith("Rows")


def test_a_tree_of_settings_fills_its_pages() -> None:
    tree = lines(bold("Configuration"), pre("{\n" + "\n".join(f'  "key {at}": {at},' for at in range(600)) + "\n}"))
    pages = [paged(tree, "/config", at).to_plain() for at in range(1, 5)]
    assert pages[0].startswith('Configuration\n{\n  "key 0"')
    assert all(len(page) > 2000 for page in pages[:3])
    assert "".join(pages).count('"key ') == 600


def test_what_fits_on_a_page_stays_as_it_is() -> None:
    short = Reply(rows(3).runs, (Action("Go", "/go"),))
    assert paged(short, "/x", None) is short


def test_the_buttons_turn_to_the_neighbours_in_place_and_others_stay() -> None:
    whole = replace(rows(400), actions=(Action("Go", "/go"),))
    middle = paged(whole, "/orders 400", 2)
    assert [(one.line, one.edit) for one in middle.actions] == [
        ("/orders 400 page 1", True), ("/orders 400 page 3", True), ("/go", False),
    ]  # fmt: skip
    assert [one.label for one in paged(whole, "/x", 1).actions] == ["Page 2 ›", "Go"]


@pytest.mark.parametrize("number", [0, 99, 9999])
def test_a_page_that_is_none_is_the_nearest(number: int) -> None:
    nearest = paged(rows(400), "/x", number).to_plain()
    assert nearest == paged(rows(400), "/x", 1 if number == 0 else 3).to_plain()


def test_what_grows_at_its_end_opens_at_its_end() -> None:
    assert "row 399" in paged(rows(400), "/x", None, from_end=True).to_plain()
    assert "row 0\n" in paged(rows(400), "/x", None).to_plain()


def test_a_picture_is_not_paged() -> None:
    shown = replace(rows(400), picture=Picture("a.png", b"x"))
    assert paged(shown, "/x", None) is shown


@pytest.mark.parametrize(
    ("said", "words", "page"),
    [("40 page 2", ["40"], 2), ("page 3", [], 3), ("40 PAGE 1", ["40"], 1), ("40", ["40"], None),
     ("page x", ["page", "x"], None), ("page 99999", ["page", "99999"], None), ("page", ["page"], None)],
)  # fmt: skip
def test_the_page_is_read_off_the_end_of_the_line(said: str, words: list[str], page: int | None) -> None:
    assert numbered(said.split()) == (words, page)


def crowded() -> FakeEngine:
    engine = FakeEngine(6)
    engine.sent = [order(f"NSE:SYM{at:03d}", at) for at in range(120)]
    return engine


async def test_orders_come_by_pages_on_the_phone_and_whole_at_the_terminal() -> None:
    engine = crowded()
    on_phone = [
        await answer(context(engine, session=PHONE), f"/orders 120 page {page}") for page in range(1, 9)
    ]
    at_once = await answer(context(engine), "/orders 120")
    assert at_once.to_plain().count("SYM") == 120
    assert at_once.actions == ()
    assert len(set(on_phone[0].to_plain().split()) & {f"SYM{at:03d}" for at in range(120)}) < 40
    for at in range(120):
        assert any(f"SYM{at:03d} " in page.to_plain() for page in on_phone)


async def test_a_command_that_acts_takes_no_page() -> None:
    engine = FakeEngine()
    said = await answer(context(engine, session=PHONE), "/pause page 2")
    assert "too many arguments" in said.to_plain().lower()
    assert engine.calls == []


# What is missing.


async def test_a_missing_symbol_is_offered_what_is_held_first() -> None:
    engine = FakeEngine(3)
    engine.held = [position("NSE:ZULU")]
    said = await answer(context(engine, session=PHONE), "/why")
    assert "Which one?" in said.to_plain()
    assert [one.line for one in said.actions] == ["/why NSE:ZULU", "/why NSE:M&M"]
    assert all(one.edit for one in said.actions)


async def test_what_acts_is_offered_what_is_held_alone_and_never_edits_in_place() -> None:
    engine = FakeEngine(3)
    engine.held = [position("NSE:ZULU")]
    said = await answer(context(engine, session=PHONE), "/claim")
    assert [(one.label, one.line, one.edit) for one in said.actions] == [("ZULU", "/claim NSE:ZULU", False)]
    engine.held = []
    said = await answer(context(engine, session=PHONE), "/claim")
    assert "Nothing is open." in said.to_plain()
    assert "/claim SYMBOL" in said.to_plain()
    assert said.actions == ()
    engine.state = replace(engine.state, unread="the broker is away")  # then nobody knows what is open
    assert "Nothing is open." not in (await answer(context(engine, session=PHONE), "/claim")).to_plain()


async def test_many_are_offered_in_part_and_it_says_so() -> None:
    engine = FakeEngine(90)
    said = await answer(context(engine, session=PHONE), "/why")
    assert len(said.actions) == 24
    assert "6 more are not shown" in said.to_plain()


async def test_the_terminal_and_a_lower_role_are_offered_nothing() -> None:
    assert (await answer(context(FakeEngine(3)), "/why")).actions == ()
    said = await answer(context(FakeEngine(3), Role.VIEWER, session=PHONE), "/claim")
    assert "needs the role operator" in said.to_plain()
    assert said.actions == ()
