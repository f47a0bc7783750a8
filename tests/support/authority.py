"""A certificate authority of a test's own, and what it has signed, as files in PEM."""

import datetime
import ssl
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)


class Signed(NamedTuple):
    """A certificate and its key, in files."""

    cert_file: str
    key_file: str


class Authority:
    """Signs certificates that are valid now, into `directory`."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._directory = directory
        self._name = name
        self._key = generate_private_key(SECP256R1())
        certificate = self._certificate(name, self._key, is_authority=True)
        self.ca_file = self._write(f"{name}.pem", certificate.public_bytes(Encoding.PEM))

    def sign(self, name: str, address: str = "127.0.0.1") -> Signed:
        """A certificate for whoever is called `name` and listens at `address`."""
        key = generate_private_key(SECP256R1())
        certificate = self._certificate(name, key, address=address)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Signed(
            self._write(f"{name}.pem", certificate.public_bytes(Encoding.PEM)),
            self._write(f"{name}.key.pem", pem),
        )

    def server_context(self, signed: Signed, *, asks_clients: bool = False) -> ssl.SSLContext:
        """A server's context; with `asks_clients`, clients need a certificate of this authority too."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(signed.cert_file, signed.key_file)
        if asks_clients:
            context.load_verify_locations(self.ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _certificate(
        self,
        name: str,
        key: EllipticCurvePrivateKey,
        *,
        is_authority: bool = False,
        address: str | None = None,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self._name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if address is not None:
            names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, name: str, pem: bytes) -> str:
        path = self._directory / name
        path.write_bytes(pem)
        return str(path)
