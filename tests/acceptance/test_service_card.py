"""The pinned card and its buttons on the real service: through a kill, a restart and an orderly end."""

from __future__ import annotations

import signal
from datetime import date
from pathlib import Path

from tests.acceptance.phone import Hand
from tests.acceptance.service_room import OWNER, USERS, VIEWER, ServiceRoom
from tests.venues.telegram import BotApi, Sent

DAY = date(2026, 9, 16)


def cards(api: BotApi, chat: int) -> list[Sent]:
    return [sent for sent in api.to(chat) if "Alive at" in sent.versions[0].text]


async def test_one_card_lives_through_a_kill_with_its_buttons_and_ends_with_the_service(tmp_path: Path) -> None:
    async with BotApi((OWNER, VIEWER)) as api:
        users = [user for user in USERS if user["user_id"] in (OWNER, VIEWER)]
        room = ServiceRoom(
            tmp_path, api, rehearse="2026-09-16T09:14:50", speed=5,
            settings={"telegram.json": {"users": users, "card": True}},
        )  # fmt: skip
        await room.start()
        await api.until(lambda: cards(api, OWNER) and cards(api, VIEWER), 60)
        card = cards(api, OWNER)[0]
        assert card.silent
        await api.until(lambda: api.pinned(OWNER) == [card.message_id], 10)
        assert [one.label for one in cards(api, VIEWER)[0].buttons] == ["Refresh"]
        assert "paused" in await Hand(api, OWNER).press(card, "Pause")
        await room.stop(signal.SIGKILL)
        await room.start()
        await api.until(lambda: "PAUSED" in card.text, 60)
        assert len(cards(api, OWNER)) == 1
        assert "The pause is over" in await Hand(api, OWNER).press(card, "Resume")
        assert [one["line"] for one in room.journal(DAY, "command")] == ["/pause", "/resume"]

        assert await room.stop() == 0
        assert "Stopped at" in card.text
        assert card.buttons == []
