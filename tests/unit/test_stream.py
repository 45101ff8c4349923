"""The brokers' stream against real WebSocket servers on this machine."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import logging
import socket
import ssl
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from otrade_bot.brokers.stream import Address, Hooks, Stream, StreamSettings, StreamState
from otrade_bot.core.errors import TokenException
from tests.unit.stream_room import Hand, Nap, peer, running, until

TOKEN = "tok3nThatNobodyMaySee"
QUIET = StreamSettings(silence=0)
LIVE, SILENT, REFUSED, OFFLINE = StreamState.LIVE, StreamState.SILENT, StreamState.REFUSED, StreamState.OFFLINE


class Ear:
    """Hears a stream: its frames, its states and what they were told with."""

    def __init__(self, root: str, settings: StreamSettings = QUIET, **options: Any) -> None:
        self.binary: list[bytes] = []
        self.text: list[str] = []
        self.states: list[StreamState] = []
        self.whys: list[str] = []
        hooks = Hooks(_asks("sub"), _asks("unsub"), self._binary, self._text, self._state)
        self.stream = Stream(lambda: Address(f"{root}?access_token={TOKEN}"), hooks, settings, **options)

    def _binary(self, frame: bytes) -> None:
        if frame == b"poison":
            raise ValueError(f"unreadable, access_token={TOKEN}")
        self.binary.append(frame)

    def _text(self, text: str) -> None:
        self.text.append(json.loads(text)["say"])

    def _state(self, state: StreamState, why: str) -> None:
        self.states.append(state)
        self.whys.append(why)


def _asks(word: str) -> Any:
    def frames(keys: Sequence[Any]) -> list[str]:
        return [f"{word} {' '.join(map(str, keys))}"]

    return frames


# --- subscriptions ---
async def test_what_is_wanted_is_asked_for_once_after_each_connection() -> None:
    async with peer() as server:
        ear = Ear(server.root, sleep=Nap().sleep)
        ear.stream.subscribe([1, 2])
        ear.stream.subscribe([2, 3])
        async with running(ear.stream.run()):
            for nth in (1, 2, 3):
                await until(lambda nth=nth: len(server.came) == nth and server.came[-1])
                await server.send(b"after")
                await until(lambda nth=nth: len(ear.binary) == nth)
                server.hang_up()
            await until(lambda: len(server.came) == 4 and server.came[-1])
        assert server.came == [["sub 1 2 3"]] * 4


async def test_a_running_stream_is_asked_for_the_difference_only() -> None:
    async with peer() as server:
        ear = Ear(server.root, sleep=Nap().sleep)
        ear.stream.subscribe([1, 2])
        async with running(ear.stream.run()):
            await until(lambda: server.came and server.came[0])
            ear.stream.subscribe([5])
            await until(lambda: len(server.came[0]) == 2)
            ear.stream.unsubscribe([5])
            await until(lambda: len(server.came[0]) == 3)
            ear.stream.unsubscribe([1, 9])
            ear.stream.subscribe([2, 3])
            await until(lambda: len(server.came[0]) == 5)
            ear.stream.unsubscribe([3])
            ear.stream.subscribe([3])
            ear.stream.subscribe([4])
            await until(lambda: len(server.came[0]) == 6)
            server.hang_up()
            await until(lambda: len(server.came) == 2 and server.came[1])
        assert server.came == [["sub 1 2", "sub 5", "unsub 5", "unsub 1", "sub 3", "sub 4"], ["sub 2 3 4"]]
        assert ear.stream.keys == (2, 3, 4)


async def test_a_stream_without_subscriptions_asks_for_nothing() -> None:
    async with peer() as server:
        ear = Ear(server.root)
        async with running(ear.stream.run()):
            await until(lambda: server.links)
            await server.send('{"say": "hello"}')
            await until(lambda: ear.text == ["hello"])
        assert server.came == [[]]


# --- frames ---
async def test_a_poison_frame_costs_itself_and_the_connection_stays() -> None:
    async with peer() as server:
        ear = Ear(server.root)
        async with running(ear.stream.run()):
            await until(lambda: server.links)
            await server.send(b"poison")
            await server.send("no JSON at all")
            await server.send(b"\xff\xfe", text=True)
            await server.send([b'{"say": "', b"\xff", b'"}'], text=True)
            await server.send([b'{"say": "', "सौदा".encode()[:4], "सौदा".encode()[4:], b'"}'], text=True)
            await server.send(b"\xff\xfe")
            await until(lambda: ear.binary == [b"\xff\xfe"])
        assert ear.text == ["सौदा"]
        assert (ear.stream.dropped, ear.stream.frames, ear.stream.connections) == (4, 6, 1)
        assert ear.states == [LIVE]


async def test_the_fault_of_a_dropped_frame_is_told_without_secrets() -> None:
    async with peer() as server:
        ear = Ear(server.root)
        async with running(ear.stream.run()):
            await until(lambda: server.links)
            await server.send(b"poison")
            await until(lambda: ear.stream.dropped)
        assert ear.stream.fault == "ValueError: unreadable, access_token=***"


async def test_a_listener_to_states_that_raises_does_not_end_the_stream() -> None:
    def raises(state: StreamState, why: str) -> None:
        raise RuntimeError("no ears")

    async with peer() as server:
        hooks = Hooks(_asks("sub"), _asks("unsub"), on_state=raises)
        stream = Stream(lambda: Address(server.root), hooks, QUIET, sleep=Nap().sleep)
        async with running(stream.run()):
            await until(lambda: server.links)
            server.hang_up()
            await until(lambda: len(server.links) == 2)
        assert stream.fault == "RuntimeError: no ears"


# --- silence ---
async def test_a_silent_connection_is_given_up_and_replaced_and_each_frame_puts_that_off() -> None:
    hand = Hand()
    async with peer() as server:
        ear = Ear(server.root, StreamSettings(silence=10, closing=0.1), sleep=hand.sleep, clock=hand.clock)
        async with running(ear.stream.run()):
            await until(lambda: server.links and hand.asleep == 1)
            assert ear.states == []  # a handshake alone proves nothing
            for beat in range(1, 6):
                hand.pass_time(9)
                await server.send(b"\0")
                await until(lambda beat=beat: ear.stream.frames == beat and hand.asleep == 1)
            assert (ear.states, len(server.links)) == ([LIVE], 1)
            hand.pass_time(9)
            await until(lambda: hand.asleep == 1)
            assert ear.states == [LIVE]
            hand.pass_time(1)
            await until(lambda: ear.states == [LIVE, SILENT] and hand.asleep == 1)
            assert ear.whys == ["", "no frame for 10 s"]
            hand.pass_time(1)
            await until(lambda: len(server.links) == 2)
            await server.send(b"\0")
            await until(lambda: ear.states == [LIVE, SILENT, LIVE])


async def test_a_stream_that_may_be_silent_is_live_at_the_handshake() -> None:
    async with peer() as server:
        ear = Ear(server.root)
        async with running(ear.stream.run()):
            await until(lambda: ear.states == [LIVE])
        assert ear.stream.frames == 0


# --- failures ---
@pytest.mark.parametrize("status", [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN])
async def test_a_refused_token_is_told_apart_and_the_next_one_is_tried(status: HTTPStatus) -> None:
    async with peer() as server:
        server.status = status
        ear = Ear(server.root, sleep=Nap().sleep)
        async with running(ear.stream.run()):
            await until(lambda: len(server.requests) >= 3)
            assert ear.states == [REFUSED]
            server.status = HTTPStatus.SWITCHING_PROTOCOLS
            await until(lambda: ear.states == [REFUSED, LIVE])
        assert ear.whys == [f"HTTP {status.value}", ""]


async def test_without_a_token_nothing_is_sent() -> None:
    def nowhere() -> Address:
        raise TokenException("no access token: log in")

    nap, states = Nap(), []
    hooks = Hooks(_asks("sub"), _asks("unsub"), on_state=lambda state, why: states.append((state, why)))
    async with running(Stream(nowhere, hooks, QUIET, sleep=nap.sleep).run()):
        await until(lambda: len(nap.asked) >= 3)
    assert states == [(REFUSED, "no access token: log in")]


async def test_another_refusal_is_an_outage() -> None:
    async with peer() as server:
        server.status = HTTPStatus.SERVICE_UNAVAILABLE
        ear = Ear(server.root, sleep=Nap().sleep)
        async with running(ear.stream.run()):
            await until(lambda: ear.states == [OFFLINE])
        assert ear.whys == ["HTTP 503"]


async def test_an_outage_is_outlasted_with_pauses_that_grow_to_a_limit() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # bound, not listening: refuses
        nap = Nap()
        ear = Ear(f"ws://127.0.0.1:{deaf.getsockname()[1]}", sleep=nap.sleep)
        async with running(ear.stream.run()):
            await until(lambda: len(nap.asked) >= 50)
    assert ear.states == [OFFLINE]
    assert TOKEN not in ear.whys[0]
    for nth, pause in enumerate(nap.asked):
        plain = min(30, 0.5 * 2.0**nth)
        assert plain * 0.5 <= pause <= min(30, plain * 1.5)
    assert len(set(nap.asked[10:])) > 1  # jitter


async def test_a_server_that_hangs_up_at_once_is_not_rushed() -> None:
    async with peer() as server:
        server.hangs_up = True
        nap = Nap()
        ear = Ear(server.root, sleep=nap.sleep)
        async with running(ear.stream.run()):
            await until(lambda: len(nap.asked) >= 8)
    assert nap.asked[7] >= 15


async def test_after_a_settled_connection_the_pauses_begin_anew() -> None:
    hand = Hand()
    nap = Nap()
    async with peer() as server:
        server.hangs_up = True
        ear = Ear(server.root, sleep=nap.sleep, clock=hand.clock)
        async with running(ear.stream.run()):
            await until(lambda: len(nap.asked) >= 8)
            server.hangs_up = False
            links = len(server.links)
            await until(lambda: len(server.links) > links and ear.stream.state is LIVE and server.links[-1].state == 1)
            pauses = len(nap.asked)
            hand.pass_time(20)
            server.hang_up()
            await until(lambda: len(nap.asked) > pauses)
            assert nap.asked[pauses] <= 0.75


async def test_an_attempt_that_takes_long_to_fail_does_not_count_as_settled() -> None:
    hand, nap = Hand(), Nap()

    def slow() -> Address:
        hand.pass_time(60)
        raise ConnectionError("no way there")

    async with running(
        Stream(slow, Hooks(_asks("sub"), _asks("unsub")), QUIET, sleep=nap.sleep, clock=hand.clock).run()
    ):
        await until(lambda: len(nap.asked) >= 8)
    assert nap.asked[7] >= 15


async def test_an_address_that_is_none_is_told_without_its_secrets_and_tried_again() -> None:
    nap = Nap()
    ear = Ear("http://127.0.0.1:1", sleep=nap.sleep)
    async with running(ear.stream.run()):
        await until(lambda: len(nap.asked) >= 2)
    assert ear.states == [OFFLINE]
    assert TOKEN not in ear.whys[0]
    assert "***" in ear.whys[0]


async def test_cancelling_ends_the_stream_and_tells_the_broker() -> None:
    async with peer() as server:
        ear = Ear(server.root)
        task = asyncio.create_task(ear.stream.run())
        await until(lambda: ear.states == [LIVE] and server.links)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: server.gone == 1)
        assert server.links[0].close_code == 1000
        assert not [left for left in asyncio.all_tasks() if "Stream." in str(left.get_coro())]


async def test_no_log_line_at_any_level_bears_the_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with peer(logger=logging.getLogger("tests.silent")) as server:
        logging.getLogger("tests.silent").disabled = True
        ear = Ear(server.root, sleep=Nap().sleep)
        async with running(ear.stream.run()):
            await until(lambda: server.links)
            server.hang_up()
            await until(lambda: len(server.links) == 2)
        assert TOKEN in server.requests[0].path
    assert TOKEN not in caplog.text


# --- TLS ---
def _certificate(folder: Path, name: x509.GeneralName) -> Path:
    """Self-signed, key and all."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a broker")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who).issuer_name(who).public_key(key.public_key()).serial_number(7)
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = folder / "broker.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
ELSEWHERE = x509.DNSName("ws.kite.trade")


@pytest.mark.parametrize(("name", "trusted"), [(HERE, False), (ELSEWHERE, True)])
async def test_a_server_that_cannot_prove_who_it_is_never_sees_the_token(
    tmp_path: Path, name: x509.GeneralName, trusted: bool
) -> None:
    path = _certificate(tmp_path, name)
    given = ssl.create_default_context(cafile=path) if trusted else None
    async with peer(ssl=_served(path)) as server:
        ear = Ear(f"wss://127.0.0.1:{server.port}", StreamSettings(silence=0, tls=given), sleep=Nap().sleep)
        async with running(ear.stream.run()):
            await until(lambda: ear.states == [OFFLINE])
        assert "CERTIFICATE_VERIFY_FAILED" in ear.whys[0]
        assert server.requests == []


async def test_a_server_with_a_trusted_certificate_for_its_name_is_talked_to(tmp_path: Path) -> None:
    path = _certificate(tmp_path, HERE)
    settings = StreamSettings(silence=0, tls=ssl.create_default_context(cafile=path))
    async with peer(ssl=_served(path)) as server:
        ear = Ear(f"wss://127.0.0.1:{server.port}", settings)
        async with running(ear.stream.run()):
            await until(lambda: ear.states == [LIVE])


def _served(path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
