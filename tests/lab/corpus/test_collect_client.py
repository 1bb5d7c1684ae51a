"""The client against a server on this machine: tries, waits, limits, and where it does not go."""

from __future__ import annotations

import gzip
import io
import socket

import pytest

from tratto.core.errors import OptionError, UnavailableError
from tratto_lab.collect import client as module
from tratto_lab.collect.client import (
    Broken,
    Client,
    Clock,
    HostRules,
    Passing,
    Refused,
    RetryPolicy,
    is_public,
    loopback_base,
)

ANY = HostRules(None, secure=False)


def dial(port: int) -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    one.connect(("127.0.0.1", port))
    return one


class FakeTime:
    def __init__(self) -> None:
        self.time, self.slept = 0.0, []

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.time += seconds

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.time, self.sleep, lambda: 0.5)


@pytest.fixture
def fake():
    return FakeTime()


def client_of(museum, fake, **policy):
    return Client(RetryPolicy(**{"interval": 0.0, "contact": "me@example.org", **policy}), museum.url, clock=fake.clock)


def test_waits_double_with_jitter_and_obey_retry_after(museum, fake):
    museum.put("/a.json", b'{"n": 1}', "application/json")
    museum.faults["/a.json"] = [500, (429, {"Retry-After": "7"}), "truncate", "not json"]
    got = client_of(museum, fake).json(f"{museum.url}/a.json", ANY)
    assert got == {"n": 1}
    # 1, 2, 4, 8 seconds, each made a quarter shorter; the second was asked to be 7
    assert fake.slept == [0.75, 7.0, 3.0, 6.0]


def test_retry_after_may_be_a_date(museum, fake):
    museum.put("/a.json", b"[]", "application/json")
    dates = {"Retry-After": "Sat, 21 Nov 2026 10:00:30 GMT", "Date": "Sat, 21 Nov 2026 10:00:00 GMT"}

    def busy(handler):
        handler.send_response_only(503)
        for name, value in dates.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    museum.faults["/a.json"] = [busy]
    assert client_of(museum, fake).json(f"{museum.url}/a.json", ANY) == []
    assert fake.slept == [30.0]


def test_a_very_long_wait_ends_the_run(museum, fake):
    museum.faults["/a.json"] = [(429, {"Retry-After": "3600"})]
    with pytest.raises(UnavailableError, match="3600 seconds"):
        client_of(museum, fake).json(f"{museum.url}/a.json", ANY)
    assert fake.slept == []


def test_gives_up_after_so_many_tries(museum, fake):
    museum.faults["/a.json"] = [502] * 9
    with pytest.raises(Broken, match="status 502"):
        client_of(museum, fake, attempts=3).json(f"{museum.url}/a.json", ANY)
    assert museum.fetched("/a.json") == 3
    assert fake.slept == [0.75, 1.5]


def test_requests_keep_their_distance(museum, fake):
    museum.put("/a.json", b"0", "application/json")
    one = client_of(museum, fake, interval=2.0)
    for _ in range(3):
        one.json(f"{museum.url}/a.json", ANY)
    assert fake.slept == [2.0, 2.0]
    assert museum.headers[0]["User-Agent"].startswith("tratto/")
    assert "me@example.org" in museum.headers[0]["User-Agent"]


def test_an_answer_that_says_not_now_is_asked_again(museum, fake):
    museum.put("/a.json", b'{"ok": 1}', "application/json")
    seen = []

    def check(answer):
        seen.append(answer)
        if len(seen) == 1:
            raise Passing("maxlag")

    assert client_of(museum, fake).json(f"{museum.url}/a.json", ANY, check=check) == {"ok": 1}
    assert len(seen) == 2
    assert fake.slept == [0.75]


def test_such_an_answer_may_say_how_long(museum, fake):
    museum.put("/a.json", b"{}", "application/json")
    museum.faults["/a.json"] = ["maxlag"]  # status 200, an error object, and Retry-After: 5

    def check(answer):
        if answer:
            raise Passing("maxlag")

    assert client_of(museum, fake).json(f"{museum.url}/a.json", ANY, check=check) == {}
    assert fake.slept == [5.0]


def test_gzip_is_unpacked_within_limits(museum, fake):
    museum.put("/a.json", b'{"n": 1}', "application/json")
    museum.faults["/a.json"] = ["gzip"]
    assert client_of(museum, fake).json(f"{museum.url}/a.json", ANY) == {"n": 1}
    bomb = gzip.compress(b" " * 2_000_000)

    def explode(handler):
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(bomb)))
        handler.end_headers()
        handler.wfile.write(bomb)

    museum.faults["/a.json"] = [explode]
    with pytest.raises(Refused, match="unpacked"):
        client_of(museum, fake, max_json=100_000).json(f"{museum.url}/a.json", ANY)
    assert museum.fetched("/a.json") == 2


def test_a_client_error_is_not_repeated(museum, fake):
    with pytest.raises(Refused, match="status 404"):
        client_of(museum, fake).json(f"{museum.url}/nowhere", ANY)
    assert museum.fetched("/nowhere") == 1


def test_pictures_come_with_their_digests(museum, fake):
    museum.put("/p.jpg", b"abc")
    sink = io.BytesIO()
    museum.faults["/p.jpg"] = ["truncate"]
    got = client_of(museum, fake).picture(f"{museum.url}/p.jpg", ANY, sink)
    # FIPS 180-2, the message "abc"
    assert got.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert got.sha1 == "a9993e364706816aba3e25717850c26c9cd0d89d"
    assert (got.size, sink.getvalue()) == (3, b"abc")


@pytest.mark.parametrize("kind", ["text/html", "application/json", "video/mp4", "image"])
def test_what_is_no_picture_is_refused_by_its_header(museum, fake, kind):
    museum.put("/p.jpg", b"abc", kind)
    with pytest.raises(Refused, match="not a picture"):
        client_of(museum, fake).picture(f"{museum.url}/p.jpg", ANY, io.BytesIO())


def test_size_limits_hold_with_and_without_a_length(museum, fake):
    museum.put("/p.jpg", b"x" * 5000)
    one = client_of(museum, fake, max_picture=1000)
    with pytest.raises(Refused, match="5000 bytes"):
        one.picture(f"{museum.url}/p.jpg", ANY, io.BytesIO())

    def endless(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "image/jpeg")
        handler.end_headers()
        for _ in range(1000):
            handler.wfile.write(b"y" * 70000)
        handler.close_connection = True

    museum.faults["/p.jpg"] = [endless]
    sink = io.BytesIO()
    with pytest.raises(Refused, match="1000 bytes"):
        one.picture(f"{museum.url}/p.jpg", ANY, sink)
    assert len(sink.getvalue()) <= 1000


def test_chunked_bodies_that_break_off_are_noticed(museum, fake):
    def broken(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "image/jpeg")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"5\r\nabc")
        handler.close_connection = True

    museum.put("/p.jpg", b"whole")
    museum.faults["/p.jpg"] = [broken]
    sink = io.BytesIO()
    assert client_of(museum, fake).picture(f"{museum.url}/p.jpg", ANY, sink).size == 5
    assert sink.getvalue() == b"whole"


def test_a_slow_drip_ends_at_the_deadline(museum, fake):
    import time

    def drip(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "image/jpeg")
        handler.end_headers()
        for _ in range(400):
            handler.wfile.write(b"z")
            handler.wfile.flush()
            time.sleep(0.01)
        handler.close_connection = True

    museum.faults["/p.jpg"] = [drip, drip]
    with pytest.raises(Broken, match="in time"):
        client_of(museum, fake, attempts=2, deadline=0.15).picture(f"{museum.url}/p.jpg", ANY, io.BytesIO())


def test_redirects_are_followed_but_not_for_ever(museum, fake):
    museum.put("/p.jpg", b"abc")
    museum.faults["/old.jpg"] = ["to /p.jpg"]
    one = client_of(museum, fake)
    assert one.picture(f"{museum.url}/old.jpg", ANY, io.BytesIO()).url == f"{museum.url}/p.jpg"
    museum.faults["/ring.jpg"] = ["to /ring.jpg"] * 50
    with pytest.raises(Refused, match="too many redirects"):
        one.picture(f"{museum.url}/ring.jpg", ANY, io.BytesIO())
    assert museum.fetched("/ring.jpg") == 6


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:1/x",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/x",
        "file:///etc/passwd",
        "ftp://example.org/x",
        "http://user:word@127.0.0.1/x",
        "//[::1]/x",
        "http://[bad/x",
    ],
)
def test_redirects_elsewhere_are_refused(museum, fake, target):
    museum.faults["/p.jpg"] = [f"to {target}"]
    with pytest.raises(Refused, match=r"fetched|none"):
        client_of(museum, fake).picture(f"{museum.url}/p.jpg", ANY, io.BytesIO())
    assert len(museum.requests) == 1


@pytest.mark.parametrize("url", ["http://[bad/x", "", "nothing", "http://", "http://a b/", "http://exa\x00mple.org/"])
def test_what_is_no_address_is_refused(fake, url):
    for base in ("", "http://127.0.0.1:9"):
        with pytest.raises((Refused, Broken)):
            Client(RetryPolicy(attempts=1), base, clock=fake.clock).picture(url, ANY, io.BytesIO())


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("91.198.174.192", True),
        ("2620:0:862:ed1a::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:91.198.174.192", True),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("ff02::1", False),
    ],
)
def test_which_addresses_are_public(address, public):
    assert is_public(address) is public


def test_without_a_base_private_addresses_are_never_connected_to(monkeypatch, fake):
    def resolve(host, port, **kwargs):
        table = {"inside.example.org": ["10.0.0.7"], "both.example.org": ["91.198.174.192", "127.0.0.1"]}
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in table[host]]

    def connect(*args, **kwargs):
        raise AssertionError("connected")

    monkeypatch.setattr(module.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(module.socket, "create_connection", connect)
    one = Client(RetryPolicy(), clock=fake.clock)
    for host in ("inside", "both"):
        with pytest.raises(Refused, match="private address"):
            one.picture(f"https://{host}.example.org/p.jpg", ANY, io.BytesIO())


def test_hosts_ports_and_encryption_are_fixed(fake):
    one = Client(RetryPolicy(), clock=fake.clock)
    where = HostRules(("si.edu",))
    for url, why in [
        ("https://evil-si.edu/p.jpg", "is not one of si.edu"),
        ("https://si.edu.example.org/p.jpg", "is not one of si.edu"),
        ("http://ids.si.edu/p.jpg", "without encryption"),
        ("https://ids.si.edu:22/p.jpg", "port 22"),
    ]:
        with pytest.raises(Refused, match=why):
            one.picture(url, where, io.BytesIO())
    assert one.requests == 0


def test_the_connection_goes_to_the_address_that_was_checked(museum, fake, monkeypatch):
    port = int(museum.url.rsplit(":", 1)[1])
    asked = []
    museum.put("/p.jpg", b"abc")

    def resolve(host, wanted, **kwargs):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("91.198.174.192", wanted))]

    def connect(address, timeout=None):
        assert address == ("91.198.174.192", 80)
        return dial(port)

    monkeypatch.setattr(module.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(module.socket, "create_connection", connect)
    sink = io.BytesIO()
    Client(RetryPolicy(), clock=fake.clock).picture("http://pictures.example.org/p.jpg", ANY, sink)
    assert (sink.getvalue(), asked, museum.headers[0]["Host"]) == (
        b"abc",
        ["pictures.example.org"],
        "pictures.example.org",
    )


def test_secrets_are_not_shown(museum, fake):
    one = Client(RetryPolicy(interval=0), museum.url, secrets=("s3/cr et",), clock=fake.clock)

    def tell(handler):
        body = b'{"error": "key s3/cr et, in an address s3%2Fcr%20et"}'
        handler.send_response(403)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    museum.faults["/a.json"] = [tell]
    with pytest.raises(Refused) as caught:
        one.json(f"{museum.url}/a.json", ANY)
    assert "***" in str(caught.value)
    assert "cr" not in str(caught.value)


def test_keys_do_not_travel_to_another_host(museum, fake, monkeypatch):
    port = int(museum.url.rsplit(":", 1)[1])
    monkeypatch.setattr(module.socket, "getaddrinfo", lambda h, p, **k: [(2, 1, 6, "", ("91.198.174.192", p))])
    monkeypatch.setattr(module.socket, "create_connection", lambda a, timeout=None: dial(port))
    museum.put("/there", b"{}", "application/json")
    museum.faults["/a"] = ["to http://two.example.org/there"]
    Client(RetryPolicy(), clock=fake.clock).json("http://one.example.org/a", ANY, {"X-Api-Key": "secret"})
    assert [h.get("X-Api-Key") for h in museum.headers] == ["secret", None]


@pytest.fixture
def secure(museum, tmp_path, monkeypatch):
    """The same server behind TLS, under the name one.example.org, with a certificate of its own."""
    import datetime
    import ssl
    import threading

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "one.example.org")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("one.example.org")]), False)
        .sign(key, hashes.SHA256())
    )
    pem, secret = tmp_path / "c.pem", tmp_path / "k.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    secret.write_bytes(key.private_bytes(*form))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    over = threading.Event()

    def serve():
        while not over.is_set():
            try:
                raw, address = listener.accept()
                raw.settimeout(5)
                with context.wrap_socket(raw, server_side=True) as one:
                    museum.server.RequestHandlerClass(one, address, museum.server)
            except OSError:  # nobody came, or who came did not trust us
                continue

    thread = threading.Thread(target=serve)
    thread.start()
    monkeypatch.setattr(module.socket, "getaddrinfo", lambda h, p, **k: [(2, 1, 6, "", ("91.198.174.192", p))])
    port = listener.getsockname()[1]
    monkeypatch.setattr(module.socket, "create_connection", lambda a, timeout=None: dial(port))
    yield pem
    over.set()
    thread.join()
    listener.close()


def test_certificates_are_checked(museum, secure, fake, monkeypatch):
    import ssl

    museum.put("/p.jpg", b"abc")
    museum.faults["/low.jpg"] = ["to http://one.example.org/p.jpg"]
    one, where = Client(RetryPolicy(attempts=2), clock=fake.clock), HostRules(("example.org",))
    with pytest.raises(Broken, match="not secure"):
        one.picture("https://one.example.org/p.jpg", where, io.BytesIO())
    assert museum.requests == []
    real = ssl.create_default_context
    monkeypatch.setattr(module.ssl, "create_default_context", lambda: real(cafile=str(secure)))
    sink = io.BytesIO()
    one.picture("https://one.example.org/p.jpg", where, sink)
    assert (sink.getvalue(), museum.headers[0]["Host"]) == (b"abc", "one.example.org")
    with pytest.raises(Broken, match="not secure"):
        one.picture("https://two.example.org/p.jpg", where, io.BytesIO())
    with pytest.raises(Refused, match="less safe"):
        one.picture("https://one.example.org/low.jpg", HostRules(None, secure=False), io.BytesIO())
    assert [p for p, _ in museum.requests] == ["/p.jpg", "/low.jpg"]


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:8000", "http://example.org:80", "http://127.0.0.1", "http://127.0.0.1:8/x", "nonsense"]
)
def test_a_base_url_is_on_this_machine(url):
    with pytest.raises(OptionError, match="base URL"):
        loopback_base(url)
    assert loopback_base("http://localhost:8000/") == "http://localhost:8000"


def test_a_contact_cannot_break_the_header():
    with pytest.raises(OptionError, match="ASCII"):
        Client(RetryPolicy(contact="me\r\nX: y"))
