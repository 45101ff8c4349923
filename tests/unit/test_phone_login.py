"""A login by phone, from the button to the token: nothing secret stays in the chat, or is written anywhere."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from login_room import ASHA, LoginRoom, login_room
from phone_desk import CLERK, DESK, GUEST, OWNER, STRANGER, Desk, desk

from otrade_bot.brokers import vault
from otrade_bot.core.masking import forget_secrets
from otrade_bot.core.redirects import PASTED
from tests.venues.telegram import BadRequest, Forbidden, Hang, Reset, Sent, TooMany

BROKERS = ("kite", "upstox")
#: A code without its address.
ALONE = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(vault, "COST", 2**4)
    yield
    forget_secrets()


@dataclass
class At:
    """A phone on a desk with real logins behind it."""

    desk: Desk
    room: LoginRoom
    folder: Path

    async def button(self, words: str = "/login", number: int = 1) -> str:
        """Where the button of the answer leads."""
        self.desk.api.say(OWNER, words)
        sent = (await self.desk.said(number))[-1]
        [address] = [button.url for button in sent.buttons]
        assert address is not None
        return address

    def secrets_in(self, address: str) -> set[str]:
        query = dict(parse_qsl(urlsplit(address).query))
        return {query[name] for name in ("request_token", "code", "state") if name in query}

    def records(self) -> str:
        """All that was written or said anywhere, but for the button itself."""
        desk = self.desk
        said = [f"{version.text}{version.html}" for sent in desk.api.sent for version in sent.versions]
        files = [path.read_text() for path in self.folder.rglob("*") if path.is_file() and path.name != "tokens.json"]
        return "\n".join([*said, *files, *desk.logged, repr(desk.heard), repr(desk.errors), self.room.said()])


@asynccontextmanager
async def phone(folder: Path, **options: object) -> AsyncIterator[At]:
    async with login_room(folder) as room, desk(folder, **options) as made:
        made.login = room.desk
        yield At(made, room, folder)


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    caplog.set_level(logging.INFO)
    yield caplog
    for secret in ("loopbackrequest", "loopbacktoken", "request_token=", "upstox-token-for-tests"):
        assert secret not in caplog.text


@pytest.mark.parametrize("broker", BROKERS)
async def test_a_button_leads_to_the_broker_and_what_is_pasted_back_is_removed_and_logs_in(
    tmp_path: Path, broker: str
) -> None:
    async with phone(tmp_path) as at:
        address = await at.button(f"/login {broker}")
        pasted = at.room.browse(broker, address)
        at.desk.api.say(OWNER, pasted)
        said = (await at.desk.said(2))[1]
        assert f"Logged in to {broker.capitalize()} as" in said.text
        await at.desk.api.until(lambda: at.desk.api.deleted)
        assert at.desk.api.deleted == [(OWNER, pasted)]
        assert at.desk.api.written(OWNER) == [f"/login {broker}"]
        [(name, token)] = at.room.tokens
        assert name == broker
        everything = at.records()
        for secret in (*at.secrets_in(pasted), token.value, pasted):
            assert secret not in everything
        assert [(one.line, one.command, one.outcome) for one in at.desk.heard] == [
            ("/login", "login", "allowed"), (PASTED, "login", "allowed"),
        ]  # fmt: skip


@pytest.mark.parametrize("form", ["/login {}", "/login@otrade_loopback_bot {}", "here it is:\n{}", "<{}>", " {} "])
async def test_the_address_is_found_in_whatever_was_pasted_around_it(tmp_path: Path, form: str) -> None:
    async with phone(tmp_path) as at:
        pasted = form.format(at.room.browse("kite", await at.button()))
        at.desk.api.say(OWNER, pasted)
        assert "Logged in to Kite" in (await at.desk.said(2))[1].text
        await at.desk.api.until(lambda: at.desk.api.deleted == [(OWNER, pasted)])


async def test_the_answer_itself_has_no_state_in_its_words_and_goes_to_the_asker_alone(tmp_path: Path) -> None:
    async with phone(tmp_path) as at:
        address = await at.button()
        state = dict(parse_qsl(dict(parse_qsl(urlsplit(address).query))["redirect_params"]))["state"]
        assert len(state) >= 40
        assert state not in at.records()
        assert {sent.chat_id for sent in at.desk.api.sent} == {OWNER}


async def test_the_buttons_address_waits_in_no_file_while_telegram_is_away(tmp_path: Path) -> None:
    async with phone(tmp_path) as at:
        at.desk.api.fail("sendMessage", Reset(), 3)
        at.desk.api.say(OWNER, "/login")
        sent = (await at.desk.said(1))[0]  # by the outbox
        assert sent.buttons == []
        assert "No button? Send /login again." in sent.text
        assert "redirect_params" not in at.records()


async def test_in_a_group_no_login_begins(tmp_path: Path) -> None:
    async with phone(tmp_path) as at:
        at.desk.api.say(OWNER, "/login", DESK)
        [sent] = await at.desk.said(1, DESK)
        assert "private chat" in sent.text
        assert sent.buttons == []


async def test_an_address_that_is_pasted_into_a_group_is_to_go_and_good_for_nobody(tmp_path: Path) -> None:
    """Whoever reads it could send the browser's way home with a code of his own account."""
    async with phone(tmp_path) as at:
        pasted = at.room.browse("kite", await at.button())
        at.desk.api.say(OWNER, "see https://example.com/?code=NIFTY50", DESK)  # talk
        at.desk.api.say(OWNER, pasted, DESK)
        said = "\n".join(sent.text for sent in await at.desk.said(2, DESK))
        assert "nothing was done with it" in said
        assert "Delete your message yourself" in said  # a bot that is no admin there may not
        leaked = urlsplit(pasted).query.replace("loopbackrequest1", "a-strangers-code")
        assert "No open login of yours has that state" in await at.room.desk.came_back(leaked)
        at.desk.api.say(OWNER, pasted)
        assert "No open login of yours has that state" in (await at.desk.said(2))[1].text
        assert at.room.tokens == []
        assert not at.secrets_in(pasted) & set(at.records().split())


@pytest.mark.parametrize(("who", "role"), [(CLERK, "operator"), (GUEST, "viewer")])
async def test_nobody_below_an_admin_logs_in_or_finishes_anothers_login(tmp_path: Path, who: int, role: str) -> None:
    async with phone(tmp_path) as at:
        pasted = at.room.browse("kite", await at.button())
        at.desk.api.say(who, "/login")
        at.desk.api.say(who, pasted)
        for sent in await at.desk.said(2, who):
            assert f"/login needs the role admin; you are {role}." in sent.text
        await at.desk.api.until(lambda: at.desk.api.deleted)
        assert at.desk.api.deleted == [(who, pasted)]
        assert at.room.tokens == []
        assert not at.secrets_in(pasted) & set(at.records().split())


@pytest.mark.parametrize("alone", [False, True])
async def test_a_stranger_plants_nothing_and_his_words_are_not_repeated(tmp_path: Path, alone: bool) -> None:
    async with phone(tmp_path) as at:
        pasted = at.room.browse("kite", await at.button())
        at.desk.api.say(STRANGER, ALONE if alone else pasted)
        alert = (await at.desk.said(2))[1]
        assert "A stranger wrote" in alert.text
        assert at.room.tokens == []
        assert at.desk.api.to(STRANGER) == []
        for secret in (*at.secrets_in(pasted), ALONE):
            assert secret not in at.records()


async def test_a_hostile_admins_state_does_not_carry_his_account_into_anothers_login(tmp_path: Path) -> None:
    """The address that one admin was shown is worth nothing in the chat of another one."""
    async with phone(tmp_path) as at:
        pasted = at.room.browse("kite", (await at.room.desk.begin("telegram:99:99", "kite")).url)
        await at.button()
        at.desk.api.say(OWNER, pasted)
        assert "No open login of yours has that state" in (await at.desk.said(2))[1].text
        assert at.room.tokens == []


async def test_an_address_without_a_login_of_ours_is_refused_and_removed(tmp_path: Path) -> None:
    async with phone(tmp_path) as at:
        pasted = "https://127.0.0.1/?request_token=Planted0123456789&status=success"
        at.desk.api.say(OWNER, pasted)
        assert "nothing was done with it" in (await at.desk.said(1))[0].text
        await at.desk.api.until(lambda: at.desk.api.deleted)
        assert "Planted0123456789" not in at.records()
        assert at.room.kite.calls == []


@pytest.mark.parametrize(
    "pasted", [ALONE, "eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjF9.c2lnbmF0dXJlMDE"]
)
async def test_a_code_or_a_token_alone_is_removed_too_and_the_whole_address_asked_for(
    tmp_path: Path, pasted: str
) -> None:
    async with phone(tmp_path) as at:
        await at.button()
        at.desk.api.say(OWNER, pasted)
        assert "The address has no state in it" in (await at.desk.said(2))[1].text
        await at.desk.api.until(lambda: at.desk.api.deleted)
        assert pasted not in at.records()


async def test_what_comes_late_is_removed_and_recorded_without_its_words(tmp_path: Path) -> None:
    async with phone(tmp_path) as at:
        pasted = at.room.browse("kite", await at.button())
        at.desk.late_s = 120.0
        at.desk.api.say(OWNER, pasted)
        expired = (await at.desk.said(2))[1]
        assert PASTED in expired.text
        await at.desk.api.until(lambda: at.desk.api.deleted)
        for secret in at.secrets_in(pasted):
            assert secret not in at.records()


async def test_a_forwarded_address_counts_for_nothing_and_is_removed(tmp_path: Path) -> None:
    async with phone(tmp_path) as at:
        pasted = at.room.browse("kite", await at.button())
        origin = {"forward_origin": {"type": "hidden_user", "date": 1, "sender_user_name": "x"}}
        at.desk.api.say(OWNER, pasted, extra=origin)
        assert "forwarded" in (await at.desk.said(2))[1].text
        await at.desk.api.until(lambda: at.desk.api.deleted)
        assert at.room.tokens == []
        assert not any(secret in at.records() for secret in at.secrets_in(pasted))


async def test_a_login_that_the_end_of_the_service_cuts_off_leaves_no_secret_in_the_outbox(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        hang = Hang()
        async with desk(tmp_path, grace_s=0.01, settle_s=3600.0) as made:
            made.login = room.desk
            at = At(made, room, tmp_path)
            pasted = room.browse("kite", await at.button())
            room.kite.fail("session", hang)
            made.api.say(OWNER, pasted)
            await made.api.until(lambda: room.kite.hits("session"))
        hang.release()
        kept = (tmp_path / "outbox.jsonl").read_text()
        assert "was cut off" in kept
        assert PASTED in kept
        assert not any(secret in kept for secret in at.secrets_in(pasted))


@pytest.mark.parametrize("fault", [Reset(), TooMany(1), Reset(after=True)])
async def test_removing_is_tried_again(tmp_path: Path, fault: Reset | TooMany) -> None:
    async with phone(tmp_path) as at:
        pasted = at.room.browse("kite", await at.button())
        at.desk.api.fail("deleteMessage", fault)
        at.desk.api.say(OWNER, pasted)
        await at.desk.api.until(lambda: len(at.desk.api.called("deleteMessage")) == 2)
        await at.desk.api.until(lambda: at.desk.api.deleted)
        await at.desk.said(2)
        assert not any("yourself" in sent.text for sent in at.desk.api.sent)


@pytest.mark.parametrize("fault", [BadRequest("Bad Request: message can't be deleted"), Forbidden()])
async def test_what_cannot_be_removed_is_left_to_its_writer_who_is_told(
    tmp_path: Path, fault: BadRequest | Forbidden
) -> None:
    async with phone(tmp_path) as at:
        pasted = at.room.browse("kite", await at.button())
        at.desk.api.fail("deleteMessage", fault)
        at.desk.api.say(OWNER, pasted)
        said = {sent.text.splitlines()[1] for sent in (await at.desk.said(3))[1:]}
        assert any(line.startswith("Delete your message yourself") for line in said)
        assert any(line.startswith("Logged in to Kite") for line in said)


@pytest.mark.parametrize("alone", [False, True])
async def test_an_error_inside_a_login_is_told_without_what_was_pasted(tmp_path: Path, alone: bool) -> None:
    async with phone(tmp_path) as at:
        pasted = at.room.browse("kite", await at.button())
        pasted = ALONE if alone else pasted

        async def breaks(text: str, session: str) -> None:
            raise ZeroDivisionError("inside")

        at.room.desk.finish = breaks  # type: ignore[assignment,method-assign]
        at.desk.api.say(OWNER, pasted)
        assert "Sorry, that went wrong" in (await at.desk.said(2))[1].text
        assert not any(secret in at.records() for secret in (*at.secrets_in(pasted), ALONE))


# --- another account --------------------------------------------------------------------------------


async def other_account(at: At) -> Sent:
    """The question after a login with another account than before."""
    await at.room.log_in("kite", ASHA)
    at.room.kite.profile["user_id"] = "ZZ9999"
    at.room.kite.expire()
    at.desk.api.say(OWNER, at.room.browse("kite", await at.button()))
    return (await at.desk.said(2))[1]


@pytest.mark.parametrize("by", ["button", "words"])
async def test_another_account_is_taken_after_a_yes(tmp_path: Path, by: str) -> None:
    async with phone(tmp_path) as at:
        asked = await other_account(at)
        assert "Trade with the account ZZ9999 from now on?" in asked.text
        assert len(at.room.tokens) == 1
        if by == "button":
            at.desk.api.press(OWNER, asked.message_id, "Use ZZ9999")
        else:
            at.desk.api.say(OWNER, "/login yes")
        assert "Logged in to Kite as ZZ9999" in (await at.desk.said(3))[2].text
        assert at.room.tokens[-1][1].user == "ZZ9999"


async def test_another_account_is_left_after_a_no_and_a_late_yes_asks_again(tmp_path: Path) -> None:
    async with phone(tmp_path) as at:
        await other_account(at)
        at.desk.steady.now += 31
        at.desk.api.say(OWNER, "/login yes")
        again = (await at.desk.said(3))[2]
        assert "Too late" in again.text
        at.desk.api.press(OWNER, again.message_id, "Leave it")
        assert "that token was forgotten" in (await at.desk.said(4))[3].text
        at.desk.api.say(OWNER, "/login yes")
        assert "no question of yours is open" in (await at.desk.said(5))[4].text
        assert len(at.room.tokens) == 1


async def test_login_without_a_desk_says_that_nothing_wants_one(tmp_path: Path) -> None:
    async with desk(tmp_path) as made:
        made.api.say(OWNER, "/login")
        assert "Nothing here wants a login" in (await made.said(1))[0].text
