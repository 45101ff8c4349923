"""What the phone is told unasked: each kind once a chat, as loud as asked, risk always."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from otrade_bot.config.models import Notifications, TelegramConfig, User
from otrade_bot.control.news.notices import describe
from otrade_bot.control.news.outbox import Outbox, Parcel
from otrade_bot.control.news.pushes import Pushes, loudness
from otrade_bot.control.news.wishes import KINDS
from otrade_bot.control.reply import text
from otrade_bot.core.clock import ManualClock, at_ist
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.masking import forget_secrets, register_secret
from otrade_bot.service.journal import DayJournal, events_of, read_day

NOON = at_ist(date(2021, 6, 1), 12)
OWNER = User(user_id=7, chat_id=7, role="admin", name="owner")
WIFE = User(user_id=8, chat_id=8, name="asha")
#: Two people in one group.
GROUP = (User(user_id=7, chat_id=-9, name="owner"), User(user_id=8, chat_id=-9, name="asha"))
LABEL = "PAPER · simulated prices"

#: An event of each kind that is worth a message.
SAMPLES = {
    EventKind.RUN: {"state": "started"},
    EventKind.SESSION: {"boundary": "open"},
    EventKind.SIGNAL: {"rung": 1},
    EventKind.EVALUATION: {},
    EventKind.REFUSAL: {"reason": "no capital left"},
    EventKind.ORDER: {"status": "rejected"},
    EventKind.FILL: {"quantity": 3},
    EventKind.STOP: {"state": "armed"},
    EventKind.TRADE: {"net_paise": 1},
    EventKind.COMMAND: {"line": "/status"},
    EventKind.BLOCK: {"on": True},
    EventKind.ALERT: {},
    EventKind.RECOVERY: {},
    EventKind.FLATTEN: {"state": "flat"},
    EventKind.DAY: {"trades": 2},
    EventKind.CARRY: {},
    EventKind.APPROVAL: {"by": "owner"},
    EventKind.SETTING: {"what": "limits"},
}


class Box:
    def __init__(self) -> None:
        self.put_in: list[tuple[int, bool, str]] = []
        self.parcels: list[Parcel] = []
        self.newest = ""

    def put_all(self, parcels: Sequence[Parcel], *, of: str = "") -> None:
        self.parcels += parcels
        self.put_in += [(chat, one.silent, one.reply.to_plain()) for one in parcels for chat in one.chats]
        self.newest = of or self.newest


def event(kind: EventKind, severity: Severity = Severity.INFO, **data: object) -> Event:
    return Event(kind, NOON, "NSE:M&M", "words", severity, SAMPLES.get(kind, {}) | data)


def pushed(one: Event, users: Sequence[User] = (OWNER, WIFE), **wishes: str) -> list[tuple[int, bool, str]]:
    box, errors = Box(), []  # type: ignore[var-annotated]
    settings = Notifications.model_validate(wishes)
    Pushes(box, users, settings, lambda: LABEL, log_error=errors.append).on_event(one)
    assert errors == []
    return box.put_in


def all_off() -> dict[str, str]:
    return dict.fromkeys(KINDS, "off")


def test_a_push_goes_to_every_chat_once_with_time_words_and_label() -> None:
    said = "12:00:00 Filled M&M words\nPAPER · simulated prices"
    assert pushed(event(EventKind.FILL), (OWNER, *GROUP)) == [(7, False, said), (-9, False, said)]
    assert pushed(event(EventKind.FILL), ()) == []


@pytest.mark.parametrize("kind", [EventKind(name) for name in KINDS])
def test_each_kind_is_as_loud_as_its_setting(kind: EventKind) -> None:
    assert [silent for _, silent, _ in pushed(event(kind), **{kind.value: "on"})] == [False, False]
    assert [silent for _, silent, _ in pushed(event(kind), **{kind.value: "silent"})] == [True, True]
    assert pushed(event(kind), **{kind.value: "off"}) == []


def test_every_kind_is_decided_and_orders_come_by_default() -> None:
    assert {kind for kind in EventKind if loudness(event(kind), Notifications()) == "off"} == {
        EventKind.EVALUATION,
        EventKind.COMMAND,
    }
    assert loudness(event(EventKind.ORDER), Notifications()) == "silent"


def test_what_was_kept_overnight_is_told_like_the_days_boundaries() -> None:
    kept = Event(EventKind.CARRY, NOON, text="kept from an earlier day: NSE:SBIN P1 3")
    assert [(silent, text) for _, silent, text in pushed(kept, (OWNER,))] == [
        (True, f"12:00:00 Kept from an earlier day: SBIN P1 3\n{LABEL}")
    ]
    assert pushed(kept, session="off") == []


def test_the_last_fill_of_an_exit_leaves_the_sound_to_the_round_trip() -> None:
    def silent(leg: str, quantity: int, **wishes: str) -> list[bool]:
        filled = replace(event(EventKind.FILL), data={"leg": leg, "quantity": quantity, "ordered": 3})
        return [silent for _, silent, _ in pushed(filled, (OWNER,), **wishes)]

    assert silent("exit", 3) == [True]
    assert silent("exit", 2) == [False], "a part: nobody knows when the rest goes"
    assert silent("entry", 3) == [False]
    assert silent("exit", 3, trade="silent") == [False], "then nothing else would ring"
    assert silent("exit", 3, fill="off") == []


@pytest.mark.parametrize(("before", "status", "trigger", "head"), [
    ("pending", "open", 0, "Order accepted"), ("pending", "trigger_pending", 9_000, "Order accepted"),
    ("trigger_pending", "open", 9_000, "Stop triggered"), ("trigger_pending", "open", 0, "Order changed"),
    ("open", "open", 0, "Order changed"), ("trigger_pending", "trigger_pending", 9_000, ""),
])  # fmt: skip
def test_an_order_is_accepted_once_and_then_changed_or_triggered(
    before: str, status: str, trigger: int, head: str
) -> None:
    changed = event(EventKind.ORDER, before=before, status=status, trigger_paise=trigger)
    assert [text.split("\n")[0].startswith(f"12:00:00 {head} M&M") for _, _, text in pushed(changed, (OWNER,))] == (
        [True] if head else []
    )


@pytest.mark.parametrize("kind", sorted(set(EventKind) - {EventKind.EVALUATION, EventKind.COMMAND}))
def test_risk_cannot_be_muted(kind: EventKind) -> None:
    heard = pushed(event(kind, Severity.RISK), **all_off())
    assert [(chat, silent) for chat, silent, _ in heard] == [(7, False), (8, False)]


@pytest.mark.parametrize(
    "always",
    [
        event(EventKind.BLOCK),
        event(EventKind.FLATTEN),
        event(EventKind.RUN),
        event(EventKind.STOP, state="missing"),
        event(EventKind.SIGNAL, ref="k3", seconds=20),
    ],
    ids=lambda one: one.kind.value,
)
def test_whether_it_trades_a_missing_stop_and_a_question_always_come_with_sound(always: Event) -> None:
    assert [silent for _, silent, _ in pushed(always, **all_off())] == [False, False]


@pytest.mark.parametrize("kind", EventKind)
def test_debugging_evaluations_and_commands_are_never_pushed(kind: EventKind) -> None:
    assert pushed(event(kind, Severity.DEBUG)) == []
    assert pushed(event(EventKind.EVALUATION, Severity.RISK)) == []
    assert pushed(event(EventKind.COMMAND, Severity.RISK)) == []


def test_who_did_it_is_not_rung_up_for_it_in_private_unless_it_is_risk() -> None:
    heard = pushed(event(EventKind.BLOCK, by="owner"), (OWNER, WIFE, *GROUP))
    assert [(chat, silent) for chat, silent, _ in heard] == [(8, False), (-9, False), (7, True)]
    heard = pushed(event(EventKind.BLOCK, Severity.RISK, by="owner"))
    assert [(chat, silent) for chat, silent, _ in heard] == [(7, False), (8, False)]


def test_an_observer_that_cannot_say_it_well_says_it_plainly_and_never_raises() -> None:
    box, errors = Box(), []  # type: ignore[var-annotated]

    def no_label() -> str:
        raise RuntimeError("no status")

    Pushes(box, (OWNER,), Notifications(), no_label, log_error=errors.append).on_event(event(EventKind.ALERT))
    assert box.put_in == [(7, False, "alert NSE:M&M: words")]
    assert "no status" in errors[0]


def test_other_people_and_wishes_hold_from_a_reload_on() -> None:
    box = Box()
    pushes = Pushes(box, (OWNER,), Notifications(), str)
    pushes.reload(TelegramConfig(users=(WIFE,), notifications=Notifications(fill="off")))
    pushes.on_event(event(EventKind.FILL))
    pushes.on_event(event(EventKind.TRADE))
    assert [chat for chat, _, _ in box.put_in] == [8]


def lanes(*events: Event) -> list[str]:
    box = Box()
    for one in events:
        Pushes(box, (OWNER,), Notifications(), str).on_event(one)
    return [parcel.lane for parcel in box.parcels]


def test_each_kind_has_its_lane_and_risk_the_first_whatever_it_is() -> None:
    often = [EventKind.SIGNAL, EventKind.ORDER, EventKind.STOP, EventKind.REFUSAL, EventKind.ALERT, EventKind.RECOVERY]
    assert lanes(*map(event, often)) == ["news"] * 6
    others = set(EventKind) - {*often, EventKind.EVALUATION, EventKind.COMMAND}
    assert lanes(*map(event, others)) == ["first"] * len(others)
    grave = [event(kind, Severity.RISK) for kind in (*often, EventKind.FILL, EventKind.TRADE)]
    assert lanes(*grave, event(EventKind.STOP, state="missing"), event(EventKind.SIGNAL, ref="k3")) == ["first"] * 10


def test_each_language_is_one_message_and_a_group_has_its_first_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otrade_bot.core.lang.catalogue", lambda spoken: {"Filled": "भरा"})
    hindi = WIFE.model_copy(update={"language": "hi"})
    groups = (hindi.model_copy(update={"chat_id": -9}), GROUP[0], GROUP[1].model_copy(update={"chat_id": -8}))
    box = Box()
    Pushes(box, (OWNER, hindi, *groups), Notifications(), str).on_event(event(EventKind.FILL, by="owner"))
    told = [(parcel.language, parcel.silent, parcel.chats, parcel.reply.to_plain()[9:]) for parcel in box.parcels]
    assert told == [
        ("en", False, [-8], "Filled M&M words"), ("hi", False, [8, -9], "भरा M&M words"),
        ("en", True, [7], "Filled M&M words"),
    ]  # fmt: skip


def test_who_is_blocked_is_told_nothing() -> None:
    gone = WIFE.model_copy(update={"blocked": True})
    assert [chat for chat, _, _ in pushed(event(EventKind.ALERT, Severity.RISK), (OWNER, gone))] == [7]


def said(kind: EventKind, text: str = "", symbol: str = "", severity: Severity = Severity.INFO, **data: object) -> str:
    notice = describe(Event(kind, NOON, symbol, text, severity, data))
    return "" if notice is None else notice.to_plain().removeprefix("12:00:00 ")


HELD = [
    {
        "symbol": "NSE:RELIANCE", "side": "BUY", "rung": 1, "quantity": 1200, "stop_paise": 208_650,
        "stop_resting": True, "external": False,
    },
    {"symbol": "NSE:M&M", "side": "SELL", "rung": 2, "quantity": 5, "stop_paise": 9_750, "stop_resting": False},
    {"symbol": "NSE:TCS", "side": "BUY", "rung": 1, "quantity": 5, "stop_paise": 0, "stop_resting": False},
    {"symbol": "BSE:INFY", "side": "BUY", "quantity": 5, "external": True, "stop_resting": False},
]  # fmt: skip


def test_a_start_says_what_trades_what_is_open_and_where_its_stops_rest() -> None:
    told = said(
        EventKind.RUN, "paused before", state="started", mode="live", broker="kite", feed="kite", version="0.1.0",
        resumed=True, strategies={"ema_crossover": [f"NSE:S{n}" for n in range(10)]}, positions=HELD,
    )  # fmt: skip
    assert told.split("\n") == [
        "Started",
        "paused before",
        "version 0.1.0, the day goes on after a stop",
        "LIVE, broker kite, prices kite",
        "ema_crossover: S0, S1, S2, S3, S4, S5, S6, S7 and 2 more",
        "4 positions open",
        "RELIANCE P1 BUY 1,200, stop rests at ₹2,086.50",
        "M&M P2 SELL 5, stop ₹97.50 is NOT resting",
        "TCS P1 BUY 5, NO STOP",
        "BSE:INFY BUY 5, not ours: no stop from here",
    ]


def test_a_stop_says_what_stays_open() -> None:
    assert said(EventKind.RUN, "asked to end", state="stopped", version="0.1.0", mode="paper", positions=HELD[:1]) == (
        "Stopped\nasked to end\n1 position open\nRELIANCE P1 BUY 1,200, stop rests at ₹2,086.50"
    )
    assert said(EventKind.RUN, state="stopped", positions=[]) == "Stopped\nNothing is open"


def test_books_that_are_known_again_are_told_with_what_is_open_and_a_day_opened_anew_is_not() -> None:
    held = {"state": "reopened", "mode": "live", "broker": "kite", "positions": HELD[:1]}
    assert said(EventKind.RUN, "logged in to kite", **held, known_again=True) == (
        "Orders and positions are known\nlogged in to kite\n1 position open\n"
        "RELIANCE P1 BUY 1,200, stop rests at ₹2,086.50"
    )
    assert describe(Event(EventKind.RUN, NOON, text="the clock was set", data=held)) is None


def test_the_card_before_the_open_keeps_its_lines() -> None:
    card = "NOT READY, 1 point\nOpens 09:15\n!! token: expired"
    assert said(EventKind.SESSION, card, boundary="card") == f"Before the open {card}"
    following = "Next session: Wed 2 Jun 2021\nNo open positions"
    assert said(EventKind.SESSION, following, boundary="next") == "Next session Wed 2 Jun 2021\nNo open positions"
    assert said(EventKind.SESSION, boundary="prepared") == "New day prepared"


def test_the_days_summary_shows_the_reports_own_numbers() -> None:
    told = said(
        EventKind.DAY, day="2021-06-01", trades=1200, gross_paise=140_000, charges_paise=16_550, net_paise=123_450,
        wins=7, losses=5, best={"symbol": "NSE:M&M", "net_paise": 12_345_678}, worst={"symbol": "X", "net_paise": -5},
        signals=20, orders=24, refusals={"cooldown": 3, "no_capital": 5}, dropped={"spike": 3, "late": 0},
        open_positions=[{"symbol": "NSE:TCS", "side": "BUY", "rung": 1, "quantity": 12, "average": 2140.05}],
        next_session="Wed 2 Jun 2021",
    )  # fmt: skip
    assert told.split("\n") == [
        "Day ended Tue 1 Jun 2021",
        "Net +₹1,234.50 (gross +₹1,400.00, charges ₹165.50)",
        "1,200 trades, 7 won, 5 lost (58.33 % won)",
        "Best M&M +₹1,23,456.78",
        "Worst X -₹0.05",
        "20 signals, 24 orders, 8 refused (5 no capital, 3 cooldown)",
        "Prices: 3 dropped (3 spike)",
        "1 STILL OPEN",
        "TCS P1 BUY 12 @ ₹2,140.05",
        "Next session: Wed 2 Jun 2021",
    ]
    one = {"symbol": "NSE:TCS", "net_paise": -5}
    assert said(EventKind.DAY, trades=0, open_positions=[]) == "Day ended\nNo trades\nNothing is open"
    assert said(EventKind.DAY, trades=1, best=one, worst=one, wins=0, losses=0) == "Day ended\n1 trade"


def test_words_are_not_said_twice_and_symbols_can_be_tapped() -> None:
    alert = event(EventKind.ALERT, Severity.RISK)
    alert = replace(alert, text="NSE:M&M P1: stop refused; NSE:TCS too")
    notice = describe(alert)
    assert notice is not None
    assert notice.to_html() == "12:00:00 <b>ALERT</b> <code>M&amp;M</code> P1: stop refused; TCS too"
    assert said(EventKind.RECOVERY, "recovered: 1 open") == "Recovered 1 open"
    assert said(EventKind.ALERT, "NSE:M&MFIN is near", symbol="NSE:M&M") == "Alert M&M M&MFIN is near"
    assert said(EventKind.SESSION, "square-off in 5 minutes: NSE:TCS", boundary="square_off_warning") == (
        "Square-off in 5 minutes: TCS"
    )
    assert said(EventKind.FLATTEN, "TCS P1: 1 of 2 closed\nNOT FLAT: TCS", state="not_flat") == (
        "NOT FLAT\nTCS P1: 1 of 2 closed\nNOT FLAT: TCS"
    )
    assert said(EventKind.FLATTEN, "closing 2 rungs", state="started", by="owner") == (
        "Flatten started by owner\nclosing 2 rungs"
    )


# A kill between the diary and the outbox. The diary is the real one: what it gives back is masked and without types.


def diary_of(folder: Path, *events: Event) -> list[Event]:
    """As a next start reads it, newest first."""
    with DayJournal(folder, ManualClock(NOON)) as journal:
        for one in events:
            journal.append(one)
    return list(events_of(reversed(read_day(folder, date(2021, 6, 1)))))


def test_what_was_written_down_and_not_put_when_the_process_was_killed_is_put_at_the_next_start(tmp_path: Path) -> None:
    fill, stop = event(EventKind.FILL, quantity=3, net=float("nan")), event(EventKind.STOP)
    diary = diary_of(tmp_path, fill, stop, event(EventKind.EVALUATION))
    first = Outbox(tmp_path / "outbox.jsonl")
    Pushes(first, (OWNER, WIFE), Notifications(), lambda: LABEL).on_event(fill)
    first.close()
    for _ in range(2):  # the second time nothing is missing
        box = Outbox(tmp_path / "outbox.jsonl")
        Pushes(box, (OWNER, WIFE), Notifications(), lambda: LABEL).catch_up(diary)
        assert [state.waiting for state in box.lanes()] == [2, 2]
        box.close()


@pytest.mark.parametrize("kind", [kind for kind in EventKind if kind not in (EventKind.EVALUATION, EventKind.COMMAND)])
def test_what_was_put_is_known_again_in_the_diary(kind: EventKind, tmp_path: Path) -> None:
    secret = "sesame-sesame-sesame"
    register_secret(secret)
    told = replace(event(kind, Severity.WARNING, by="owner", who=("a", "b")), text=f"said {secret}")
    box = Box()
    pushes = Pushes(box, (OWNER, WIFE), Notifications(), lambda: LABEL)
    pushes.on_event(told)
    before = len(box.put_in)
    assert before == 2
    try:
        pushes.catch_up(diary_of(tmp_path, event(EventKind.ALERT), told))
    finally:
        forget_secrets()
    assert len(box.put_in) == before


def test_a_kind_that_was_muted_after_it_was_told_makes_nothing_be_told_again(tmp_path: Path) -> None:
    box = Box()
    order, fill = event(EventKind.ORDER), event(EventKind.FILL)
    Pushes(box, (OWNER,), Notifications(), str).on_event(fill)
    Pushes(box, (OWNER,), Notifications(fill="off"), str).catch_up(diary_of(tmp_path, order, fill))
    assert len(box.put_in) == 1
    day = event(EventKind.DAY)
    Pushes(box, (OWNER,), Notifications(fill="off"), str).catch_up(diary_of(tmp_path, order, fill, day))
    assert len(box.put_in) == 2


def test_where_nothing_was_ever_put_an_old_diary_is_not_told(tmp_path: Path) -> None:
    box = Box()
    Pushes(box, (OWNER,), Notifications(), lambda: LABEL).catch_up(diary_of(tmp_path, event(EventKind.FILL)))
    assert box.put_in == []


async def test_the_last_event_that_was_put_is_known_after_it_was_delivered_and_the_file_written_anew(
    tmp_path: Path,
) -> None:
    for number in range(3):
        box = Outbox(tmp_path / "outbox.jsonl")
        assert box.newest == ("" if number == 0 else "second")
        if number == 0:
            box.put(text("one"), (7,), of="first")
            box.put(text("two"), (7,), of="second")
            box.put(text("no event"), (7,))
            box.restrict(())
        assert box.waiting == 0
        box.close()
