"""Who may finish a login, how often, and with which account: a stranger's token never gets in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pytest
from login_room import ASHA, EIGHT, GROUP, KITE_USER, RAVI, UPSTOX_USER, LoginRoom, login_room

from otrade_bot.brokers import vault
from otrade_bot.brokers.tokens import Token
from otrade_bot.core.clock import SECOND
from otrade_bot.core.errors import CommandException
from otrade_bot.core.masking import forget_secrets
from otrade_bot.service.login_desk import SECONDS
from tests.venues.kite import Kite
from tests.venues.upstox import UpstoxApi

BROKERS = ("kite", "upstox")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(vault, "COST", 2**4)
    yield
    forget_secrets()


@pytest.fixture(autouse=True)
def written(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Whatever a test did: no log line of any library has a secret in it, were it at its loudest."""
    caplog.set_level(logging.DEBUG)
    yield caplog
    for secret in (Kite.SECRET, UpstoxApi.SECRET, "loopbackrequest", "loopbacktoken", "upstox-token-for-tests"):
        assert secret not in caplog.text


def changed(address: str, **fields: str | None) -> str:
    """The address with other fields; None takes one away."""
    parts = urlsplit(address)
    query = {**dict(parse_qsl(parts.query)), **fields}
    return urlunsplit(parts._replace(query=urlencode({k: v for k, v in query.items() if v is not None})))


def asked(room: LoginRoom) -> int:
    """How often a broker was asked for a token."""
    return room.kite.hits("session") + len(room.upstox.called("token"))


async def refused(room: LoginRoom, address: str, session: str = ASHA) -> str:
    """Why the desk will not have it; nothing was asked, nothing kept."""
    before = asked(room)
    with pytest.raises(CommandException) as caught:
        await room.desk.finish(address, session)
    assert asked(room) == before
    assert room.tokens == []
    assert not room.store.path.exists()
    return str(caught.value)


@pytest.mark.parametrize("broker", BROKERS)
async def test_a_login_is_kept_and_given_to_the_service_once(tmp_path: Path, broker: str) -> None:
    async with login_room(tmp_path) as room:
        user = KITE_USER if broker == "kite" else UPSTOX_USER
        said = await room.log_in(broker)
        hour = "06:00" if broker == "kite" else "03:30"
        assert said == (
            f"Logged in to {broker.capitalize()} as {user}. The token holds until Tue 24 Nov {hour} IST."
        )
        [(name, token)] = room.tokens
        assert (name, token.user) == (broker, user)
        assert room.store.load(broker) == token


async def test_without_a_name_it_is_the_broker_that_takes_the_orders(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        assert (await room.desk.begin(ASHA)).broker == "kite"
        with pytest.raises(CommandException, match="There is a login for kite and upstox here"):
            await room.desk.begin(ASHA, "zerodha")


@pytest.mark.parametrize("broker", BROKERS)
async def test_an_address_is_good_once(tmp_path: Path, broker: str) -> None:
    async with login_room(tmp_path) as room:
        page = await room.desk.begin(ASHA, broker)
        back = room.browse(broker, page.url)
        await room.desk.finish(back, ASHA)
        again = room.browse(broker, page.url)  # a fresh code, the old state
        with pytest.raises(CommandException, match="No open login of yours has that state"):
            await room.desk.finish(again, ASHA)
        assert len(room.tokens) == asked(room) == 1


@pytest.mark.parametrize("broker", BROKERS)
async def test_a_state_that_is_wrong_missing_or_of_nobody_is_refused(tmp_path: Path, broker: str) -> None:
    async with login_room(tmp_path) as room:
        back = room.browse(broker, (await room.desk.begin(ASHA, broker)).url)
        assert "no state in it" in await refused(room, changed(back, state=None))
        assert "no state in it" in await refused(room, changed(back, state=""))
        assert "No open login of yours" in await refused(room, changed(back, state="guessed"))
        assert "No open login of yours" in await refused(room, changed(back, state="ü&\u2028"))
        assert (await room.desk.finish(back, ASHA)).said.startswith("Logged in")  # all that took nothing from it


@pytest.mark.parametrize("broker", BROKERS)
async def test_another_persons_state_is_refused_and_has_leaked_so_it_is_good_for_nobody(
    tmp_path: Path, broker: str
) -> None:
    async with login_room(tmp_path) as room:
        back = room.browse(broker, (await room.desk.begin(ASHA, broker)).url)
        await room.desk.begin(RAVI, broker)
        assert "No open login of yours" in await refused(room, back, RAVI)
        assert "No open login of yours" in await refused(room, back, ASHA)


async def test_a_stranger_who_never_began_plants_nothing(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        await refused(room, f"https://127.0.0.1/?request_token={room.kite.request_token}&status=success")
        page = await room.desk.came_back(f"request_token={room.kite.request_token}&status=success")
        assert page == "This is no address of a login that was begun here. Nothing was done."
        page = await room.desk.came_back(f"request_token={room.kite.request_token}&state=x&status=success")
        assert "No open login of yours has that state" in page
        assert asked(room) == 0


async def test_an_address_of_eleven_minutes_ago_is_too_late(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        back = room.browse("kite", (await room.desk.begin(ASHA, "kite")).url)
        room.now += SECONDS
        assert "Too late: an address counts for 10 min" in await refused(room, back)


async def test_asking_again_makes_the_older_address_worthless(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        older = await room.desk.begin(ASHA, "kite")
        newer = await room.desk.begin(ASHA, "kite")
        assert older.url != newer.url
        await refused(room, room.browse("kite", older.url))
        assert (await room.desk.finish(room.browse("kite", newer.url), ASHA)).said.startswith("Logged in")


async def test_one_brokers_code_under_the_other_brokers_state_is_refused(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        kite = room.browse("kite", (await room.desk.begin(ASHA, "kite")).url)
        upstox = room.browse("upstox", (await room.desk.begin(ASHA, "upstox")).url)
        state = dict(parse_qsl(urlsplit(kite).query))["state"]
        await refused(room, changed(upstox, state=state))


@pytest.mark.parametrize("session", [GROUP, "telegram:7:8"])
async def test_in_a_group_no_login_begins_for_all_would_see_its_state(tmp_path: Path, session: str) -> None:
    async with login_room(tmp_path, listening=True) as room:
        for begin in (room.desk.begin(session, "kite"), room.desk.approve(session, "upstox")):
            with pytest.raises(CommandException, match="private chat"):
                await begin
        assert room.upstox.approvals == []


async def test_a_login_that_was_cancelled_at_the_broker_is_said_so_and_used_up(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        back = room.browse("kite", (await room.desk.begin(ASHA, "kite")).url)
        assert "not completed" in await refused(room, changed(back, status="cancelled"))
        await refused(room, back)


async def test_a_code_alone_counts_at_a_terminal_and_never_in_a_chat(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        for session in (ASHA, "terminal"):
            page = await room.desk.begin(session, "kite")
            room.browse("kite", page.url)
        await refused(room, room.kite.request_token, ASHA)
        end = await room.desk.finish(room.kite.request_token, "terminal")
        assert end.said.startswith("Logged in to Kite as AB1234.")


@pytest.mark.parametrize("broker", BROKERS)
async def test_a_broker_that_refuses_is_quoted_without_a_secret_and_nothing_is_kept(
    tmp_path: Path, broker: str
) -> None:
    async with login_room(tmp_path) as room:
        back = room.browse(broker, (await room.desk.begin(ASHA, broker)).url)
        name = "request_token" if broker == "kite" else "code"
        with pytest.raises(CommandException, match=r"refuses the login .*Send /login for a new address") as caught:
            await room.desk.finish(changed(back, **{name: "somebody-elses-code"}), ASHA)
        assert "somebody-elses" not in str(caught.value)
        assert room.tokens == []


# --- whose account it is ----------------------------------------------------------------------------


async def test_another_account_is_kept_out_until_an_admin_says_yes(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        await room.log_in("kite")
        [(_, first)] = room.tokens
        room.kite.profile["user_id"] = "ZZ9999"
        room.kite.expire()
        page = await room.desk.begin(ASHA, "kite")
        end = await room.desk.finish(room.browse("kite", page.url), ASHA)
        assert end.account == "ZZ9999"
        assert "until now it was AB1234. Nothing was changed." in end.said
        assert room.store.load("kite") == first
        assert len(room.tokens) == 1
        assert room.desk.waiting(RAVI) == ""
        with pytest.raises(CommandException, match="No other account waits"):
            await room.desk.accept(RAVI)
        assert "as ZZ9999" in await room.desk.accept(ASHA)
        assert room.tokens[-1][1].user == "ZZ9999"
        with pytest.raises(CommandException, match="No other account waits"):
            await room.desk.accept(ASHA)


@pytest.mark.parametrize("end", ["no", "late"])
async def test_another_accounts_token_is_forgotten_by_a_no_and_by_time(tmp_path: Path, end: str) -> None:
    async with login_room(tmp_path) as room:
        await room.log_in("kite")
        room.kite.profile["user_id"] = "ZZ9999"
        await room.log_in("kite")
        if end == "no":
            assert room.desk.drop(ASHA)
            assert not room.desk.drop(ASHA)
        else:
            room.now += SECONDS
        assert room.desk.waiting(ASHA) == ""
        with pytest.raises(CommandException):
            await room.desk.accept(ASHA)
        found = room.store.load("kite")
        assert found is not None
        assert found.user == KITE_USER


async def test_of_two_first_logins_at_once_the_second_account_waits_for_a_yes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two admins, no account known so far, and a disk that is slow."""
    async with login_room(tmp_path) as room:
        whose = {ASHA: KITE_USER, RAVI: "ZZ9999"}
        begun = {who: (await room.desk.begin(who, "kite")).url for who in whose}
        tokens = {who: Token(f"the-token-of-{user}", user, EIGHT, EIGHT + SECOND) for who, user in whose.items()}
        monkeypatch.setattr(
            type(room.desk._logins["kite"]), "exchange", lambda self, code: _soon(tokens[begun_by.pop(0)])
        )
        begun_by = [ASHA, RAVI]
        pasted = {who: room.browse("kite", url) for who, url in begun.items()}
        ends = await asyncio.gather(*(room.desk.finish(pasted[who], who) for who in whose))
        assert [end.account for end in ends] == ["", "ZZ9999"]
        assert [token.user for _, token in room.tokens] == [KITE_USER]
        found = room.store.load("kite")
        assert found is not None
        assert found.user == KITE_USER


async def _soon(token: Token) -> Token:
    await asyncio.sleep(0)
    return token


async def test_yesterdays_expired_token_still_says_whose_account_it_is(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        room.store.save("kite", Token("yesterdays-token", "ZZ9999", 1, 2))
        page = await room.desk.begin(ASHA, "kite")
        assert (await room.desk.finish(room.browse("kite", page.url), ASHA)).account == KITE_USER


# --- what would fail at the end is said at the beginning --------------------------------------------


async def test_a_key_that_does_not_fit_is_said_before_anybody_logs_in(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        room.store.save("kite", Token("yesterdays-token", "ZZ9999", 1, 2))
        room.desk._store = type(room.store)(room.store.path, "another key")
        with pytest.raises(CommandException, match="another OTRADE_SECRET_KEY"):
            await room.desk.begin(ASHA, "kite")
        room.desk._store = type(room.store)(room.store.path, "")
        with pytest.raises(CommandException, match="OTRADE_SECRET_KEY: is not set"):
            await room.desk.begin(ASHA, "kite")


async def test_a_missing_app_secret_is_named_before_anybody_logs_in(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        room.secrets = room.secrets.model_copy(update={"kite_api_secret": None})
        with pytest.raises(CommandException, match="OTRADE_KITE_API_SECRET: is not set"):
            await room.desk.begin(ASHA, "kite")


async def test_a_service_that_cannot_take_the_token_up_loses_neither_token_nor_words(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:

        async def fails(broker: str, token: Token) -> str:
            raise ZeroDivisionError(f"in the service, with {token.value}")

        room.desk.on_token = fails
        said = await room.log_in("kite")
        assert "Logged in to Kite" in said
        assert "could not take it up (ZeroDivisionError)" in said
        assert room.kite.token not in said
        assert room.store.load("kite") is not None


async def test_what_the_service_says_of_the_token_is_said_on(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:

        async def takes(broker: str, token: Token) -> str:
            return "Entries are allowed again."

        room.desk.on_token = takes
        assert (await room.log_in("upstox")).endswith("IST. Entries are allowed again.")


async def test_a_crowd_of_open_logins_is_bounded_and_old_ones_make_room(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        for number in range(32):
            await room.desk.begin(f"telegram:{number}:{number}", "upstox")
        with pytest.raises(CommandException, match="Too many logins"):
            await room.desk.begin("telegram:99:99", "upstox")
        room.now += SECONDS
        await room.desk.begin("telegram:99:99", "upstox")


# --- the browser comes back by itself ---------------------------------------------------------------


async def test_the_browser_that_comes_back_finishes_the_login_and_the_admins_hear_of_it(tmp_path: Path) -> None:
    async with login_room(tmp_path, listening=True) as room:
        page = await room.desk.begin(ASHA, "kite")
        assert page.comes_back
        query = urlsplit(room.browse("kite", page.url)).query
        assert "Logged in to Kite as AB1234" in await room.desk.came_back(query)
        assert "Logged in to Kite as AB1234" in room.said()
        assert "No open login of yours" in await room.desk.came_back(query)
        assert len(room.tokens) == 1


async def test_who_is_no_admin_any_more_finishes_no_login_that_he_has_begun(tmp_path: Path) -> None:
    """A thief who is thrown out meanwhile plants no account of his, not even where none was known."""
    async with login_room(tmp_path, listening=True) as room:
        his = room.browse("kite", (await room.desk.begin(ASHA, "kite")).url)
        other = room.browse("kite", (await room.desk.begin(RAVI, "kite")).url)
        room.desk.forget(7)
        assert "No open login of yours" in await room.desk.came_back(urlsplit(his).query)
        assert asked(room) == 0
        assert "Logged in" in await room.desk.came_back(urlsplit(other).query)
        await room.desk.begin(ASHA, "upstox")
        await room.desk.approve(ASHA, "upstox")
        room.desk.forget(7)
        token = {"client_id": UpstoxApi.API_KEY, "access_token": "upstox-token-for-tests"}
        await room.desk.delivered({**token, "message_type": "access_token"})
        assert [name for name, _ in room.tokens] == ["kite"]
        assert room.desk.waiting(ASHA) == ""


async def test_a_stranger_who_guesses_states_disturbs_nobody(
    tmp_path: Path, written: pytest.LogCaptureFixture
) -> None:
    async with login_room(tmp_path, listening=True) as room:
        page = await room.desk.begin(ASHA, "kite")
        before = len(written.records)
        for number in range(100):
            await room.desk.came_back(f"request_token=guessed-{number}&state=guess-{number}&status=success")
        assert room.told == []
        assert len(written.records) == before
        assert asked(room) == 0
        assert "Logged in" in await room.desk.came_back(urlsplit(room.browse("kite", page.url)).query)


async def test_a_login_that_fails_when_the_browser_comes_back_is_told_on_the_phone(tmp_path: Path) -> None:
    async with login_room(tmp_path, listening=True) as room:
        page = await room.desk.begin(ASHA, "kite")
        back = changed(room.browse("kite", page.url), request_token="somebody-elses-code")
        assert "refuses the login" in await room.desk.came_back(urlsplit(back).query)
        assert "Login failed: Kite refuses the login" in room.said()


async def test_another_account_that_comes_back_waits_for_the_one_who_began(tmp_path: Path) -> None:
    async with login_room(tmp_path, listening=True) as room:
        await room.log_in("upstox")
        room.store.save("upstox", Token("yesterdays-token", "ZZ9999", 1, 2))
        page = await room.desk.begin(ASHA, "upstox")
        said = await room.desk.came_back(urlsplit(room.browse("upstox", page.url)).query)
        assert "Send /login to decide." in said
        assert room.desk.waiting(ASHA) == UPSTOX_USER
        assert len(room.tokens) == 1


# --- consent in Upstox's app ------------------------------------------------------------------------


def notice(room: LoginRoom, **changes: object) -> dict[str, object]:
    return {
        "client_id": UpstoxApi.API_KEY, "user_id": UPSTOX_USER, "access_token": room.upstox.token,
        "token_type": "Bearer", "expires_at": "1795392000000", "issued_at": "1795350000000",
        "message_type": "access_token", **changes,
    }  # fmt: skip


async def test_consent_in_the_app_brings_the_token_of_the_known_account(tmp_path: Path) -> None:
    async with login_room(tmp_path, listening=True) as room:
        room.store.save("upstox", Token("yesterdays-token", UPSTOX_USER, 1, 2))
        assert "asks you in its app" in await room.desk.approve(ASHA, "upstox")
        assert room.upstox.approvals == [{"client_secret": UpstoxApi.SECRET}]
        await room.desk.delivered(notice(room))
        assert [token.user for _, token in room.tokens] == [UPSTOX_USER]
        assert "Logged in to Upstox" in room.said()
        await room.desk.delivered(notice(room))
        assert len(room.tokens) == 1


async def test_a_delivered_token_of_an_account_nobody_knows_waits_for_a_yes(tmp_path: Path) -> None:
    async with login_room(tmp_path, listening=True) as room:
        await room.desk.approve(ASHA, "upstox")
        await room.desk.delivered(notice(room))
        assert room.tokens == []
        assert room.desk.waiting(ASHA) == UPSTOX_USER
        assert "no account was known before" in room.said()


async def test_a_token_that_nobody_asked_for_is_not_even_tried(tmp_path: Path) -> None:
    async with login_room(tmp_path, listening=True) as room:
        await room.desk.delivered(notice(room))
        await room.desk.approve(ASHA, "upstox")
        room.now += SECONDS
        await room.desk.delivered(notice(room))
        assert room.upstox.called("profile") == []
        assert room.tokens == []


@pytest.mark.parametrize(
    "told",
    [None, [], "x", {}, {"client_id": "another-app"}, {"message_type": "order"}, {"access_token": 7},
     {"access_token": ""}],
)  # fmt: skip
async def test_what_is_no_answer_to_our_question_leaves_it_open(tmp_path: Path, told: object) -> None:
    async with login_room(tmp_path, listening=True) as room:
        room.store.save("upstox", Token("yesterdays-token", UPSTOX_USER, 1, 2))
        await room.desk.approve(ASHA, "upstox")
        await room.desk.delivered({**notice(room), **told} if isinstance(told, dict) and told else told)
        assert room.tokens == []
        await room.desk.delivered(notice(room))
        assert len(room.tokens) == 1


async def test_a_forged_token_is_unmasked_by_the_profile(tmp_path: Path) -> None:
    async with login_room(tmp_path, listening=True) as room:
        await room.desk.approve(ASHA, "upstox")
        await room.desk.delivered(notice(room, access_token="a-forged-token"))
        assert room.tokens == []
        assert "Login failed: Upstox refuses the profile" in room.said()


async def test_consent_needs_an_upstox_app_and_a_place_for_its_token(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        with pytest.raises(CommandException, match=r"login\.listen is not set"):
            await room.desk.approve(ASHA, "upstox")
        with pytest.raises(CommandException, match="Kite knows no consent"):
            await room.desk.approve(ASHA, "kite")
        assert room.upstox.approvals == []
