"""An issuer with a key of each algorithm, and tokens with whatever header and signature a test wants."""

import base64
import json
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurve
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as new_rsa_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from gateway.access.token_keys import OF_PUBLIC_KEYS

PUBLIC = sorted(OF_PUBLIC_KEYS)
_TO_JWK = {
    "RS256": jwt.algorithms.RSAAlgorithm,
    "ES256": jwt.algorithms.ECAlgorithm,
    "EdDSA": jwt.algorithms.OKPAlgorithm,
}


def rsa_key(bits: int = 2048) -> Any:
    """A new private key of RSA."""
    return new_rsa_key(65537, bits)


def ec_key(curve: EllipticCurve | None = None) -> Any:
    """A new private key of an elliptic curve: P-256 unless told otherwise."""
    return new_ec_key(curve or SECP256R1())


def private_key(algorithm: str, name: str = "") -> Any:
    """The issuer's private key of that algorithm and name; made once for a process."""
    return _made(algorithm, name)


@cache
def _made(algorithm: str, name: str) -> Any:
    makers = {"RS256": rsa_key, "ES256": ec_key, "EdDSA": Ed25519PrivateKey.generate}
    return makers[algorithm]()


def public_pem(key: Any) -> bytes:
    """The public key of a private one, in PEM."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem(key: Any) -> bytes:
    """A private key in PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def jwk(algorithm: str, name: str = "", **members: Any) -> dict[str, Any]:
    """The public JWK of `private_key(algorithm, name)` with further members; one that is None is left out."""
    made = _TO_JWK[algorithm].to_jwk(private_key(algorithm, name).public_key(), as_dict=True)
    made.pop("key_ops", None)
    return {key: value for key, value in (made | members).items() if value is not None}


def b64(data: bytes | str) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    raw = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: Any, payload: Any, algorithm: str, key: Any, *, signature_of: str | None = None) -> str:
    """A token of that header and payload, signed by `algorithm` whatever the header says.

    Both may be text that is taken as it is, well-formed or not. `signature_of` is what is signed instead.
    """
    parts = [b64(part if isinstance(part, str | bytes) else json.dumps(part)) for part in (header, payload)]
    signing_input = ".".join(parts)
    maker = jwt.get_algorithm_by_name(algorithm)
    text = signing_input if signature_of is None else signature_of
    signature = maker.sign(text.encode(), maker.prepare_key(key))
    return f"{signing_input}.{b64(signature)}"
