"""Named faults at both brokers: nothing is lost, nothing doubled, nothing left without its stop, nobody lied to.

``pytest tests/acceptance/test_faults.py -s`` prints the table.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from tests.acceptance import fault_table

for path in sorted(Path(__file__).parent.glob("fault_rows_*.py")):
    import_module(f"tests.acceptance.{path.stem}")


@pytest.fixture(scope="module")
def table() -> list[str]:
    print(f"\n{fault_table.header()}")
    return []


@pytest.mark.parametrize(("broker", "name"), fault_table.cases())
async def test_fault(broker: str, name: str, tmp_path: Path, table: list[str]) -> None:
    table.append(await fault_table.judge(broker, name, tmp_path))
    print(f"\n{table[-1]}", end="")
