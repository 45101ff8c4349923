"""The two buttons under an entry that waits for a person."""

from __future__ import annotations

from otrade_bot.control.reply import Action
from otrade_bot.core.lang import t

__all__ = ["answers"]


def answers(ref: str, name: str = "") -> tuple[Action, Action]:
    """``ref`` names the question; ``name`` ("SBIN P1") stands on the buttons where several are asked."""
    return (
        Action(t("Approve {name}", name=name).strip(), f"/approve {ref}"),
        Action(t("Skip {name}", name=name).strip(), f"/skip {ref}"),
    )
