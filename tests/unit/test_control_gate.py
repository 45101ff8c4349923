"""The gate: nobody is let in but the very person in the very chat, and strangers cost nothing."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otrade_bot.config.models import User
from otrade_bot.control.auth import Role
from otrade_bot.control.commands import Heard
from otrade_bot.control.phone.gate import MOST_ALERTS, MOST_STRANGERS, Caller, Gate, Knock
from otrade_bot.control.reply import Reply

OWNER = User(user_id=7, chat_id=7, role="admin", name="owner")
DESK = -1001


class Door:
    """A gate, and everything it said."""

    def __init__(self, *users: User) -> None:
        self.now = 1000.0
        self.told: list[tuple[Reply, Sequence[int]]] = []
        self.logged: list[str] = []
        self.heard: list[Heard] = []
        self.gate = Gate(
            users or (OWNER,), tell=lambda reply, chats: self.told.append((reply, chats)), log=self.logged.append,
            audit=self.heard.append, label=lambda: "PAPER", wall=lambda: self.now,
        )  # fmt: skip

    def knock(self, user_id: int | None = 666, chat_id: int | None = 666, **more: object) -> Caller | None:
        return self.gate.passes(Knock(user_id, chat_id, **{"name": "Eve", "line": "/flatten", **more}))  # type: ignore[arg-type]


def test_the_person_in_the_chat_is_let_in_with_role_name_and_session() -> None:
    caller = Door().knock(7, 7)
    assert caller == Caller(7, 7, "owner", Role.ADMIN)
    assert caller.session == "telegram:7:7"


def test_without_users_nobody_is_let_in() -> None:
    assert Gate((), tell=lambda reply, chats: None).passes(Knock(7, 7)) is None


def test_a_user_without_a_name_is_called_by_his_id() -> None:
    caller = Door(User(user_id=9, chat_id=9)).knock(9, 9)
    assert caller == Caller(9, 9, "user 9", Role.VIEWER)


ids = st.one_of(st.none(), st.integers(-(2**52), 2**52), st.sampled_from([7, 8, DESK, 0, -7]))


@given(ids, ids, st.text(max_size=200), st.text(max_size=200), st.sampled_from(["message", "button"]), st.booleans())
def test_exactly_the_listed_pairs_pass_whatever_else_is_said(
    user_id: int | None, chat_id: int | None, name: str, line: str, what: str, aside: bool
) -> None:
    door = Door(OWNER, User(user_id=8, chat_id=DESK, role="operator"))
    caller = door.knock(user_id, chat_id, name=name, line=line, what=what, aside=aside)
    assert (caller is not None) == ((user_id, chat_id) in {(7, 7), (8, DESK)})
    for reply, _ in door.told:
        assert 0 < len(reply.split()) == 1


@pytest.mark.parametrize(("user_id", "chat_id"), [(7, 8), (8, 7), (None, 7), (7, None), (None, None), (7, -7)])
def test_a_half_right_pair_is_a_stranger(user_id: int | None, chat_id: int | None) -> None:
    door = Door()
    assert door.knock(user_id, chat_id) is None
    assert len(door.told) == len(door.logged) == len(door.heard) == 1


def test_the_alert_names_the_stranger_safely_and_his_ids_can_be_tapped() -> None:
    door = Door()
    door.knock(666, -5, name="<b>Eve</b> & Co\n\u202e", line="/flatten <yes>", what="button")
    (said, chats), html = door.told[0], door.told[0][0].to_html()
    assert chats == (7,)
    assert said.to_plain().startswith("PAPER\nA stranger pressed a button")
    assert "<code>666</code>" in html
    assert "<code>-5</code>" in html
    assert "&lt;b&gt;Eve&lt;/b&gt; &amp; Co" in html
    assert "\u202e" not in html
    assert "nothing was answered" in html
    assert "\n" not in door.logged[0]
    assert door.heard[0].outcome == "stranger"
    assert door.heard[0].role is None
    assert door.heard[0].session == "telegram:666:-5"


def test_a_burst_is_told_once_and_the_next_one_counts_what_was_not() -> None:
    door = Door()
    for _ in range(5000):
        door.knock()
        door.now += 0.1
    assert len(door.told) == len(door.logged) == len(door.heard) == 1
    door.now = 1000 + 600
    door.knock()
    assert "4,999 more knocks since the alert before" in door.told[1][0].to_plain()
    assert len(door.told) == 2


def test_a_crowd_of_strangers_grows_neither_alerts_nor_memory() -> None:
    door = Door()
    for number in range(1000):
        door.knock(10_000 + number, 10_000 + number)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(5000):
        door.knock(20_000 + number, 20_000 + number, name="x" * 5000, line="y" * 5000)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 10_000
    assert len(door.told) == len(door.logged) == len(door.heard) == MOST_ALERTS
    assert "only counted" in door.told[-1][0].to_plain()
    door.now += 600
    door.knock(5, 5)
    assert "5,995 knocks of others went untold" in door.told[-1][0].to_plain()


def test_strangers_of_many_days_are_forgotten() -> None:
    door = Door()
    for number in range(MOST_STRANGERS * 3):
        door.knock(10_000 + number, 1)
        door.now += 601
    assert len(door.told) == MOST_STRANGERS * 3
    assert len(door.gate._strangers) == MOST_STRANGERS


def test_the_owner_in_a_strange_chat_is_told_so() -> None:
    door = Door()
    assert door.knock(7, -99) is None
    assert "may command from another chat" in door.told[0][0].to_plain()


def test_alerts_go_to_each_admins_own_chat_once_and_to_groups_only_where_there_is_none() -> None:
    both = Door(OWNER, User(user_id=7, chat_id=DESK, role="admin"), User(user_id=8, chat_id=8, role="operator"))
    assert both.gate.admin_chats == (7,)
    group = Door(User(user_id=7, chat_id=DESK, role="admin"), User(user_id=8, chat_id=DESK, role="admin"))
    assert group.gate.admin_chats == (DESK,)


def test_talk_between_others_in_our_group_is_no_alert_and_still_no_entry() -> None:
    door = Door(OWNER, User(user_id=7, chat_id=DESK, role="admin"))
    assert door.knock(666, DESK, line="lunch?", aside=True) is None
    assert door.told == door.logged == []
    assert door.knock(666, DESK, line="/flatten") is None
    assert door.knock(666, -42, line="hello", aside=True) is None
    assert len(door.told) == 2


def test_failing_observers_let_nobody_in_and_raise_nothing() -> None:
    def broken(*_: object) -> None:
        raise OSError("disk full")

    gate = Gate((OWNER,), tell=broken, log=broken, audit=broken, met=broken, label=lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    assert gate.passes(Knock(666, 666)) is None
    assert gate.passes(Knock(7, 7)) is not None


def test_a_token_that_a_stranger_writes_does_not_come_back_in_the_alert() -> None:
    door = Door()
    secret = "7700000001:" + "AbC-0_xyz" * 4
    door.knock(line=f"is this yours? {secret}", name=secret)
    for said in (door.told[0][0].to_plain(), door.logged[0], repr(door.heard[0])):
        assert secret not in said
