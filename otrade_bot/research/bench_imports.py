"""What a research session costs before its first price: seconds and megabytes of the import, ours and others'."""

from __future__ import annotations

import statistics

from otrade_bot.research import bench
from otrade_bot.research.bench_peers import installed

__all__ = ["imports"]

OURS = "import otrade_bot.research.replay, otrade_bot.research.bench as b; b.kernel_of()"
_PEERS = {
    "nautilus_trader": ("nautilus_trader", "import nautilus_trader.backtest.engine"),
    "backtesting": ("backtesting", "import backtesting"),
    "vectorbt": ("vectorbt", "import vectorbt"),
}
_CHILD = """
import re, sys, time
began = time.perf_counter()
exec(sys.argv[1])
took = time.perf_counter() - began
status = open("/proc/self/status").read()
print(took, int(re.search(r"VmRSS:\\s+(\\d+)", status)[1]) / 1024, file=sys.stderr)
"""


def imports(runs: int = 5) -> list[bench.Row]:
    """``import_research`` (s) and ``rss_research`` (MB): the kernel loaded, ready to replay."""
    mine = [_cost(OURS) for _ in range(runs)]
    theirs = {
        name: [_cost(code) for _ in range(min(runs, 3))] for name, (module, code) in _PEERS.items() if installed(module)
    }
    note = "everything that a replay needs, the kernel on disk"
    return [
        bench.with_peers(
            bench.Row.of(name, unit, [one[i] for one in mine], note),
            {peer: statistics.median(one[i] for one in found) for peer, found in theirs.items()},
        )
        for i, (name, unit) in enumerate((("import_research", "s"), ("rss_research", "MB")))
    ]


def _cost(code: str) -> tuple[float, float]:
    seconds, megabytes = bench.child(_CHILD, code).split()
    return float(seconds), float(megabytes)
