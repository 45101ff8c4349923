"""The brokers' tokens on disk: unreadable without the key, to nobody else, and which one counts."""

from __future__ import annotations

import base64
import json
import os
import stat
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from otrade_bot.brokers import vault
from otrade_bot.brokers.tokens import FILE, Token, TokenStore, jwt_times, next_expiry, token_for
from otrade_bot.config.secrets import Secrets
from otrade_bot.core.clock import SECOND, at_ist
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.masking import forget_secrets, mask_text

DAY = date(2026, 11, 23)
EIGHT = at_ist(DAY, 8)
KEY = "any long random text"
SECRET = "kite-access-token-value"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The cost of a key is for attackers, not for tests."""
    monkeypatch.setattr(vault, "COST", 2**4)
    yield
    forget_secrets()


def token(value: str = SECRET, user: str = "AB1234", issued: int = EIGHT) -> Token:
    return Token(value, user, issued, next_expiry("kite", issued))


def store(folder: Path, key: str = KEY) -> TokenStore:
    return TokenStore(folder / FILE, key)


def jwt(issued: int, expires: int) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"iat": issued, "exp": expires}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{claims}.signature"


def secrets(**given: str) -> Secrets:
    return Secrets(_env_file=None, **given)  # type: ignore[arg-type]


def test_what_is_saved_is_there_for_the_next_process_and_nothing_of_it_is_readable(tmp_path: Path) -> None:
    assert store(tmp_path).load("kite") is None
    store(tmp_path).save("kite", token())
    store(tmp_path).save("upstox", token("another-value", "UX9"))
    assert store(tmp_path).load("kite") == token()
    assert store(tmp_path).load("upstox") == token("another-value", "UX9")
    raw = (tmp_path / FILE).read_bytes()
    for hidden in (SECRET, "AB1234", "another-value", "UX9", KEY):
        assert hidden.encode() not in raw
        whole = hidden.encode()[: len(hidden) // 3 * 3]  # what follows could change the characters of the rest
        assert base64.b64encode(whole) not in raw


def test_the_file_has_no_other_mode_for_a_moment_whatever_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = os.open

    def opened(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        fd = real(path, flags, mode, **more)
        if flags & os.O_CREAT:
            seen.append(stat.S_IMODE(os.fstat(fd).st_mode))
        return fd

    monkeypatch.setattr(vault.os, "open", opened)
    before = os.umask(0)
    try:
        store(tmp_path).save("kite", token())
        os.umask(0o377)
        store(tmp_path).save("kite", token())
    finally:
        os.umask(before)
    assert seen == [0o600, 0o400]
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_restored_file_that_others_may_read_is_closed_to_them_when_it_is_read(tmp_path: Path) -> None:
    store(tmp_path).save("kite", token())
    (tmp_path / FILE).chmod(0o644)
    store(tmp_path).load("kite")
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_a_temporary_file_that_a_killed_writer_left_open_to_all_is_not_written_into(tmp_path: Path) -> None:
    left = tmp_path / f"{FILE}.tmp"
    left.write_text("x")
    left.chmod(0o666)
    watcher = left.open("rb")
    store(tmp_path).save("kite", token())
    assert watcher.read() == b"x"
    assert not left.exists()
    watcher.close()


def test_a_symbolic_link_in_the_files_place_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.json"
    target.write_text("{}")
    (tmp_path / FILE).symlink_to(target)
    with pytest.raises(ConfigException, match="regular file"):
        store(tmp_path).load("kite")
    with pytest.raises(ConfigException, match="regular file"):
        store(tmp_path).save("kite", token())
    assert target.read_text() == "{}"


@pytest.mark.parametrize("act", ["load", "save", "check"])
def test_another_key_reads_nothing_overwrites_nothing_and_says_what_to_do(tmp_path: Path, act: str) -> None:
    store(tmp_path).save("kite", token())
    raw = (tmp_path / FILE).read_bytes()
    other = store(tmp_path, "quite another text")
    with pytest.raises(ConfigException, match=r"another OTRADE_SECRET_KEY.*delete the file and log in again") as caught:
        {"load": lambda: other.load("kite"), "save": lambda: other.save("upstox", token()), "check": other.check}[act]()
    assert SECRET not in str(caught.value)
    assert (tmp_path / FILE).read_bytes() == raw


def test_without_a_key_nothing_is_stored_and_nothing_read(tmp_path: Path) -> None:
    assert store(tmp_path, "  ").load("kite") is None  # there is nothing to read
    with pytest.raises(ConfigException, match="OTRADE_SECRET_KEY: is not set"):
        store(tmp_path, "  ").save("kite", token())
    assert not (tmp_path / FILE).exists()
    store(tmp_path).save("kite", token())
    with pytest.raises(ConfigException, match="OTRADE_SECRET_KEY: is not set"):
        store(tmp_path, "").load("kite")


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: "not json",
        lambda d: "[]",
        lambda d: json.dumps({**d, "version": 2}),
        lambda d: json.dumps({**d, "salt": "x"}),
        lambda d: json.dumps({**d, "salt": 3}),
        lambda d: json.dumps({**d, "records": {"kite": 7}}),
        lambda d: json.dumps({**d, "records": []}),
        lambda d: json.dumps({**d, "records": {"kite": "not a token at all"}}),
        lambda d: json.dumps({**d, "records": {"kite": d["records"]["upstox"]}}),  # another broker's, moved
        lambda d: json.dumps(d)[:-40],
        lambda d: "[" * 100_000,  # deeper than a reader can follow
        lambda d: json.dumps({**d, "records": {"kite": "ü" * 40}}),
    ],
)
def test_a_damaged_or_forged_file_is_no_token_and_names_the_cure(tmp_path: Path, damage: Any) -> None:
    store(tmp_path).save("kite", token())
    store(tmp_path).save("upstox", token("another-value", "UX9"))
    path = tmp_path / FILE
    path.write_text(damage(json.loads(path.read_text())))
    with pytest.raises(ConfigException, match="delete the file and log in again"):
        store(tmp_path).load("kite")


def test_two_writers_at_a_time_lose_nothing(tmp_path: Path) -> None:
    def write(name: str) -> None:
        for number in range(8):
            store(tmp_path).save(name, token(f"value-of-{name}-{number}"))

    threads = [threading.Thread(target=write, args=(name,)) for name in ("kite", "upstox")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in ("kite", "upstox"):
        found = store(tmp_path).load(name)
        assert found is not None
        assert found.value == f"value-of-{name}-7"


def test_the_stamp_tells_that_another_process_has_logged_in(tmp_path: Path) -> None:
    watching = store(tmp_path)
    stamps = [watching.stamp()]
    for _ in range(2):
        store(tmp_path).save("kite", token())
        stamps.append(watching.stamp())
    assert stamps[0] == (0, 0)
    assert len(set(stamps)) == 3


def test_a_token_shows_neither_in_its_repr_nor_in_any_text_that_is_masked() -> None:
    one = token("a-value-nobody-knew-before")
    assert "a-value-nobody" not in repr(one)
    assert mask_text("it is a-value-nobody-knew-before, really") == "it is ***, really"


@pytest.mark.parametrize(
    ("broker", "issued", "expires"),
    [
        ("kite", (8, 0), at_ist(date(2026, 11, 24), 6)),
        ("kite", (5, 59), at_ist(DAY, 6)),
        ("kite", (6, 0), at_ist(date(2026, 11, 24), 6)),
        ("upstox", (8, 0), at_ist(date(2026, 11, 24), 3, 30)),
        ("upstox", (3, 29), at_ist(DAY, 3, 30)),
    ],
)
def test_a_token_dies_on_the_morning_after(broker: str, issued: tuple[int, int], expires: int) -> None:
    at = at_ist(DAY, *issued)
    assert next_expiry(broker, at) == expires
    one = Token("some-value", "", at, expires)
    assert one.holds(expires - 1)
    assert not one.holds(expires)


#: A claim deeper than a reader can follow.
DEEP = f"a.{base64.urlsafe_b64encode(b'[' * 50_000).decode()}.c"


@pytest.mark.parametrize(
    "value",
    ["", "abc", "a.b.c", "eyJ.!!!.x", jwt(5, 4), jwt(-1, 4), "a." + "W10" + ".c", pytest.param(DEEP, id="deep")],
)
def test_what_is_no_web_token_tells_no_times(value: str) -> None:
    assert jwt_times(value) is None


def test_a_web_token_tells_its_own_times() -> None:
    assert jwt_times(jwt(1_789_200_000, 1_789_250_000)) == (1_789_200_000 * SECOND, 1_789_250_000 * SECOND)


def test_without_any_token_there_is_none(tmp_path: Path) -> None:
    assert token_for("kite", secrets(), store(tmp_path), EIGHT) is None
    assert token_for("kite", secrets(), store(tmp_path, ""), EIGHT) is None


def test_the_stored_one_counts_until_it_dies(tmp_path: Path) -> None:
    store(tmp_path).save("kite", token())
    assert token_for("kite", secrets(), store(tmp_path), EIGHT) == token()
    assert token_for("kite", secrets(), store(tmp_path), token().expires_ns) is None
    assert token_for("upstox", secrets(), store(tmp_path), EIGHT) is None


def test_the_environments_counts_where_it_is_the_only_one_even_without_a_key(tmp_path: Path) -> None:
    for key in (KEY, ""):
        found = token_for("kite", secrets(kite_access_token="from-outside"), store(tmp_path, key), EIGHT)
        assert found == Token("from-outside", "", EIGHT, next_expiry("kite", EIGHT))


def test_the_environments_goes_first_when_it_is_new_and_not_again_after_a_later_login(tmp_path: Path) -> None:
    given, hour = secrets(kite_access_token="from-outside"), 3600 * SECOND
    store(tmp_path).save("kite", token())
    found = token_for("kite", given, store(tmp_path), EIGHT + hour)
    assert found is not None
    assert found.value == "from-outside"
    store(tmp_path).save("kite", token(issued=EIGHT + 2 * hour))
    again = token_for("kite", given, store(tmp_path), EIGHT + 3 * hour)
    assert again is not None
    assert again.value == SECRET


def test_yesterdays_token_that_was_left_in_the_environment_is_known_to_be_dead(tmp_path: Path) -> None:
    given = secrets(kite_access_token="from-outside")
    assert token_for("kite", given, store(tmp_path), EIGHT) is not None
    assert token_for("kite", given, store(tmp_path), EIGHT + 24 * 3600 * SECOND) is None


def test_a_web_token_of_the_environment_is_as_old_as_it_says(tmp_path: Path) -> None:
    issued = EIGHT // SECOND - 3600
    given = secrets(upstox_access_token=jwt(issued, issued + 7200))
    found = token_for("upstox", given, store(tmp_path), EIGHT)
    assert found is not None
    assert (found.issued_ns, found.expires_ns) == (issued * SECOND, (issued + 7200) * SECOND)
    assert token_for("upstox", given, store(tmp_path), EIGHT + 3600 * SECOND) is None
    store(tmp_path).save("upstox", token())
    newer = token_for("upstox", given, store(tmp_path), EIGHT)
    assert newer is not None
    assert newer.value == SECRET


def test_a_file_that_cannot_be_read_keeps_nobody_from_the_environments_token(tmp_path: Path) -> None:
    store(tmp_path).save("kite", token())
    found = token_for("kite", secrets(kite_access_token="from-outside"), store(tmp_path, "another"), EIGHT)
    assert found is not None
    assert found.value == "from-outside"
    with pytest.raises(ConfigException, match="another OTRADE_SECRET_KEY"):
        token_for("kite", secrets(), store(tmp_path, "another"), EIGHT)
