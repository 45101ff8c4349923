"""The table of commands: who may, what is answered, and that nothing gets past the one door."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from control_fakes import FakeEngine, Wall, context, position

from otrade_bot.control.auth import Role
from otrade_bot.control.commands import Context, Heard, Table, answer, parse
from otrade_bot.control.confirm import Confirmations, Verdict
from otrade_bot.control.handlers import COMMANDS
from otrade_bot.control.words import WIDTH
from otrade_bot.core.errors import CommandException

FIRST_RELEASE = (
    "start help status positions orders trades pnl pause resume flatten config health logs version why"
)
LIVE = "mode login force claim"
PICTURES = "chart daily weekly monthly performance"
PEOPLE = "users code"
NEWS = "mute language"
SIGNALS = "signals approve skip"
LEVELS = "close sl target later"
SETTINGS = "risk set reload strategies"
PHONE, AUDIT = "card keyboard", "audit"
OPERATOR = {"pause", "resume", "flatten", "force", "claim", "approve", "skip", "close", "sl", "target", "later"}
ADMIN = {"mode", "login", "users", "set", "reload", "strategies", "audit"}


def say(ctx: Context, line: str) -> str:
    return asyncio.run(answer(ctx, line)).to_plain()


def line_of(name: str) -> str:
    return f"/{name} M&M" if name in ("why", "force", "claim", "chart", "close", "sl", "target") else f"/{name}"


def test_the_first_release_has_its_commands() -> None:
    every = f"{FIRST_RELEASE} {LIVE} {PICTURES} {PEOPLE} {NEWS} {SIGNALS} {LEVELS} {SETTINGS} {PHONE} {AUDIT}"
    assert {command.name for command in COMMANDS} == set(every.split())
    assert all(command.help for command in COMMANDS)


def test_the_role_matrix_holds_for_every_command() -> None:
    print(f"{'command':12}" + "".join(f"{role.word:>10}" for role in Role))
    for command in COMMANDS:
        needed = Role.ADMIN if command.name in ADMIN else Role.OPERATOR if command.name in OPERATOR else Role.VIEWER
        verdicts = []
        for role in Role:
            engine, heard = FakeEngine(6), list[Heard]()
            said = say(context(engine, role, heard=heard), line_of(command.name))
            verdicts.append(heard[-1].outcome)
            assert heard[-1].outcome == ("allowed" if role >= needed else "denied")
            assert ("needs the role" in said) == (role < needed)
            assert engine.calls == [] or role >= needed
        print(f"{command.name:12}" + "".join(f"{verdict:>10}" for verdict in verdicts))


def test_a_viewer_cannot_confirm_what_an_operator_asked() -> None:
    engine, confirmations = FakeEngine(3), Confirmations(Wall())
    say(context(engine, Role.OPERATOR, confirmations=confirmations), "/flatten")
    assert "needs the role operator" in say(
        context(engine, Role.VIEWER, confirmations=confirmations), "/flatten yes"
    )
    assert engine.calls == []


def test_roles_are_read_by_name_and_unknown_ones_are_refused() -> None:
    assert [Role.of(role.word.upper()) for role in Role] == list(Role)
    with pytest.raises(ValueError, match="viewer, operator, admin"):
        Role.of("root")


@pytest.mark.parametrize(
    ("line", "name", "rest"),
    [
        ("/status", "status", []),
        ("status", "status", []),
        ("  /STATUS  ", "status", []),
        ("/flatten@Some_bot   yes", "flatten", ["yes"]),
        ("/ help", "help", []),
        ("/why NIFTY 50", "why", ["NIFTY", "50"]),
        ("", "", []),
        ("/", "", []),
        ("/@bot", "", []),
    ],
)
def test_lines_are_read_as_people_type_them(line: str, name: str, rest: list[str]) -> None:
    assert parse(line) == (name, rest)


@pytest.mark.parametrize(
    ("typed", "meant"), [("/stat", "/status"), ("positons", "/positions"), ("/flaten", "/flatten")]
)
def test_an_unknown_word_gets_the_nearest_command(typed: str, meant: str) -> None:
    engine = FakeEngine()
    said = say(context(engine), typed)
    assert "There is no command" in said
    assert meant in said
    assert engine.calls == []


@pytest.mark.parametrize("line", ["/qqqqqqqq", "", "   ", "/", "<b>", "/" + "x" * 5000, "\x00", "🙂"])
def test_nonsense_is_answered_with_a_way_out(line: str) -> None:
    assert "/help" in say(context(FakeEngine()), line)


@pytest.mark.parametrize(
    "line",
    [
        "/orders x",
        "/orders 0",
        "/orders 501",
        "/trades -1",
        "/logs 1 2",
        "/why",
        "/flatten maybe",
        "/status now",
    ],
)
def test_wrong_arguments_get_the_usage_and_do_nothing(line: str) -> None:
    engine, heard = FakeEngine(3), list[Heard]()
    said = say(context(engine, heard=heard), line)
    assert f"Usage: /{line.split()[0][1:]}" in said
    assert heard[-1].outcome == "usage"
    assert engine.calls == []


@pytest.mark.parametrize("name", FIRST_RELEASE.split())
def test_every_command_is_readable_and_sendable_with_ninety_positions(name: str) -> None:
    reply = asyncio.run(answer(context(FakeEngine(90)), line_of(name)))
    parts = reply.split(4096)
    assert parts
    assert all(len(part.to_html().encode("utf-16-le")) // 2 <= 4096 for part in parts)
    assert "<b>X" not in reply.to_html()
    assert reply.to_plain().startswith("PAPER · simulated prices\n")
    if name not in ("config", "logs"):
        tables = "\n".join(run.text for run in reply.runs if run.tags == ("pre",))
        assert max((len(line) for line in tables.split("\n")), default=0) <= WIDTH + 2


def test_help_is_sorted_by_what_it_is_about_and_shows_no_empty_topic() -> None:
    said = say(context(FakeEngine(), Role.VIEWER, session="telegram:7:7"), "/help")
    assert "\nTo look\n/status" in said
    assert "Pictures\n/chart" in said
    assert "To trade" not in said
    assert "half" not in said.splitlines()[-1], "what a viewer may not do is not offered"
    said = say(context(FakeEngine(), Role.ADMIN, session="telegram:7:7"), "/help")
    assert said.index("To trade\n/approve") < said.index("One position\n/close") < said.index("The machine\n/audit")
    assert said.endswith("sl 245 · target 260 · half · exit")


def test_help_of_one_command_is_how_it_is_written() -> None:
    assert "/sl SYMBOL [P1|P2|P3] PRICE|auto" in say(context(FakeEngine()), "/help sl")
    assert "/chart SYMBOL" in say(context(FakeEngine()), "/help /Chart")
    assert "There is no command /sl for you." in say(context(FakeEngine(), Role.VIEWER), "/help sl")
    assert "There is no command /nothing for you." in say(context(FakeEngine()), "/help nothing")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("exit SBIN", "/close"), ("/sell SBIN", "/close"), ("stop SBIN 800", "/sl or /pause"), ("/squareoff", "/flatten")],
)
def test_what_traders_call_it_elsewhere_is_understood_but_not_done(typed: str, meant: str) -> None:
    engine = FakeEngine(3)
    assert f"Did you mean {meant}" in say(context(engine), typed)
    assert engine.calls == []


@pytest.mark.parametrize("word", ["yes", "No"])
def test_a_bare_answer_is_told_where_the_button_is(word: str) -> None:
    engine = FakeEngine(3)
    assert "press the button under the question" in say(context(engine), word)
    assert engine.calls == []


@pytest.mark.parametrize(
    ("held", "lines"),
    [
        (("NSE:SBIN", "NSE:M&M"), ["/close NSE:M&M", "/sl NSE:M&M", "/close NSE:SBIN", "/sl NSE:SBIN"]),
        (tuple(f"NSE:S{n}" for n in range(5)), ["/close", "/sl"]),
    ],
)
def test_positions_can_be_closed_and_their_stops_seen_by_buttons(held: tuple[str, ...], lines: list[str]) -> None:
    engine = FakeEngine()
    engine.held = [position(symbol) for symbol in held]
    shown = asyncio.run(answer(context(engine, session="telegram:7:7"), "/positions"))
    assert [one.line for one in shown.actions] == lines
    assert engine.calls == []
    for other in (context(engine), context(engine, Role.VIEWER, session="telegram:9:9")):
        assert asyncio.run(answer(other, "/positions")).actions == ()


def test_what_is_not_ours_or_not_known_has_no_buttons() -> None:
    engine = FakeEngine()
    engine.held = [position("NSE:SBIN", external=True)]
    assert asyncio.run(answer(context(engine, session="telegram:7:7"), "/positions")).actions == ()
    engine.held = [position("NSE:SBIN")]
    engine.state = replace(engine.state, unread="the broker is away")
    assert asyncio.run(answer(context(engine, session="telegram:7:7"), "/positions")).actions == ()


def test_ninety_positions_are_all_there_grouped_by_symbol() -> None:
    engine = FakeEngine(90)
    said = say(context(engine), "/positions")
    assert sum(line.startswith(("P1 ", "P2 ", "P3 ")) for line in said.splitlines()) == 90
    assert "90 · 30 symbols" in said
    assert "M&M" in said


def test_status_tells_pause_every_block_and_what_is_left_of_the_limit() -> None:
    engine = FakeEngine(3)
    engine.state = replace(
        engine.state, paused=True, blocks=("prices are stale", "broker token missing"), unrealised=-400_000
    )
    said = say(context(engine), "/status")
    assert "entries PAUSED" in said
    assert "• paused by command" in said
    assert "• prices are stale" in said
    assert "• broker token missing" in said
    assert "Net               -₹2,810.60" in said
    assert "Loss limit ₹5,000.00 · ₹2,189.40 left" in said
    assert "12 dropped (9 repeated, 3 spike)" in said
    assert "₹2,40,000.00" in said


def test_status_tells_held_positions_apart_from_those_being_bought_and_not_ours() -> None:
    engine = FakeEngine(3)
    engine.state = replace(engine.state, held=2, external=1, phase="pre_open_entry")
    said = say(context(engine), "/status")
    assert "Positions 2 and 1 not ours · rungs taken 3 of 90" in said
    assert "Phase pre-open" in said


@pytest.mark.parametrize(("phase", "age_s", "old"), [("open", 16, True), ("open", 14, False), ("closed", 900, False)])
def test_status_says_that_prices_are_old_in_an_open_market(phase: str, age_s: int, old: bool) -> None:
    engine = FakeEngine(3)
    engine.state = replace(engine.state, phase=phase, feed_age_ns=age_s * 1_000_000_000)
    assert (": OLD" in say(context(engine), "/status")) is old


def test_status_says_how_late_messages_are_where_some_wait() -> None:
    late = replace(context(FakeEngine(3)), delivery=lambda: "3 messages wait, the oldest for 2 min 5 s")
    assert say(late, "/status").endswith("\n3 messages wait, the oldest for 2 min 5 s")
    assert "wait" not in say(context(FakeEngine(3)), "/status")


@pytest.mark.parametrize(
    ("mode", "feed", "top"),
    [
        ("paper", "simulated", "PAPER · simulated prices"),
        ("paper", "replay", "PAPER · recorded prices"),
        ("paper", "kite", "PAPER · kite prices"),
        ("live", "simulated", "LIVE · simulated prices"),
    ],
)
def test_every_answer_of_a_run_that_is_not_real_says_so(mode: str, feed: str, top: str) -> None:
    engine = FakeEngine(3)
    engine.state = replace(engine.state, mode=mode, feed=feed)
    for line in ("/status", "/nonsense", "/orders x", "/version", "/flatten"):
        assert say(context(engine), line).startswith(top + "\n")


def test_a_real_run_carries_no_label() -> None:
    engine = FakeEngine(3)
    engine.state = replace(engine.state, mode="live", feed="kite", broker="kite")
    assert say(context(engine), "/version") == "OTrade Bot 0.1.0"


def test_an_error_becomes_an_apology_without_its_detail_and_is_logged() -> None:
    engine, errors = FakeEngine(3), list[tuple[str, Exception]]()
    engine.broken = True
    said = say(context(engine, errors=errors), "/positions")
    assert "ZeroDivisionError" in said
    assert "secret detail" not in said
    assert "Traceback" not in said
    assert isinstance(errors[0][1], ZeroDivisionError)


def test_a_log_or_audit_that_fails_stands_in_nobodys_way() -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    engine = FakeEngine(3)
    broken = replace(context(engine), audit=fail, log_error=fail)
    assert "Entries are paused." in say(broken, "/pause")
    assert engine.calls == ["pause by owner <o>"]


def test_a_command_exception_is_told_in_its_own_words() -> None:
    def refuse(newest: int) -> list[str]:
        raise CommandException(f"no {newest} <lines>")

    reply = asyncio.run(answer(context(FakeEngine(), log=refuse), "/logs 7"))
    assert reply.to_html().endswith("no 7 &lt;lines&gt;")


def test_cancellation_is_not_swallowed() -> None:
    class Stuck(FakeEngine):
        async def flatten(self, by: str) -> str:
            raise asyncio.CancelledError

    ctx = context(Stuck(3))
    say(ctx, "/flatten")
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(answer(ctx, "/flatten yes"))


def test_pause_and_resume_say_what_was_and_what_still_blocks() -> None:
    engine = FakeEngine()
    engine.state = replace(engine.state, blocks=("prices are stale",))
    ctx = context(engine)
    assert "Entries are paused." in say(ctx, "/pause")
    assert "paused already" in say(ctx, "/pause")
    said = say(ctx, "/resume")
    assert "The pause is over." in said
    assert "still blocked" in said
    assert "prices are stale" in said


def test_config_and_logs_show_no_secret() -> None:
    assert "abcdef123456" not in say(context(FakeEngine()), "/config")
    leaky = context(FakeEngine(), log=lambda newest: ["x access_token=abcdef123456"])
    assert "abcdef123456" not in say(leaky, "/logs")
    leaky = context(FakeEngine(), log=lambda newest: ['{"event":"login","access_token":"abcdef123456"}'])
    assert "abcdef123456" not in say(leaky, "/logs")


def test_log_lines_are_words_and_not_json() -> None:
    logged = ('{"ts":"2026-09-16T09:20:07.416080+05:30","level":"warning","stream":"system","event":"command",'
              '"symbol":"NSE:SBIN","text":"","market_ns":1,"user":"partner","line":"/why SBIN","outcome":"allowed"}')
    ctx = context(FakeEngine(), log=lambda newest: [logged, "Traceback", "{}"])
    assert say(ctx, "/logs").endswith(
        "\n09:20:07 WARNING command SBIN user partner line /why SBIN outcome allowed\nTraceback\n{}"
    )


def test_what_somebody_writes_looks_like_no_log_line_of_its_own() -> None:
    line = "/x\n09:20:07 command user owner line /flatten yes"
    logged = json.dumps({"event": "command", "user": "guest", "line": line})
    ctx = context(FakeEngine(), log=lambda newest: [logged])
    assert say(ctx, "/logs").endswith("\ncommand user guest line /x 09:20:07 command user owner line /flatten yes")


def test_a_log_full_of_long_lines_stays_short_on_the_phone() -> None:
    logged = json.dumps({"event": "command", "user": "guest", "line": "/x" + "y" * 4000})
    said = say(context(FakeEngine(), log=lambda newest: [logged] * 500), "/logs 500")
    assert len(said) < 500 * 502 + 100
    assert said.endswith("yyy…")


def test_logs_gives_the_newest_lines_asked_for() -> None:
    ctx = context(FakeEngine(), log=lambda newest: [f"line {number}" for number in range(50)])
    assert say(ctx, "/logs 2").endswith("line 48\nline 49")


@pytest.mark.parametrize("word", ["M&M", "nse:m&m", " m&M "])
def test_why_finds_a_symbol_with_or_without_its_exchange(word: str) -> None:
    said = say(context(FakeEngine(6)), f"/why {word}")
    assert "Why M&M" in said
    assert "not warm: 150 of 200 bars" in said
    assert "Last look: buy" in said
    assert "capital: ₹0 < ₹3,000" in said


def test_why_offers_near_symbols_and_asks_where_a_name_is_on_two_exchanges() -> None:
    engine = FakeEngine()
    assert "Did you mean NSE:RELIANCE?" in say(context(engine), "/why RELIANSE")
    engine.followed = [*engine.followed, replace(engine.followed[0], symbol="BSE:RELIANCE")]
    assert "several exchanges: BSE:RELIANCE, NSE:RELIANCE" in say(context(engine), "/why reliance")


def test_health_names_what_is_not_well() -> None:
    engine = FakeEngine(6)
    engine.held[0] = replace(engine.held[0], stop_resting=False)
    said = say(context(engine), "/health")
    assert "!! Stops: 1 not resting at the broker: M&M P1" in said
    assert "!! Orders: 1 outcome unknown" in said
    assert "OK Feed" in said


class TestFlatten:
    def test_asks_first_and_names_every_position(self) -> None:
        engine = FakeEngine(90)
        reply = asyncio.run(answer(context(engine), "/flatten"))
        said = reply.to_plain()
        assert engine.calls == []
        assert "Close 90 positions?" in said
        for symbol in {one.symbol for one in engine.held}:
            assert symbol.removeprefix("NSE:")[:30] in said
        assert [action.line.rpartition(" ")[0] for action in reply.actions] == ["/flatten yes", "/flatten no"]

    def test_does_it_on_yes_and_tells_the_engines_words(self) -> None:
        engine = FakeEngine(3)
        ctx = context(engine)
        say(ctx, "/flatten")
        assert "Flat: the broker's book shows nothing." in say(ctx, "flatten YES".lower())
        assert engine.calls == ["flatten by owner <o>"]

    def test_names_what_is_still_held(self) -> None:
        class Locked(FakeEngine):
            async def flatten(self, by: str) -> str:
                return "not flat: NSE:M&M"

        ctx = context(Locked(3))
        say(ctx, "/flatten")
        assert "Still held: 3 positions" in say(ctx, "/flatten yes")

    def test_a_yes_counts_once(self) -> None:
        engine = FakeEngine(3)
        ctx = context(engine)
        say(ctx, "/flatten")
        say(ctx, "/flatten yes")
        assert "no question of yours is open" in say(ctx, "/flatten yes")
        assert len(engine.calls) == 1

    def test_a_yes_to_nothing_asks_instead(self) -> None:
        engine = FakeEngine(3)
        said = say(context(engine), "/flatten yes")
        assert "Close 3 positions?" in said
        assert engine.calls == []

    @pytest.mark.parametrize(("later", "done"), [(30.0, True), (30.1, False)])
    def test_a_late_yes_closes_nothing_and_asks_again(self, later: float, done: bool) -> None:
        engine, wall = FakeEngine(3), Wall()
        ctx = context(engine, confirmations=Confirmations(wall))
        say(ctx, "/flatten")
        wall.now += later
        said = say(ctx, "/flatten yes")
        assert bool(engine.calls) == done
        assert done or ("Too late" in said and "Close 3 positions?" in said)

    def test_a_changed_list_is_shown_and_asked_again(self) -> None:
        engine = FakeEngine(3)
        ctx = context(engine)
        say(ctx, "/flatten")
        engine.held.append(position("NSE:INFY"))
        said = say(ctx, "/flatten yes")
        assert "have changed" in said
        assert "INFY" in said
        assert engine.calls == []
        say(ctx, "/flatten yes")
        assert len(engine.calls) == 1

    def test_a_stop_that_went_off_meanwhile_needs_no_second_question(self) -> None:
        engine = FakeEngine(3)
        ctx = context(engine)
        say(ctx, "/flatten")
        engine.held = engine.held[:1]
        say(ctx, "/flatten yes")
        assert len(engine.calls) == 1

    def test_a_grown_quantity_is_shown_and_asked_again(self) -> None:
        engine = FakeEngine(1)
        ctx = context(engine)
        say(ctx, "/flatten")
        engine.held = [replace(engine.held[0], quantity=engine.held[0].quantity + 1)]
        assert "have changed" in say(ctx, "/flatten yes")
        assert engine.calls == []

    def test_moving_prices_and_stops_change_nothing_about_the_question(self) -> None:
        engine = FakeEngine(3)
        ctx = context(engine)
        say(ctx, "/flatten")
        engine.held = [replace(one, ltp=one.ltp + 5, stop=one.stop + 5) for one in engine.held]
        say(ctx, "/flatten yes")
        assert len(engine.calls) == 1

    def test_nobody_confirms_for_another(self) -> None:
        engine, confirmations = FakeEngine(3), Confirmations(Wall())
        say(context(engine, session="telegram:7:7", confirmations=confirmations), "/flatten")
        other = context(engine, session="telegram:8:8", confirmations=confirmations)
        assert "no question of yours is open" in say(other, "/flatten yes")
        assert engine.calls == []

    def test_an_old_button_does_nothing_and_the_newer_one_works(self) -> None:
        engine = FakeEngine(3)
        ctx = context(engine)
        old = asyncio.run(answer(ctx, "/flatten")).actions[0].line
        new = asyncio.run(answer(ctx, "/flatten")).actions[0].line
        assert "no question of yours is open" in say(ctx, old)
        assert engine.calls == []
        say(ctx, new)
        assert len(engine.calls) == 1

    def test_no_takes_the_question_back(self) -> None:
        engine = FakeEngine(3)
        ctx = context(engine)
        say(ctx, "/flatten")
        assert "Nothing was closed." in say(ctx, "/flatten no")
        say(ctx, "/flatten yes")
        assert engine.calls == []

    def test_works_without_known_positions_and_while_paused(self) -> None:
        engine = FakeEngine()
        engine.state = replace(engine.state, paused=True)
        ctx = context(engine)
        assert "No open position is known here." in say(ctx, "/flatten")
        say(ctx, "/flatten yes")
        assert len(engine.calls) == 1


def test_two_commands_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        Table([*COMMANDS, next(iter(COMMANDS))])


@pytest.mark.parametrize("word", ["Yes", "YES", "yEs"])
def test_a_yes_counts_however_the_phone_writes_it(word: str) -> None:
    engine, confirmations = FakeEngine(3), Confirmations(Wall())
    say(context(engine, confirmations=confirmations), "/flatten")
    assert "Flat:" in say(context(engine, confirmations=confirmations), f"/flatten {word}")


@pytest.mark.parametrize("window", ["wait for 09:15", "are over for the day"])
def test_entries_are_not_said_to_be_allowed_where_the_clock_has_none(window: str) -> None:
    engine = FakeEngine()
    engine.state = replace(engine.state, paused=True, window=window)
    said = say(context(engine), "/resume")
    assert "Entries are allowed" not in said
    assert f"by the clock they {window}" in said
    assert f"entries {window}" in say(context(engine), "/status")


def test_a_flatten_that_is_to_come_is_said_to_who_resumes_and_who_looks() -> None:
    engine = FakeEngine()
    engine.state = replace(engine.state, flatten="A flatten is queued.")
    for line in ("/resume", "/status"):
        assert "A flatten is queued." in say(context(engine), line)


def test_the_question_counts_only_what_a_flatten_closes() -> None:
    engine = FakeEngine(1)
    engine.held.append(replace(position("NSE:FOREIGN"), external=True))
    said = say(context(engine), "/flatten")
    assert "Close 1 position?" in said
    assert "1 more is not ours and is left alone." in said
    engine.held = engine.held[1:]
    assert "Flatten? No open position of ours is known here." in say(context(engine), "/flatten")


def test_a_yes_that_came_before_the_question_had_reached_the_chat_closes_nothing() -> None:
    engine, confirmations = FakeEngine(3), Confirmations(Wall(), travels=True)
    ctx = context(engine, confirmations=confirmations)
    question = asyncio.run(answer(ctx, "/flatten"))
    assert "came before the question had reached you" in say(ctx, "/flatten yes")
    assert engine.calls == []
    confirmations.seen(question.actions[0].line.split()[-1])
    say(ctx, "/flatten yes")
    assert len(engine.calls) == 1


def test_questions_that_nobody_answers_are_not_kept_for_ever() -> None:
    wall = Wall()
    asked = Confirmations(wall)
    for number in range(1000):
        asked.ask("telegram:7:7", f"/sl NSE:SBIN {number}", number)
        wall.now += 1
    assert len(asked._open) <= 231
    assert asked.answer("telegram:7:7", "/sl NSE:SBIN 999", lambda shown: shown == 999) is Verdict.CONFIRMED
    assert asked.answer("telegram:7:7", "/sl NSE:SBIN 990", lambda shown: shown == 990) is Verdict.CONFIRMED
