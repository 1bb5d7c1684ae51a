"""Keys: where they lie, how they are made and read.

Each key has a folder of its own below ``$TRATTO_KEYS`` (else ``$XDG_CONFIG_HOME/tratto/keys``, else
``~/.config/tratto/keys``): ``key.pem`` (private, readable by its owner only) and either ``public.vkey`` (ledgers and
witnesses: Ed25519) or ``chain.pem`` and ``anchor.pem`` (identities that sign pictures: an X.509 chain and its root).
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tratto.core.errors import InputError, MissingExtra, OptionError, OutputError, ReceiptError
from tratto.core.hashing import read_limited
from tratto.ledger.note import LEDGER, WITNESS, SignerKey, VerifierKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KINDS = ("identity", "ledger", "witness")
PRIVATE, PUBLIC, CHAIN, ANCHOR = "key.pem", "public.vkey", "chain.pem", "anchor.pem"
#: Common name of the certificates of identities that Tratto makes: nobody vouches for them.
TEST_ORGANISATION = "Tratto test identity, not trusted by anybody"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_PEM = 1 << 18


@dataclass(frozen=True)
class KeyInfo:
    """One key that is there.

    Attributes
    ----------
    name : str
        As it was named when it was made.
    kind : str
        ``"identity"``, ``"ledger"`` or ``"witness"``.
    folder : Path
        Where its files lie.
    public : str
        The verifier key, or the SHA-256 of the signing certificate.
    """

    name: str
    kind: str
    folder: Path
    public: str

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return {"name": self.name, "kind": self.kind, "folder": str(self.folder), "public": self.public}


@dataclass(frozen=True)
class Identity:
    """What signs pictures.

    Attributes
    ----------
    name : str
        As it was named when it was made.
    private_pem, chain_pem : bytes
        PKCS 8 key; certificates from the signing one upwards.
    algorithm : str
        COSE name: ``es256``, ``es384``, ``ps256`` or ``ed25519``.
    test : bool
        True for an identity that Tratto made itself, which nobody vouches for.
    """

    name: str
    private_pem: bytes
    chain_pem: bytes
    algorithm: str
    test: bool


def keys_folder() -> Path:
    """Return the folder that keys lie in; it need not exist."""
    env = os.environ
    if env.get("TRATTO_KEYS"):
        return Path(env["TRATTO_KEYS"]).expanduser()
    base = Path(env["XDG_CONFIG_HOME"]).expanduser() if env.get("XDG_CONFIG_HOME") else Path.home() / ".config"
    return base / "tratto" / "keys"


def new_key(name: str, kind: str, origin: str = "") -> KeyInfo:
    """Make a key.

    Parameters
    ----------
    name : str
        Of its folder: letters, digits, dot, dash, underscore.
    kind : str
        ``"identity"`` makes a test identity: a root of its own and a certificate that may sign pictures.
    origin : str
        Name that the key of a ledger or witness signs with; empty: ``name`` and some random letters.

    Raises
    ------
    OptionError, OutputError, MissingExtra
        If kind or name is wrong, a key of the name is there, it cannot be written, or ``cryptography`` is not
        installed.
    """
    _need_cryptography()
    if kind not in KINDS:
        raise OptionError(f"a key is one of {', '.join(KINDS)}, got {kind!r}")
    folder = _folder(name)
    if kind == "identity":
        files = _test_identity(name)
    else:
        # made before anything is written, since it also checks the name
        private, verifier = _ed25519(origin or f"{name}.{secrets.token_hex(4)}.invalid", kind)
        files = {PRIVATE: _private_pem(private), PUBLIC: verifier.text().encode() + b"\n"}
    part = folder.with_name(f".{name}.{secrets.token_hex(4)}.part")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.exists():
            raise OutputError(f"there is a key {name!r} in {folder.parent}; a key is never replaced")
        part.mkdir(mode=0o700)
        for file, data in files.items():
            fd = os.open(part / file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if file == PRIVATE else 0o644)
            with os.fdopen(fd, "wb") as f:
                f.write(data)
                f.flush()
                os.fsync(f.fileno())
        os.rename(part, folder)
    except OSError as e:
        raise OutputError(f"the key {folder} cannot be written: {e.strerror or e}") from e
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return key_info(name)


def list_keys(spoilt: list[str] | None = None) -> Iterator[KeyInfo]:
    """Yield the keys that are there, by name; what cannot be read is left out, and told in `spoilt`."""
    base = keys_folder()
    if not base.is_dir():
        return
    for folder in sorted(base.iterdir()):
        if folder.is_dir() and not folder.name.startswith(".") and (folder / PRIVATE).is_file():
            try:
                yield key_info(folder.name)
            except (ReceiptError, OptionError, InputError) as e:
                if spoilt is not None:
                    spoilt.append(f"{folder.name}: {e}")


def key_info(name: str) -> KeyInfo:
    """Return what is known of a key.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    folder = _folder(name)
    if (folder / PUBLIC).is_file():
        verifier = VerifierKey.parse(read_limited(folder / PUBLIC, 4096).decode("utf-8", "replace"))
        return KeyInfo(name, "ledger" if verifier.kind == LEDGER else "witness", folder, verifier.text())
    if (folder / CHAIN).is_file():
        return KeyInfo(name, "identity", folder, certificate_sha256(read_limited(folder / CHAIN, _MAX_PEM)))
    raise InputError(f"there is no key {name!r} in {folder.parent}; make one with: tratto keys new {name}")


def signer(name: str, kind: str) -> SignerKey:
    """Read the private key of a ledger or a witness.

    Raises
    ------
    InputError, OptionError, ReceiptError, MissingExtra
        If there is none, it is of another kind, it is damaged, or ``cryptography`` is not installed.
    """
    _need_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    info = key_info(name)
    if info.kind != kind:
        raise OptionError(f"{name!r} is a key of kind {info.kind}; this needs one of kind {kind}")
    try:
        private = load_pem_private_key(read_limited(info.folder / PRIVATE, _MAX_PEM), None)
    except (ValueError, TypeError) as e:
        raise ReceiptError(f"{info.folder / PRIVATE} cannot be read as a private key: {e}") from e
    verifier = VerifierKey.parse(info.public)
    if not isinstance(private, Ed25519PrivateKey) or private.public_key().public_bytes_raw() != verifier.public:
        raise ReceiptError(f"the private and the public half of the key {name!r} do not belong together")
    return SignerKey(verifier, private)


def signer_for(verifier: VerifierKey) -> SignerKey:
    """Find the private half of a public key among the keys that are there.

    Raises
    ------
    InputError
        If it is not there.
    """
    kind = "ledger" if verifier.kind == LEDGER else "witness"
    for info in list_keys():
        if info.public == verifier.text():
            return signer(info.name, kind)
    raise InputError(
        f"the private key of {verifier.name} is not in {keys_folder()}; only who has it can write (TRATTO_KEYS names "
        "another folder)"
    )


def identity(name: str) -> Identity:
    """Read an identity that signs pictures.

    Raises
    ------
    InputError, OptionError, ReceiptError, MissingExtra
        If there is none, it is a key of another kind, it is damaged, or ``cryptography`` is not installed.
    """
    info = key_info(name)
    if info.kind != "identity":
        raise OptionError(f"{name!r} is the key of a {info.kind}; pictures are signed by an identity")
    return read_identity(name, info.folder / PRIVATE, info.folder / CHAIN)


def read_identity(name: str, private: Path, chain: Path) -> Identity:
    """Read an identity from a key and a certificate chain, both PEM.

    Raises
    ------
    OptionError
        If the key is of a kind that content credentials do not know, or does not belong to the first certificate.
    ReceiptError, MissingExtra
        If they cannot be read, or ``cryptography`` is not installed.
    """
    _need_cryptography()
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
        load_pem_private_key,
    )

    chain_pem = read_limited(chain, _MAX_PEM)
    try:
        key: Any = load_pem_private_key(read_limited(private, _MAX_PEM), None)
        certificates = x509.load_pem_x509_certificates(chain_pem)
    except (ValueError, TypeError) as e:
        raise ReceiptError(f"the identity {name!r} cannot be read: {e}") from e
    algorithm = ""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        algorithm = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}.get(key.curve.name, "")
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        algorithm = "ed25519"
    elif isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        algorithm = "ps256"
    if not algorithm:
        raise OptionError(f"the key of {name!r} must be P-256, P-384, P-521, Ed25519, or RSA of 2048 bits or more")
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != certificates[0].public_key().public_bytes(*form):
        raise OptionError(f"the key of {name!r} does not belong to the first certificate of its chain")
    test = any(TEST_ORGANISATION in str(a.value) for c in certificates for a in c.subject)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Identity(name, pem, chain_pem, algorithm, test)


def certificate_sha256(chain_pem: bytes) -> str:
    """Return the SHA-256 (hex) of the first certificate of a chain."""
    import base64
    import hashlib

    match = re.search(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", chain_pem, re.DOTALL)
    if match is None:
        raise ReceiptError("expected certificates in PEM form")
    return hashlib.sha256(base64.b64decode(match.group(1))).hexdigest()


def _need_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as e:
        raise MissingExtra("signing", "sign") from e


def _folder(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise OptionError(f"a key's name has 1 to 64 letters, digits, dots, dashes and underscores, got {name[:80]!r}")
    return keys_folder() / name


def _ed25519(origin: str, kind: str) -> tuple[Ed25519PrivateKey, VerifierKey]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    type_ = LEDGER if kind == "ledger" else WITNESS
    return private, VerifierKey(origin, type_, private.public_key().public_bytes_raw())


def _private_pem(private: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem: bytes = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem


def _test_identity(name: str) -> dict[str, bytes]:
    """Make a root and a signing certificate under it; the root's private key is thrown away."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    root_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC).replace(microsecond=0)
    span = (now - timedelta(hours=1), now + timedelta(days=3650))
    root = certificate(Subject(f"{name} root", root_key.public_key(), span, ca=True), None, root_key)
    leaf = certificate(Subject(name, leaf_key.public_key(), span), root, root_key)
    pem = [c.public_bytes(Encoding.PEM) for c in (leaf, root)]
    return {PRIVATE: _private_pem(leaf_key), CHAIN: b"".join(pem), ANCHOR: pem[1]}


@dataclass(frozen=True)
class Subject:
    """Whom a certificate is for.

    Attributes
    ----------
    name : str
        Common name; shown as the signer's.
    public : public key
        Ed25519, RSA or of an elliptic curve.
    span : (datetime, datetime)
        From when until when.
    ca : bool
        May it issue others?
    usage : sequence of str or None
        Extended key usages as dotted numbers; None: what signing content credentials needs.
    organisation : str
        Organisation beside the name.
    """

    name: str
    public: Any
    span: tuple[datetime, datetime]
    ca: bool = False
    usage: tuple[str, ...] | None = None
    organisation: str = TEST_ORGANISATION


#: Extended key usages: e-mail protection, which every reader of content credentials accepts.
USAGE = ("1.3.6.1.5.5.7.3.4",)


def certificate(subject: Subject, issuer: Any, issuer_key: Any) -> Any:
    """Issue a certificate in the profile of C2PA 2.1, section 14.5 (see there for each extension).

    Parameters
    ----------
    subject : Subject
        Whom it is for, how long, and for what.
    issuer : x509.Certificate or None
        None: it is its own.
    issuer_key : private key
        The issuer's; signs the certificate.

    Returns
    -------
    x509.Certificate
        Signed, of version 3.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.x509.oid import NameOID

    own = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject.organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, subject.name),
        ]
    )
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
         "decipher_only"), False
    )  # fmt: skip
    usage |= {"digital_signature": not subject.ca, "key_cert_sign": subject.ca, "crl_sign": subject.ca}
    builder = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(own if issuer is None else issuer.subject)
        .public_key(subject.public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(subject.span[0])
        .not_valid_after(subject.span[1])
        .add_extension(x509.BasicConstraints(ca=subject.ca, path_length=0 if subject.ca else None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(subject.public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not subject.ca:
        oids = USAGE if subject.usage is None else subject.usage
        if oids:
            usages = x509.ExtendedKeyUsage([x509.ObjectIdentifier(o) for o in oids])
            builder = builder.add_extension(usages, critical=False)
    algorithm = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(issuer_key, algorithm)
