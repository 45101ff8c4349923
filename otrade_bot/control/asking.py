"""The two buttons under an entry that waits for a person."""

from __future__ import annotations

from otrade_bot.control.reply import Action
from otrade_bot.core.lang import t

__all__ = ["answers"]


def answers(ref: str, seconds: float, name: str = "") -> tuple[Action, Action]:
    """``ref`` names the question, which counts for ``seconds`` more; ``name`` ("SBIN P1") stands on the buttons where
    several are asked."""
    yes = t("Approve {name}", name=name) if name else t("Approve")
    no = t("Skip {name}", name=name) if name else t("Skip")
    return Action(yes, f"/approve {ref}", seconds=seconds), Action(no, f"/skip {ref}", seconds=seconds)
