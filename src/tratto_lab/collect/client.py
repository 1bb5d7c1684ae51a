"""A careful and polite HTTP client, from the standard library alone.

Nothing beside the standard library is used: a collector needs one request at a time, and needs to decide itself about
each redirect and each address. A connection is made to the very address that was checked, so that a name cannot
resolve to a public address for the check and to a private one for the connection. What follows from this: proxies
named in the environment are not used.
"""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import http.client
import io
import ipaddress
import json
import random
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote, urljoin, urlsplit

from tratto._version import __version__
from tratto.core.errors import OptionError, OutputError, UnavailableError
from tratto_lab.collect.text import plain

#: Answers after which a further try may succeed.
PASSING = (408, 425, 429, 500, 502, 503, 504)
_REDIRECTS = (301, 302, 303, 307, 308)
_CHUNK = 1 << 16
T = TypeVar("T")


class Refused(Exception):
    """An answer is not taken, and asking again would not change that.

    Attributes
    ----------
    reason : str
        A few words that are counted.
    detail : str
        What came, for the log; empty: the reason says all.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


class Broken(Exception):
    """No whole answer came, though it was asked for several times; another day it may."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


class _Again(Exception):
    def __init__(self, reason: str, detail: str = "", after: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.detail, self.after = reason, detail, after


class Passing(Exception):
    """Raised by a reader of an answer: it is whole, but says that the server cannot answer now."""


@dataclass(frozen=True)
class RetryPolicy:
    """How the client behaves.

    Attributes
    ----------
    contact : str
        Address (e-mail or page) of whoever runs this, sent in the ``User-Agent``.
    interval : float
        Seconds between the beginnings of two requests to one host.
    attempts : int
        Tries for each request.
    wait, longest_wait : float
        Seconds before the second try; doubled for each further one, up to the longest, and made up to half shorter at
        random so that many clients do not return at once.
    longest_asked : float
        If a server asks to wait longer than this, the run ends instead.
    timeout, deadline : float
        Seconds without a byte, and seconds for one whole answer.
    max_redirects : int
        Hops of one request; each is checked as the first address was.
    max_json, max_picture, max_file : int
        Bytes.
    """

    contact: str = ""
    interval: float = 1.0
    attempts: int = 5
    wait: float = 1.0
    longest_wait: float = 60.0
    longest_asked: float = 900.0
    timeout: float = 30.0
    deadline: float = 600.0
    max_redirects: int = 5
    max_json: int = 32 * 1024**2
    max_picture: int = 200 * 1024**2
    max_file: int = 2 * 1024**3

    @property
    def user_agent(self) -> str:
        """What is sent as ``User-Agent``."""
        about = f"; {self.contact}" if self.contact else ""
        return f"tratto/{__version__} (collects free pictures for restoration{about}) python-http.client"


@dataclass(frozen=True)
class Downloaded:
    """One picture as it came: digests in hexadecimal, bytes, and the address that gave it."""

    sha256: str
    sha1: str
    size: int
    content_type: str
    url: str


@dataclass(frozen=True)
class HostRules:
    """Where a request may go.

    Attributes
    ----------
    hosts : tuple of str or None
        These hosts and what lies under them; None: any public host.
    secure : bool
        Only https. (A redirect from https to http is never followed.)
    private : bool
        Also a host inside one's own network, such as a mirror that the user named.
    """

    hosts: tuple[str, ...] | None
    secure: bool = True
    private: bool = False


@dataclass(frozen=True)
class Clock:
    """Time as the client sees it; tests give another."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    uniform: Callable[[], float] = field(default_factory=lambda: random.Random().random)


class _Plain(http.client.HTTPConnection):
    """A connection to an address that was checked, under the name that was asked for."""

    def __init__(self, host: str, port: int, address: str, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._address = address
        self.raw: socket.socket | None = None
        self.late = False

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        self.raw = self.sock

    def cut(self) -> None:
        """End a transfer that takes too long, from another thread."""
        self.late = True
        # http.client forgets its socket once the header is read
        if self.raw is not None:
            with contextlib.suppress(OSError):
                self.raw.shutdown(socket.SHUT_RDWR)


class _Secure(_Plain):
    default_port = 443

    def connect(self) -> None:
        super().connect()
        self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)
        self.raw = self.sock


def is_public(address: str) -> bool:
    """Return whether an address is one of the public internet, also when it is wrapped into an IPv6 address."""
    ip = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if ip in ipaddress.ip_network("64:ff9b::/96"):
            inner.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        if any(i is not None and not i.is_global for i in inner):
            return False
        if ip.ipv4_mapped is not None:
            return True  # the inner one is, and the wrapping itself counts as reserved
    return ip.is_global and not ip.is_multicast


def loopback_base(url: str) -> str:
    """Check the base address of a server on this machine, and return it without a slash at its end.

    Raises
    ------
    OptionError
        If it is anything else.
    """
    parts = urlsplit(url)
    try:
        local = parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname or "").is_loopback
        port = parts.port
    except ValueError:
        local, port = False, None
    if parts.scheme != "http" or not local or port is None or parts.path.strip("/") or parts.query:
        raise OptionError(f"a base URL is a server on this machine such as http://127.0.0.1:8000, got {url!r}")
    return url.rstrip("/")


class Client:
    """Fetches answers and pictures, one at a time.

    Parameters
    ----------
    policy : RetryPolicy
        Pace, tries and sizes.
    base : str
        The only server that may be asked, on this machine (for trials and tests); empty: the real ones.
    secrets : tuple of str
        Never shown in a message, whatever a server sends back.
    clock : Clock
        Tells the time and waits; None: the machine's own.
    say : callable
        Called with a sentence when something keeps the user waiting.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        base: str = "",
        secrets: tuple[str, ...] = (),
        clock: Clock | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        if any(ord(c) < 32 or ord(c) > 126 for c in policy.contact):
            raise OptionError("the contact goes into a header: plain ASCII characters only")
        self.policy, self.clock = policy, clock or Clock()
        self._base = urlsplit(loopback_base(base)) if base else None
        self._secrets = tuple(s for s in secrets if s)
        self._say = say or (lambda text: None)
        self._last: dict[str, float] = {}
        #: How many requests were sent, tries and redirects included.
        self.requests = 0

    def scrub(self, text: str) -> str:
        """Return a text in which no secret stands, in its own form or as part of an address."""
        for secret in self._secrets:
            for form in {secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1]}:
                text = text.replace(form, "***")
        return text

    def json(
        self,
        url: str,
        where: HostRules,
        headers: Mapping[str, str] | None = None,
        check: Callable[[Any], None] | None = None,
    ) -> Any:
        """Fetch a JSON answer.

        Parameters
        ----------
        url : str
            Of one of the hosts in ``where``.
        where : HostRules
            Which hosts may answer.
        headers : mapping, optional
            Sent to the first host only, not to where it redirects.
        check : callable, optional
            Looks at the answer; raises :class:`Passing` if it says to come back.

        Raises
        ------
        Refused, Broken
            If the answer is not taken, or no try gave a whole one.
        UnavailableError
            If the server asks for a longer wait than one would sit through.
        """

        def take(body: bytes) -> Any:
            try:
                found = json.loads(body.decode("utf-8"))
            except (UnicodeDecodeError, ValueError, RecursionError) as e:
                raise _Again("an answer that is no JSON", f"{e}") from e
            if check is not None:
                check(found)
            return found

        return self._text(url, where, {"Accept": "application/json", **(headers or {})}, take)

    def page(self, url: str, where: HostRules) -> str:
        """Fetch a page as text. Raises as :meth:`json` does."""
        return str(self._text(url, where, {"Accept": "text/html"}, lambda body: body.decode("utf-8", "replace")))

    def _text(self, url: str, where: HostRules, headers: dict[str, str], take: Callable[[bytes], Any]) -> Any:
        headers = {"Accept-Encoding": "gzip", **headers}

        def once() -> Any:
            body = io.BytesIO()
            with self._open(url, where, headers) as (answer, _):
                after = _retry_after(answer)
                packed = (answer.getheader("Content-Encoding") or "identity").lower()
                self._read_body(answer, body, self.policy.max_json)
            data = body.getvalue()
            if packed == "gzip":
                data = _inflated(data, self.policy.max_json)
            elif packed != "identity":
                raise Refused("an encoding that was not asked for", packed)
            try:
                return take(data)
            except Passing as e:
                raise _Again("not now", str(e), after) from e

        return self._with_retries(once, url)

    def picture(self, url: str, where: HostRules, sink: BinaryIO) -> Downloaded:
        """Fetch a picture into a file, which is emptied before each try.

        Raises
        ------
        Refused
            If it is no picture by its header, or too large, or lies where nothing may be fetched from.
        Broken
            If no try gave a whole one.
        OutputError
            If the file cannot be written.
        """

        def judge(answer: http.client.HTTPResponse) -> str:
            kind = (answer.getheader("Content-Type") or "").split(";")[0].strip().lower()
            if kind and not kind.startswith("image/") and kind not in _BARE:
                raise Refused("not a picture", f"the server calls it {plain(kind, 60)}")
            return kind

        return self._fetched(url, where, sink, ("image/*", self.policy.max_picture), judge)

    def file(self, url: str, where: HostRules, sink: BinaryIO) -> Downloaded:
        """Fetch a file of whatever kind, no larger than the policy allows; raises as :meth:`picture` does."""

        def judge(answer: http.client.HTTPResponse) -> str:
            return (answer.getheader("Content-Type") or "").split(";")[0].strip().lower()

        return self._fetched(url, where, sink, ("*/*", self.policy.max_file), judge)

    def _fetched(
        self,
        url: str,
        where: HostRules,
        sink: BinaryIO,
        what: tuple[str, int],
        judge: Callable[[http.client.HTTPResponse], str],
    ) -> Downloaded:
        headers = {"Accept": what[0], "Accept-Encoding": "identity"}

        def once() -> Downloaded:
            sink.seek(0)
            sink.truncate()
            with self._open(url, where, headers) as (answer, final):
                kind = judge(answer)
                if (answer.getheader("Content-Encoding") or "identity").lower() != "identity":
                    raise Refused("an encoding that was not asked for", plain(answer.getheader("Content-Encoding"), 60))
                sha256, sha1 = hashlib.sha256(), hashlib.sha1(usedforsecurity=False)
                size = self._read_body(answer, sink, what[1], (sha256, sha1))
            if size == 0:
                raise _Again("an empty answer")
            return Downloaded(sha256.hexdigest(), sha1.hexdigest(), size, kind, final)

        return self._with_retries(once, url)

    def _with_retries(self, once: Callable[[], T], url: str) -> T:
        policy, last = self.policy, _Again("nothing tried")
        host = _host(url)
        for attempt in range(max(1, policy.attempts)):
            if attempt:
                pause = min(policy.longest_wait, policy.wait * 2 ** (attempt - 1)) * (1 - self.clock.uniform() / 2)
                asked = last.after or 0.0
                if asked > policy.longest_asked:
                    raise UnavailableError(
                        f"{host} asks to wait {asked:.0f} seconds; give the same command again after that, and it goes "
                        "on where it stopped"
                    )
                pause = max(pause, asked)
                if pause >= 10:
                    self._say(f"{host}: {last.reason}; waiting {pause:.0f} seconds")
                self.clock.sleep(pause)
            try:
                return once()
            except _Again as e:
                last = e
            except Refused as e:
                raise Refused(e.reason, self.scrub(e.detail)) from None
            except (OSError, http.client.HTTPException, ValueError) as e:
                last = _Again(_named(e), str(e))
        raise Broken(last.reason, self.scrub(plain(last.detail, 200)))

    @contextlib.contextmanager
    def _open(self, url: str, where: HostRules, headers: Mapping[str, str]) -> Any:
        """Send a request, follow redirects as far as they may be followed, and give the last answer."""
        sent = {"User-Agent": self.policy.user_agent, "Connection": "close", **headers}
        first_host = _host(url)
        for _ in range(self.policy.max_redirects + 1):
            connection, target = self._connection(url, where)
            watch = threading.Timer(self.policy.deadline, connection.cut)
            watch.daemon = True
            watch.start()
            try:
                connection.request("GET", target, headers=sent)
                answer = connection.getresponse()
                if answer.status not in _REDIRECTS:
                    self._judge(answer)
                    yield answer, url
                    if connection.late:
                        raise _Again("no answer in time")
                    return
                location = answer.getheader("Location")
                if not location:
                    raise Refused("a redirect to nowhere", f"status {answer.status}")
                try:
                    onward = urljoin(url, location)
                    urlsplit(onward)
                except ValueError as e:
                    raise Refused("an address that is none", plain(str(e), 100)) from None
            finally:
                watch.cancel()
                connection.close()
            if urlsplit(url).scheme == "https" and urlsplit(onward).scheme != "https":
                raise Refused("a redirect to where nothing may be fetched", "from https to something less safe")
            if _host(onward) != first_host:
                kept = ("User-Agent", "Connection", "Accept", "Accept-Encoding")
                sent = {k: v for k, v in sent.items() if k in kept}
            url = onward
        raise Refused("too many redirects", f"more than {self.policy.max_redirects}")

    def _connection(self, url: str, where: HostRules) -> tuple[_Plain, str]:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as e:
            raise Refused("an address that is none", plain(str(e), 100)) from None
        if parts.scheme not in ("http", "https") or not host or parts.username or parts.password:
            raise Refused("an address that is none", plain(url, 100))
        try:
            host = host.encode("idna").decode("ascii") if not host.isascii() else host
        except UnicodeError:
            raise Refused("an address that is none", plain(url, 100)) from None
        port = port or (443 if parts.scheme == "https" else 80)
        address = self._address(parts.scheme, host, port, where)
        target = quote(parts.path or "/", safe="/%:=&~+!$,;'@()*") + (
            "?" + quote(parts.query, safe="/%:=&?~+!$,;'@()*|") if parts.query else ""
        )
        self._pace(f"{host}:{port}")
        self.requests += 1
        kind = _Secure if parts.scheme == "https" else _Plain
        return kind(host, port, address, self.policy.timeout), target

    def _address(self, scheme: str, host: str, port: int, where: HostRules) -> str:
        """Return an address of a host that may be asked."""
        forbidden = "where nothing may be fetched from"
        if self._base is not None:
            if (scheme, host, port) != (self._base.scheme, self._base.hostname, self._base.port):
                raise Refused(forbidden, f"{host}:{port} is not the server named as base URL")
            return host
        if where.secure and scheme != "https":
            raise Refused(forbidden, f"{host} would be asked without encryption")
        if where.hosts is not None and not any(host == h or host.endswith(f".{h}") for h in where.hosts):
            raise Refused(forbidden, f"{host} is not one of {', '.join(where.hosts)}")
        if port not in (80, 443):
            raise Refused(forbidden, f"port {port} of {host}")
        try:
            found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        except (socket.gaierror, UnicodeError) as e:
            raise _Again("a host that is not known", f"{host}: {e}") from e
        if not found or not (where.private or all(is_public(a) for a in found)):
            raise Refused(forbidden, f"{host} has a private address")
        return found[0]

    def _pace(self, host: str) -> None:
        now = self.clock.now()
        due = self._last.get(host, -1e9) + self.policy.interval
        if due > now:
            self.clock.sleep(due - now)
            now = max(due, self.clock.now())
        self._last[host] = now

    def _judge(self, answer: http.client.HTTPResponse) -> None:
        """Pass answers that carry what was asked for."""
        if answer.status == 200:
            return
        if answer.status in PASSING:
            raise _Again(f"status {answer.status}", after=_retry_after(answer))
        try:
            words = plain(answer.read(2000).decode("utf-8", "replace"), 300)
        except (OSError, http.client.HTTPException):
            words = ""
        raise Refused(f"status {answer.status}", self.scrub(words))

    def _read_body(
        self, answer: http.client.HTTPResponse, sink: BinaryIO, most: int, digests: tuple[Any, ...] = ()
    ) -> int:
        """Copy the body, no more than ``most`` bytes and no fewer than the header promised."""
        promised = answer.getheader("Content-Length")
        expected = int(promised) if promised is not None and promised.isascii() and promised.isdigit() else None
        if expected is not None and expected > most:
            raise Refused("too large", f"{expected} bytes; the limit is {most}")
        size = 0
        while chunk := answer.read(_CHUNK):
            size += len(chunk)
            if size > most:
                raise Refused("too large", f"more than {most} bytes")
            for digest in digests:
                digest.update(chunk)
            try:
                sink.write(chunk)
            except OSError as e:
                raise OutputError(f"a picture cannot be written: {e.strerror or e}") from e
        if expected is not None and size < expected and not answer.chunked:
            raise _Again("an answer that broke off", f"{size} of {expected} bytes")
        return size


#: What servers call a file whose kind they do not know; the first bytes decide then.
_BARE = ("application/octet-stream", "binary/octet-stream")


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "?"
    except ValueError:
        return "?"


def _named(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "a connection that is not secure"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, http.client.IncompleteRead):
        return "an answer that broke off"
    if isinstance(error, http.client.HTTPException | ValueError):
        return "an answer that is no HTTP"
    return "no connection"


def _retry_after(answer: http.client.HTTPResponse) -> float | None:
    """Return the seconds a server asks to wait (RFC 9110, 10.2.3: a number, or a date)."""
    text = (answer.getheader("Retry-After") or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        then = email.utils.parsedate_to_datetime(text)
        now = email.utils.parsedate_to_datetime(answer.getheader("Date") or email.utils.formatdate(usegmt=True))
        return max(0.0, (then - now).total_seconds())
    except (TypeError, ValueError):
        return None


def _inflated(data: bytes, most: int) -> bytes:
    """Unpack gzip, no more than ``most`` bytes of it."""
    unpack = zlib.decompressobj(wbits=31)
    try:
        out = unpack.decompress(data, most)
    except zlib.error as e:
        raise _Again("an answer that broke off", str(e)) from e
    if unpack.unconsumed_tail:
        raise Refused("too large", f"more than {most} bytes when unpacked")
    if not unpack.eof:
        raise _Again("an answer that broke off", "gzip")
    return out
