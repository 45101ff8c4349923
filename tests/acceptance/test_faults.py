"""Named faults at both brokers: nothing is lost, nothing doubled, nothing left without its stop, nobody lied to.

``pytest tests/acceptance/test_faults.py -s`` prints the table.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance import fault_table

fault_table.load()


@pytest.fixture(scope="module")
def table() -> list[str]:
    print(f"\n{fault_table.header()}")
    return []


@pytest.mark.parametrize(("broker", "name"), fault_table.cases())
async def test_fault(broker: str, name: str, tmp_path: Path, table: list[str]) -> None:
    table.append(await fault_table.judge(broker, name, tmp_path))
    print(f"\n{table[-1]}", end="")


def test_the_page_of_faults_is_the_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "faults.md"
    assert page.read_text(encoding="utf-8") == fault_table.page(), "python -m tests.acceptance.fault_table writes it"
    assert len(fault_table.ROWS) >= 45
