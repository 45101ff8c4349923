"""The address a broker sends a browser back to: recognised wherever it stands, read strictly, kept nowhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otrade_bot.control.handlers import COMMANDS
from otrade_bot.core.redirects import PASTED, Redirected, concealed, holds_code, redirected

KITE = "https://127.0.0.1/otrade?action=login&type=login&status=success&request_token=AbC123&state=S-1"
UPSTOX = "https://127.0.0.1/otrade?code=mk404x&state=S-1"
WORDS = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=6, max_size=40)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (KITE, Redirected("kite", "AbC123", "S-1")),
        (UPSTOX, Redirected("upstox", "mk404x", "S-1")),
        (f"  <{KITE}> ", Redirected("kite", "AbC123", "S-1")),
        (f"/login {UPSTOX}", Redirected("upstox", "mk404x", "S-1")),
        (f"look:\n{KITE}\nthanks", Redirected("kite", "AbC123", "S-1")),
        ("request_token=AbC123&state=S-1", Redirected("kite", "AbC123", "S-1")),
        ("?code=mk404x", Redirected("upstox", "mk404x", "")),
        ("https://x/#code=mk404x&state=S-1", Redirected("upstox", "mk404x", "S-1")),
        ("https://x/?code=a%20b&state=c%2Bd", Redirected("upstox", "a b", "c+d")),
        ("https://x/?status=error&request_token=AbC123", Redirected("kite", "AbC123", "", refused=True)),
        ("https://x/?request_token=&status=success", Redirected("kite", "", "", refused=True)),
        ("AbC123", Redirected("", "AbC123", "")),
    ],
)
def test_an_address_is_read(text: str, found: Redirected) -> None:
    assert redirected(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "", "   ", "two words", "abc", "a/b/c/d", "https://127.0.0.1/",
        "https://x/?code=1&code=2", "https://x/?code=1&state=a&state=b", "https://x/?request_token=1&code=2",
        "https://x/?status=success&status=error&request_token=1", "https://[/?code=1",
        "https://x/?" + "&".join(f"a{n}=1" for n in range(40)) + "&code=1",
        "https://x/?access_token=abc",
    ],
)  # fmt: skip
def test_what_is_none_or_says_a_thing_twice_is_not_read(text: str) -> None:
    assert redirected(text) is None


@given(WORDS, WORDS, st.sampled_from(["{}", "/login {}", "/LOGIN@bot {}", "please:\n{}", "<{}>", "'{}'"]))
def test_neither_code_nor_state_survives_the_concealing(code: str, state: str, form: str) -> None:
    for name in ("request_token", "code"):
        line = form.format(f"https://host/path?{name}={code}&state={state}")
        found = redirected(line)
        assert found is not None
        assert (found.code, found.state) == (code, state)
        assert concealed(line) == PASTED
        assert code not in repr(found)
        assert state not in repr(found)


@given(st.text(max_size=200))
def test_no_text_is_too_strange(text: str) -> None:
    found = redirected(text)
    assert found is None or isinstance(found.code, str)
    assert concealed(text) in (text, PASTED)


@pytest.mark.parametrize(
    "line",
    [
        KITE, UPSTOX, "REQUEST_TOKEN = abc", "request_token%3Dabc", '{"access_token": "abc"}', "access_token: abc",
        "eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjF9.c2lnbmF0dXJl", "my token is eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjF9",
        "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6", "/login a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6",
        " / login@bot kite a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6",
    ],
)  # fmt: skip
def test_whatever_may_be_a_secret_of_a_login_is_known(line: str) -> None:
    assert holds_code(line)


@pytest.mark.parametrize(
    "line",
    [
        "", "/status", "/flatten yes 12ab34cd", "/why NSE:RELIANCE26NOV2500CE", "/login kite", "/login yes 0a1b2c3d",
        "is the barcode=7 there?", "the request token", "resume", "what an incomprehensibilities!",
    ],
)  # fmt: skip
def test_what_people_say_besides_is_left_alone(line: str) -> None:
    assert concealed(line) == line


def test_no_command_of_the_table_is_taken_for_a_secret() -> None:
    assert not [one.name for one in COMMANDS if holds_code(f"/{one.name} {one.takes}")]
