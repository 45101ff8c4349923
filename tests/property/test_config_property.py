"""Whatever stands in a settings file: settings, or one clear line; never a traceback, never half a change."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from otrade_bot.config import ConfigManager, files
from otrade_bot.config.manager import as_documents, default_document
from otrade_bot.config.models import FILES
from otrade_bot.core.errors import ConfigException

names = st.sampled_from(sorted(FILES))
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
trees = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner)
)
documents = st.dictionaries(st.sampled_from("abc") | st.text(max_size=3), trees, max_size=4)


def accepted(raws: dict[str, bytes]) -> bool:
    """Load a folder with these files; True where they are accepted."""
    with tempfile.TemporaryDirectory() as folder:
        for name, raw in raws.items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(raw)
        try:
            ConfigManager(folder).load(create=False)
            return True
        except ConfigException as error:
            text, file = str(error), error.file
    assert file
    assert text.startswith(file)
    assert len(text.splitlines()) == 1
    return False


@given(names, st.binary(max_size=60))
def test_any_bytes_are_settings_or_one_line(name: str, raw: bytes) -> None:
    accepted({name: raw})


def _with(name: str, key: str, value: Any) -> bytes:
    return json.dumps({**json.loads(default_document(name)), key: value}).encode()


@st.composite
def one_key(draw: st.DrawFn) -> tuple[str, str]:
    name = draw(names)
    return name, draw(st.sampled_from(sorted(json.loads(default_document(name)))))


@given(one_key(), trees, st.booleans())
def test_any_value_at_any_key_is_accepted_or_one_line(
    chosen: tuple[str, str], value: Any, overlay: bool
) -> None:
    name, key = chosen
    raw = json.dumps({key: value}).encode() if overlay else _with(name, key, value)
    accepted({f"dev/{name}" if overlay else name: raw})


@given(one_key())
def test_a_number_as_text_is_never_a_number(chosen: tuple[str, str]) -> None:
    name, key = chosen
    value = json.loads(default_document(name))[key]
    if isinstance(value, int | float):
        assert not accepted({name: _with(name, key, str(value))})
        if not isinstance(value, bool):
            assert not accepted({name: _with(name, key, True)})


@given(documents, documents)
def test_merging_keeps_every_leaf_of_the_overlay_and_is_idempotent(
    base: dict[str, Any], over: dict[str, Any]
) -> None:
    merged = files.merge(base, over)
    assert files.merge(merged, over) == merged
    assert files.merge(base, {}) == base
    assert set(merged) == set(base) | set(over)
    for key, value in over.items():
        if not isinstance(value, dict):
            assert merged[key] == value


@given(st.integers(1, 240_000), st.integers(1, 10_000), st.floats(0, 50), st.booleans())
def test_what_is_written_is_what_is_read(capital: int, positions: int, band: float, flatten: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        manager = ConfigManager(folder)
        manager.update(
            "risk.json", {"price_band_percent": band, "daily_loss_flatten": flatten, "max_order_value": 0}
        )
        manager.update("trading.json", {"capital_per_position": capital, "max_positions": positions})
        again = ConfigManager(folder).load()
        assert again == manager.current
        assert as_documents(again)["risk.json"]["price_band_percent"] == band
        assert (again.trading.capital_per_position, again.trading.max_positions) == (capital, positions)
