"""Which parameters go into a strategy's indicators: after a change of these the past has to be looked at again."""

from __future__ import annotations

import ast

from otrade_bot.strategies.loader import TradingStrategy

__all__ = ["shaping"]

#: They look at what ``update`` has made; with another number they look at it otherwise from now on.
_JUDGES = ("should_buy", "should_sell")


def shaping(strategy: TradingStrategy) -> frozenset[str]:
    """Names of PARAMS that ``update``, or anything it may call, reads."""
    tree = ast.parse(strategy.source.source)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name not in _JUDGES]
    read = {node.attr for function in functions for node in ast.walk(function) if isinstance(node, ast.Attribute)}
    return frozenset(read & set(strategy.params.model_fields))
