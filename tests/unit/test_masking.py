"""Attacks on the masker. Every value called SECRET below must not come out again."""

from __future__ import annotations

import dataclasses
import json
from collections import namedtuple
from collections.abc import Iterator
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from pydantic import BaseModel

from otrade_bot.core.masking import (
    MASK,
    forget_secrets,
    holds_secret,
    is_secret_name,
    mask,
    mask_text,
    register_secret,
)

SECRET = "q7Zk/9+ Lp=x&w\"'\\é"
KITE = "abcd1234efgh5678:ZyXwVu9876543210ZyXwVu9876543210"
BOT = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
JWT = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3RkFBIn0.abcDEF-_123"


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    forget_secrets()
    yield
    forget_secrets()


@dataclasses.dataclass
class Account:
    name: str
    api_secret: str
    inner: Any = None


class Model(BaseModel):
    user: str
    access_token: str


class Shout:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"<Shout {self.text}>"


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Word(str):
    def __str__(self) -> str:
        return SECRET


Pair = namedtuple("Pair", "name password")


class Colour(Enum):
    RED = SECRET


CARRIERS = {
    "plain": SECRET,
    "f-string": f"before{SECRET}after",
    "dict value": {"a": [{"b": (SECRET,)}]},
    "dict key": {SECRET: 1},
    "bytes": SECRET.encode(),
    "bytearray": bytearray(SECRET.encode()),
    "bytes in a repr": Shout(repr(SECRET.encode())),
    "repr of text": Shout(repr(SECRET)),
    "object": Shout(SECRET),
    "exception": ValueError("bad", {"x": SECRET}),
    "exception with one argument": RuntimeError(SECRET),
    "percent": "https://x/?q=" + quote(SECRET, safe=""),
    "plus": "q=" + quote_plus(SECRET),
    "lower percent": quote(SECRET, safe="").lower().replace("q7zk", "q7Zk").replace("lp", "Lp"),
    "json in text": json.dumps({"x": SECRET}),
    "json in text, not ascii": json.dumps({"x": SECRET}, ensure_ascii=False),
    "set": {SECRET},
    "frozenset": frozenset({SECRET}),
    "namedtuple": Pair(SECRET, "p"),
    "dataclass": Account(SECRET, "p"),
    "dataclass in a list": [Account("n", "p", inner={"z": SECRET})],
    "pydantic": Model(user=SECRET, access_token="p"),
    "path": Path("/tmp") / SECRET.replace("/", "-"),
    "enum": Colour.RED,
    "text subclass": Word("x" + SECRET),
    "type": type(SECRET, (), {}),
}


@pytest.mark.parametrize("name", CARRIERS)
def test_a_registered_secret_is_blotted_out_of(name: str) -> None:
    register_secret(SECRET)
    register_secret(SECRET.replace("/", "-"))
    written = json.dumps(mask({"x": CARRIERS[name]}), ensure_ascii=False)
    assert not holds_secret(written)
    assert "q7Zk" not in written
    assert MASK in written


def test_what_carries_no_secret_is_left_as_it_is() -> None:
    register_secret(SECRET)
    plain = {
        "a": [1, 2.5, None, True, "token expired", "₹1,234.50"],
        "instrument_token": 256265,
        "pinned": "yes",
    }
    assert mask(plain) == plain
    for text in (
        "TokenException: Incorrect api_key or access_token",
        "kite: token: expired",
        "key=max_positions status_code=403 tokens=3",
        "instrument_token=256265&from=2021-06-01 09:15:00",
        "12:34:56 NSE:RELIANCE 2155.05",
        "a bearing of 7",
    ):
        assert mask_text(text) == text


@pytest.mark.parametrize(
    "name",
    ["token", "TOKEN", "accessToken", "access-token", "Access Token", "OTRADE_KITE_API_SECRET", "apikey",
     "APIKey", "api_key", "key", "Password", "passwd", "X-Authorization", "totp", "TOTP", "pin", "user_pin",
     "enctoken", "request_token", "checksum", "ToKeN", "tokens", "refreshtoken", "client_secret", "otp"],
)  # fmt: skip
def test_values_under_secret_names_are_hidden_whatever_they_are(name: str) -> None:
    assert is_secret_name(name)
    for value in ("v4lue", 1234, b"v4lue", ["v4lue"], {"a": "v4lue"}, Shout("v4lue")):
        assert mask({"deep": [{name: value}]}) == {"deep": [{name: MASK}]}
    assert mask([(name, "v4lue")]) == [[name, MASK]]
    assert mask("v4lue", name=name) == MASK


@pytest.mark.parametrize(
    "name", ["pinned", "keyboard", "spin", "symbol", "instrument_token", "exchange_token"]
)
def test_names_that_only_sound_secret_are_not_hidden(name: str) -> None:
    assert mask({name: "v4lue"}) == {name: "v4lue"}


def test_secret_fields_of_dataclasses_models_and_tuples_are_hidden() -> None:
    assert mask(Account("n", "v4lue")) == {"name": "n", "api_secret": MASK, "inner": None}
    assert mask(Model(user="u", access_token="v4lue")) == {"user": "u", "access_token": MASK}
    assert mask(Pair("n", "v4lue")) == {"name": "n", "password": MASK}


@pytest.mark.parametrize(
    ("text", "gone", "kept"),
    [
        (f"Authorization: token {KITE}", KITE, "Authorization: "),
        (f"headers={{'Authorization': 'token {KITE}'}}", KITE, "headers"),
        (f"sent token {KITE} to x", KITE, "sent token"),
        ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz", "Authorization"),
        ("'authorization': b'Bearer abc.def'", "abc.def", "authorization"),
        ("with Bearer x9 ok", "x9", "ok"),
        ("wss://ws.kite.trade/?api_key=abc&access_token=def9&v=3", "def9", "&v=3"),
        ("wss://ws.kite.trade/?api_key=abc9&access_token=def&v=3", "abc9", "&v=3"),
        ("https://r/?code=Qw3rty&x=1", "Qw3rty", "&x=1"),
        (f"POST https://api.telegram.org/bot{BOT}/sendMessage", BOT, "/sendMessage"),
        (f"https://api.telegram.org/file/bot{BOT.replace(':', '%3A')}/x", BOT.partition(":")[2], "/x"),
        (f"me {BOT}!", BOT, "!"),
        (f"t {JWT} u", JWT.rpartition(".")[2], " u"),
        ("Settings(kite_api_secret='v4 lue', mode='paper')", "v4 lue", "mode='paper'"),
        ('{"access_token": "v4 lue", "a": 1}', "v4 lue", '"a": 1'),
        ("{'request_token': b'v4lue'}", "v4lue", "request_token"),
        ('"{\\"enctoken\\": \\"v4lue\\"}"', "v4lue", "enctoken"),
        ("[('X-Api-Key', 'v4lue')]", "v4lue", "X-Api-Key"),
        ("pin: 4711, otp=815", "4711", "pin"),
        ("pin: 4711, otp=815", "815", "otp"),
        ("password=hunter2 user=me", "hunter2", "user=me"),
        ("http://me:hunter2@proxy:8080/", "hunter2", "proxy:8080"),
    ],
)
def test_secrets_that_nobody_registered_are_known_by_their_shape(text: str, gone: str, kept: str) -> None:
    masked = mask_text(text)
    assert gone not in masked
    assert kept in masked
    assert mask_text(masked) == masked


def test_a_longer_secret_is_hidden_as_a_whole_even_where_a_shorter_one_is_its_beginning() -> None:
    register_secret("abcdef")
    register_secret("abcdefGHIJ")
    assert mask_text("abcdefGHIJ abcdef") == f"{MASK} {MASK}"


def test_short_values_are_not_registered_and_say_so() -> None:
    assert [register_secret(value) for value in ("", None, "12345", "  12  ", b"123")] == [False] * 5
    assert mask_text("price 12345") == "price 12345"
    assert register_secret(b"bytes-secret")
    assert mask_text("a bytes-secret") == f"a {MASK}"


def test_numbers_become_json_numbers_or_nothing() -> None:
    register_secret("987654321")
    values = [float("nan"), float("inf"), 2**70, 1987654321, Decimal("1.5"), -3]
    assert mask(values) == [None, None, str(2**70), MASK, "1.5", -3]


def test_hostile_objects_never_stop_the_writer() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert MASK in json.dumps(mask(loop))
    assert mask(Broken()) == "<unprintable Broken>"
    assert mask("\ud800x") == "\\ud800x"


def test_long_texts_are_masked_in_linear_time() -> None:
    """A pattern that backtracks would not come back from these within the limit of a test."""
    for piece in ("-", "_", "a", "1", "token", "eyJ", "://", "a=", "'token", ":", "[('", "bearer ", "token:"):
        assert mask_text(piece * 20_000) is not None


def test_a_form_that_begins_with_the_code_of_a_login_keeps_it() -> None:
    said = mask_text("denied for POST /token? body code=mk404&client_id=abc&grant_type=authorization_code")
    assert "mk404" not in said
    assert mask_text("refused code=InputException of state=open") == "refused code=InputException of state=open"


def test_what_was_said_before_it_was_a_secret_is_hidden_from_then_on() -> None:
    assert mask_text("s3cr3tvalue") == "s3cr3tvalue"
    register_secret("s3cr3tvalue")
    assert mask_text("s3cr3tvalue") == MASK
    forget_secrets()
    assert mask_text("s3cr3tvalue") == "s3cr3tvalue"


def test_a_word_that_is_an_enums_comes_back_as_a_plain_text() -> None:
    class Word(StrEnum):
        OPEN = "open, as it says"

    assert type(mask_text(Word.OPEN)) is str
    assert type(mask_text("open, as it says")) is str
