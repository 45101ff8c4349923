"""A stream whose address changes: it goes there at once, wherever it is, and the old one's fate is nobody's concern."""

from __future__ import annotations

from http import HTTPStatus

from otrade_bot.brokers.stream import Address, Hooks, Stream, StreamSettings, StreamState
from tests.unit.stream_room import Hand, Peer, peer, running, until

LIVE, REFUSED = StreamState.LIVE, StreamState.REFUSED


class Ear:
    """Hears a stream that asks for its address each time; time stands."""

    def __init__(self, server: Peer) -> None:
        self.server = server
        self.hand = Hand()
        self.path = "/old"
        self.changing = False  #: the address changes while the stream is on its way to the old one
        self.states: list[StreamState] = []
        self.dropped: list[str | bytes] = []
        hooks = Hooks(
            lambda keys: [], lambda keys: [], _refuse, _refuse, lambda state, why: self.states.append(state),
            self.dropped.append,
        )  # fmt: skip
        self.stream = Stream(
            self._address, hooks, StreamSettings(silence=0), sleep=self.hand.sleep, clock=self.hand.clock
        )

    def _address(self) -> Address:
        path = self.path
        if self.changing and path == "/old":
            self.move()
            self.server.status = HTTPStatus.FORBIDDEN  # of the old one
        elif self.changing:
            self.server.status = HTTPStatus.SWITCHING_PROTOCOLS
        return Address(f"{self.server.root}{path}")

    def move(self) -> None:
        self.path = "/new"
        self.server.status = HTTPStatus.SWITCHING_PROTOCOLS
        self.stream.renew()

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.server.requests]


def _refuse(frame: str | bytes) -> None:
    raise ValueError("unreadable")


async def test_out_of_a_pause_at_once_though_nobody_moves_the_clock() -> None:
    async with peer() as server:
        ear = Ear(server)
        server.status = HTTPStatus.FORBIDDEN
        async with running(ear.stream.run()):
            await until(lambda: ear.states == [REFUSED] and ear.hand.asleep)
            ear.move()
            await until(lambda: ear.states == [REFUSED, LIVE])
        assert ear.paths == ["/old", "/new"]


async def test_out_of_a_connection_that_stands() -> None:
    async with peer() as server:
        ear = Ear(server)
        async with running(ear.stream.run()):
            await until(lambda: ear.states == [LIVE])
            ear.move()
            await until(lambda: ear.states == [LIVE, LIVE])
            await until(lambda: server.gone == 1)
        assert ear.paths == ["/old", "/new"]


async def test_on_the_way_to_the_old_one_what_comes_of_that_is_not_told() -> None:
    async with peer() as server:
        ear = Ear(server)
        ear.changing = True
        async with running(ear.stream.run()):
            await until(lambda: server.requests and server.requests[-1].path == "/new")
            await until(lambda: ear.states and ear.states[-1] is LIVE)
        assert ear.states == [LIVE], "that the old one was refused says nothing of the new one"
        assert ear.paths == ["/old", "/new"]


async def test_refused_again_with_another_address_is_told_again() -> None:
    async with peer() as server:
        ear = Ear(server)
        server.status = HTTPStatus.FORBIDDEN
        async with running(ear.stream.run()):
            await until(lambda: ear.states == [REFUSED] and ear.hand.asleep)
            ear.move()
            server.status = HTTPStatus.FORBIDDEN
            await until(lambda: ear.states == [REFUSED, REFUSED])


async def test_a_frame_that_cannot_be_read_is_handed_on_as_it_came() -> None:
    async with peer() as server:
        ear = Ear(server)
        async with running(ear.stream.run()):
            await until(lambda: server.links)
            await server.send("a row")
            await server.send(b"\x01\x02")
            await server.send([b"\xff row"], text=True)
            await until(lambda: len(ear.dropped) == 3)
        assert ear.dropped == ["a row", b"\x01\x02", "\ufffd row"]
        assert ear.states == [LIVE]
