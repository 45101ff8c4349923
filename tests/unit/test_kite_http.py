"""The client's HTTP session sends and says what ``requests`` does, to the byte."""

from __future__ import annotations

import contextlib
import datetime
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from otrade_bot.brokers.kite.http import MOST, KiteSession

ORDER = {"variety": "regular", "exchange": "NSE", "tradingsymbol": "M&M", "quantity": 10, "price": 980.05, "tag": "OT1"}
HEADERS = {"X-Kite-Version": "3", "User-Agent": "Kiteconnect-python/5.2.2", "Authorization": "token key:abcdef"}
URL = "http://127.0.0.1:9/orders/regular"
NAMES = st.text(min_size=1, max_size=8)
FORMS = st.dictionaries(
    NAMES,
    st.one_of(
        st.text(max_size=12), st.integers(), st.floats(), st.none(), st.booleans(), st.lists(st.text(max_size=3))
    ),
    max_size=6,
)


def ordinary() -> requests.Session:
    """What the client would use by itself, set up the same way."""
    session = requests.Session()
    session.trust_env, session.max_redirects = False, 0
    return session


def prepared(session: requests.Session, method: str, form: Any, headers: Any = HEADERS, **more: Any) -> tuple[Any, ...]:
    found = session.prepare_request(requests.Request(method, URL, data=form, headers=headers, **more))
    return found.method, found.url, list(found.headers.items()), found.body


@given(st.sampled_from(["POST", "PUT"]), FORMS)
def test_any_form_is_prepared_as_requests_prepares_it(method: str, form: dict[str, Any]) -> None:
    try:
        wanted: object = prepared(ordinary(), method, form)
    except UnicodeEncodeError:  # half a character: neither sends it
        wanted = UnicodeEncodeError
    session = KiteSession()
    for _ in range(2):  # the first time, and as it is remembered
        try:
            found: object = prepared(session, method, form)
        except UnicodeEncodeError:
            found = UnicodeEncodeError
        assert found == wanted


@pytest.mark.parametrize(
    "more", [{"params": {"a": "b"}}, {"json": {"a": 1}, "data": None}, {"cookies": {"a": "b"}}, {"auth": ("me", "it")}]
)
def test_what_is_no_plain_form_is_prepared_as_requests_prepares_it(more: dict[str, Any]) -> None:
    form = more.pop("data", ORDER)
    assert prepared(KiteSession(), "POST", form, **more) == prepared(ordinary(), "POST", form, **more)


@pytest.mark.parametrize("bad", [{"X": "a\r\nb"}, {"X": 1}, {"X": ["a"]}, {" X": "a"}])
def test_a_header_that_requests_refuses_is_refused(bad: dict[str, Any]) -> None:
    session = KiteSession()
    prepared(session, "POST", ORDER)
    with pytest.raises(requests.exceptions.InvalidHeader):
        prepared(session, "POST", ORDER, HEADERS | bad)


def test_the_next_token_is_in_the_next_request_and_the_old_ones_are_forgotten_in_time() -> None:
    session = KiteSession()
    for number in range(MOST + 5):
        token = HEADERS | {"Authorization": f"token key:{number}"}
        assert prepared(session, "POST", ORDER, token) == prepared(ordinary(), "POST", ORDER, token)
        assert len(session._known) <= MOST


def test_cookies_of_the_broker_go_along_as_with_requests() -> None:
    both = KiteSession(), ordinary()
    for session in both:
        session.cookies.set("__cf_bm", "one", domain="127.0.0.1")
    first, second = (prepared(session, "POST", ORDER) for session in both)
    assert first == second
    assert ("Cookie", "__cf_bm=one") in first[2]
    both[0].cookies.clear()
    assert prepared(both[0], "POST", ORDER) == prepared(ordinary(), "POST", ORDER)


# --- the wire ---
class Wire:
    """Notes each request to the byte and answers it: ``answers`` in turn, the last one for ever."""

    def __init__(self, *answers: bytes, tls: ssl.SSLContext | None = None) -> None:
        self.came: list[bytes] = []
        self.links = 0
        self._over, self._tls = False, tls
        self._answers = list(answers)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept)
        self.root = f"{'https' if tls else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            link, _ = self._listener.accept()
            with link:
                if self._over:
                    return
                self.links += 1
                with contextlib.suppress(OSError):  # a caller that does not trust us hangs up
                    self._serve(self._tls.wrap_socket(link, server_side=True) if self._tls else link)

    def _serve(self, link: socket.socket) -> None:
        with link:
            while data := self._whole(link):
                self.came.append(data)
                link.sendall(self._answers[0] if len(self._answers) == 1 else self._answers.pop(0))

    def _whole(self, link: socket.socket) -> bytes:
        data = b""
        while piece := link.recv(65536):
            data += piece
            head, end, body = data.partition(b"\r\n\r\n")
            length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0)
            if end and len(body) >= length:
                return data
        return b""

    def __enter__(self) -> Wire:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        with socket.create_connection(self._listener.getsockname()):
            self._thread.join()
        self._listener.close()


def answer(body: bytes = b"{}", status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


@contextlib.contextmanager
def sending(session: requests.Session) -> Iterator[requests.Session]:
    try:
        yield session
    finally:
        session.close()


def post(session: requests.Session, root: str, form: Any = ORDER, headers: Any = HEADERS, **more: Any) -> Any:
    waits = {"verify": True, "allow_redirects": True, "timeout": (3.0, 7.0), "proxies": {}}
    return session.request("POST", f"{root}/orders/regular", data=form, headers=headers, **{**waits, **more})


def test_the_bytes_on_the_wire_are_those_of_requests() -> None:
    with Wire(answer(more="Set-Cookie: seen=yes\r\n")) as wire:
        for session in (ordinary(), KiteSession()):
            with sending(session):
                for number in range(3):
                    assert post(session, wire.root, ORDER | {"tag": f"OT{number}"}).status_code == 200
                session.request("GET", f"{wire.root}/orders", headers=HEADERS, params={"a": "b c"}, timeout=7)
                session.request("DELETE", f"{wire.root}/orders/regular/1", headers=HEADERS, params=ORDER, timeout=7)
                session.request("POST", f"{wire.root}/gtt", json=ORDER, headers=HEADERS, timeout=7)
        assert wire.links == 2, "each keeps its one connection"
    assert wire.came[6:] == wire.came[:6]
    assert b"Cookie: seen=yes\r\n" in wire.came[-1]


def test_an_order_leaves_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[bytes] = []
    send = http.client.HTTPConnection.send

    def noted(self: Any, data: bytes) -> None:
        pieces.append(data)
        send(self, data)

    monkeypatch.setattr(http.client.HTTPConnection, "send", noted)
    with Wire(answer()) as wire, sending(KiteSession()) as session:
        for _ in range(2):
            post(session, wire.root)
    assert pieces == wire.came
    assert len(pieces) == 2


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Of 127.0.0.1, signed by itself: its file, and the server's side of it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file, both = folder / "certificate.pem", folder / "both.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both.write_bytes(secret + file.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return file, context


def test_over_tls_the_same_bytes_leave_on_one_connection_and_only_to_whom_is_trusted(tmp_path: Path) -> None:
    file, context = certificate(tmp_path)
    with Wire(answer(), tls=context) as wire:
        for make in (ordinary, KiteSession):
            with sending(make()) as session:
                for _ in range(2):
                    assert post(session, wire.root, verify=str(file)).status_code == 200
            with sending(make()) as session, pytest.raises(requests.exceptions.SSLError):
                post(session, wire.root)
        assert wire.links == 4
    assert wire.came[2:] == wire.came[:2]
    assert len(wire.came) == 4


def test_what_is_trusted_is_asked_anew_for_other_certificates(tmp_path: Path) -> None:
    file, context = certificate(tmp_path)
    with Wire(answer(), tls=context) as wire, sending(KiteSession()) as session:
        post(session, wire.root, verify=str(file))
        session.close()
        with pytest.raises(requests.exceptions.SSLError):
            post(session, wire.root)
        assert post(session, wire.root, verify=str(file)).status_code == 200
    assert len(wire.came) == 2


def test_a_redirect_is_refused_and_repeats_nothing() -> None:
    there = answer(status="307 Temporary Redirect", more="Location: /elsewhere\r\n")
    with Wire(there, answer()) as wire, sending(KiteSession()) as session:
        with pytest.raises(requests.exceptions.TooManyRedirects):
            post(session, wire.root)
        assert len(wire.came) == 1
        assert post(session, wire.root).status_code == 200


def test_the_environment_says_nothing_of_proxies_and_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Wire(answer()) as wire, sending(KiteSession()) as session:
        assert post(session, wire.root).status_code == 200
        assert b"Authorization: token key:abcdef\r\n" in wire.came[0]


def test_a_closed_session_opens_a_new_connection() -> None:
    with Wire(answer()) as wire, sending(KiteSession()) as session:
        post(session, wire.root)
        session.close()
        assert post(session, wire.root).status_code == 200
        assert wire.links == 2


def test_another_address_gets_what_is_meant_for_it() -> None:
    with Wire(answer(b"one")) as one, Wire(answer(b"two")) as two, sending(KiteSession()) as session:
        found = [post(session, wire.root).content for wire in (one, two, two, one)]
    assert found == [b"one", b"two", b"two", b"one"]


def test_what_goes_wrong_is_told_in_the_words_of_requests() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        root = f"http://127.0.0.1:{gone.getsockname()[1]}"
    told = []
    for session in (ordinary(), KiteSession()):
        with sending(session), pytest.raises(requests.exceptions.ConnectionError) as caught:
            post(session, root)
        told.append(str(caught.value))
    assert told[0] == told[1]


def test_a_request_that_cannot_be_written_leaves_nothing_for_the_next_one() -> None:
    with Wire(answer()) as wire, sending(KiteSession()) as session:
        post(session, wire.root)
        with pytest.raises(UnicodeEncodeError):
            post(session, wire.root, headers=HEADERS | {"X": "₹"})
        session.request("GET", f"{wire.root}/orders", headers=HEADERS, timeout=7)
    assert len(wire.came) == 2
    assert wire.came[-1].startswith(b"GET /orders ")
    assert wire.came[-1].endswith(b"\r\n\r\n")
