"""An HTTPS server with an authority of its own, which serves bytes and, when told so, lies about them once each time."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.waiting import MAX_WAIT_SECONDS


def make_certificates(folder: Path, hosts: tuple[str, ...] = ("localhost", "127.0.0.1")) -> tuple[Path, Path]:
    """(the authority's certificate, the server's certificate with its key), as PEM files in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority of {folder.name}")])
    authority = _certificate(issuer, issuer, authority_key, authority_key, x509.BasicConstraints(ca=True, path_length=None))
    names: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host) for host in hosts
    ]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    server = _certificate(subject, issuer, server_key, authority_key, x509.SubjectAlternativeName(names))
    trusted, server_pem = folder / "authority.pem", folder / "server.pem"
    pem = serialization.Encoding.PEM
    trusted.write_bytes(authority.public_bytes(pem))
    private = server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    server_pem.write_bytes(private + server.public_bytes(pem))
    return trusted, server_pem


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signing_key: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(extension, critical=True)
    )
    return builder.sign(signing_key, hashes.SHA256())


@dataclass
class Request:
    """What was asked: method, path with its query, and two headers."""

    method: str
    path: str
    range: str
    authorization: str


@dataclass
class LyingServer:
    """``files`` by path; ``lies`` by path, one used up at each GET of it; ``headers`` by path, on every answer.

    Lies: ``flip`` a byte; ``cut`` half of what is left; ``stall`` after half, until ``released`` is set; ``slow`` drips; ``whole`` ignores the range;
    ``alien`` gives other bytes than the file's from the range on; an int is a status; another string is a URL to redirect to.
    ``always`` are lies that are not used up.
    """

    certificate: Path | None
    files: dict[str, bytes] = field(default_factory=dict)
    lies: dict[str, list[int | str]] = field(default_factory=dict)
    always: dict[str, int | str] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.released = threading.Event()
        server = self

        class Handler(_Handler):
            owner = server

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that refuse us hang up
        self.port = self._http.server_address[1]
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def url(self, path: str = "", host: str = "127.0.0.1") -> str:
        return f"http{'s' if self.certificate else ''}://{host}:{self.port}{path}"

    def gets(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.method == "GET" and request.path == path]

    def close(self) -> None:
        self.released.set()
        self._http.shutdown()
        self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: LyingServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing: the tests look at ``requests``."""

    def _note(self) -> str:
        headers = self.headers
        self.owner.requests.append(Request(self.command, self.path, headers.get("Range", ""), headers.get("Authorization", "")))
        return self.path.partition("?")[0]

    def do_HEAD(self) -> None:
        path = self._note()
        lie = self.owner.always.get(path)
        self._start(lie if isinstance(lie, int) else 302 if lie else 200, path, 0)

    def do_GET(self) -> None:
        path = self._note()
        queue = self.owner.lies.get(path, [])
        lie = queue.pop(0) if queue else self.owner.always.get(path, "")
        body = self.owner.files.get(path)
        if isinstance(lie, int) or body is None:
            self._start(lie if isinstance(lie, int) else 404, path, 9)
            self.wfile.write(b"an error\n")
        elif "://" in lie:
            self.send_response(302)
            self.send_header("Location", lie)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send(path, body, lie)

    def _start(self, status: int, path: str, length: int) -> None:
        self.send_response(status)
        for name, value in self.owner.headers.get(path, {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _send(self, path: str, body: bytes, lie: str) -> None:
        wanted = self.headers.get("Range", "")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and lie != "whole" else 0
        if start >= len(body) > 0:
            self._start(416, path, 0)
            return
        rest = body[start:]
        if lie == "flip":
            rest = rest[:-1] + bytes([rest[-1] ^ 1])
        elif lie == "alien":
            rest = bytes(byte ^ 0xFF for byte in rest)
        self.send_response(206 if wanted and lie != "whole" else 200)
        if wanted and lie != "whole":
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if lie in ("cut", "stall"):
            self.wfile.write(rest[: len(rest) // 2])
            self.wfile.flush()
            if lie == "stall":
                self.owner.released.wait(MAX_WAIT_SECONDS)
            self.close_connection = True
        elif lie == "slow":
            for first in range(0, len(rest), len(rest) // 20 + 1):
                self.wfile.write(rest[first : first + len(rest) // 20 + 1])
                self.wfile.flush()
                self.owner.released.wait(0.05)
        else:
            self.wfile.write(rest)
