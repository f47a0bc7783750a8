"""The keys that tokens are checked with, each for one algorithm: of a secret, a PEM file or a JWKS. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import HMACAlgorithm

OF_A_SECRET = "HS256"
OF_PUBLIC_KEYS = frozenset({"RS256", "ES256", "EdDSA"})
ALGORITHMS = frozenset({OF_A_SECRET}) | OF_PUBLIC_KEYS

MIN_RSA_BITS = 2048
"""RFC 7518, section 3.3."""
MAX_ENTRIES = 100
"""How many entries a JWKS may have."""
MAX_TRIED = 16
"""With how many keys one token is tried: each takes up to 0.1 ms, in which nothing else goes on."""

_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})
_PUBLIC_MEMBERS = {"RSA": ("n", "e"), "EC": ("x", "y"), "OKP": ("x",)}
"""Of each type of key (RFC 7518, section 6; RFC 8037, section 2): without `oct`, which is a secret."""

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A key that checks signatures of one algorithm, whatever a token says; `kid` is its name."""

    algorithm: str
    material: bytes | PublicKey = field(repr=False)
    kid: str | None = None


@dataclass(frozen=True, slots=True)
class KeySet:
    """Keys of one issuer. `goes_by_kid`: a token that names a key is checked with those of that name."""

    keys: tuple[TokenKey, ...]
    goes_by_kid: bool = False

    def fitting(self, algorithm: str, kid: str | None) -> tuple[TokenKey, ...]:
        """The first MAX_TRIED keys that a token may be signed with that names this algorithm and key."""
        is_named = self.goes_by_kid and kid is not None
        fitting = (
            key for key in self.keys if key.algorithm == algorithm and (not is_named or key.kid == kid)
        )
        return tuple(islice(fitting, MAX_TRIED))


def keys_of_secret(secret: str) -> KeySet:
    """The key that a shared secret is. Raises ValueError ("must be …") for what is a key of another kind."""
    material = secret.encode()
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(material)
    except jwt.InvalidKeyError:
        raise ValueError("must be a secret, and is a public key, a certificate or a JWK") from None
    return KeySet((TokenKey(OF_A_SECRET, material),))


def keys_of_pem(pem: bytes) -> KeySet:
    """The public key in a PEM (RFC 7468, section 13). Raises ValueError ("must be …") for anything else."""
    if b"PRIVATE KEY-----" in pem:
        raise ValueError(
            "must hold a public key, and holds a private one, which the issuer alone should have: "
            "`openssl pkey -pubout` gives its public one"
        )
    if b"-----BEGIN CERTIFICATE-----" in pem:
        raise ValueError(
            "must hold a public key, and holds a certificate: `openssl x509 -pubkey -noout` gives its key"
        )
    if pem.count(b"-----BEGIN ") > 1:
        raise ValueError("must hold one public key, and holds several: of an issuer with more take its JWKS")
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("must hold a public key in PEM (-----BEGIN PUBLIC KEY-----)") from None
    if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise ValueError(f"must have {MIN_RSA_BITS} bits at least, and has {key.key_size} (RFC 7518, 3.3)")
    algorithm = _algorithm_of(key)
    if algorithm is None:
        raise ValueError("must hold a key of RSA (RS256), of the curve P-256 (ES256) or Ed25519 (EdDSA)")
    return KeySet((TokenKey(algorithm, _public(key)),))


def keys_of_jwks(document: object) -> KeySet:
    """The keys of a JWKS (RFC 7517, section 5) that can check tokens, in its order.

    What is none is left out, and no other for its sake: a shared secret (`oct`), a key for something else
    than signatures (`use`, `key_ops`), one whose `alg` is not that of its type here, a weak one, one whose
    private part is told, and whatever is malformed. Raises ValueError where the document is no JWKS, or
    has over MAX_ENTRIES entries.
    """
    entries = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(entries, list):
        raise ValueError("it is no JSON object with a list of keys")
    if len(entries) > MAX_ENTRIES:
        raise ValueError(f"it has over {MAX_ENTRIES} keys")
    return KeySet(tuple(_counting(map(_key_of_jwk, entries))), goes_by_kid=True)


def _counting(keys: Iterable[TokenKey | None]) -> Iterable[TokenKey]:
    return (key for key in keys if key is not None)


def _key_of_jwk(entry: object) -> TokenKey | None:
    if not isinstance(entry, dict) or not _is_for_signatures(entry):
        return None
    kind, kid = entry.get("kty"), entry.get("kid")
    members = _PUBLIC_MEMBERS.get(kind, ()) if isinstance(kind, str) else ()
    if not members or not all(isinstance(entry.get(name), str) for name in members):
        return None
    if not isinstance(kid, str | None) or _PRIVATE_MEMBERS & entry.keys():
        return None
    try:
        key = jwt.PyJWK({name: entry[name] for name in ("kty", "crv", *members) if name in entry}).key
    except (jwt.PyJWTError, ValueError, UnsupportedAlgorithm):
        return None
    algorithm = _algorithm_of(key)
    if algorithm is None or entry.get("alg", algorithm) != algorithm:
        return None
    return TokenKey(algorithm, _public(key), kid)


def _is_for_signatures(entry: Mapping[str, Any]) -> bool:
    """RFC 7517, sections 4.2 and 4.3: both may be absent, and where they are there both count."""
    if entry.get("use", "sig") != "sig":
        return False
    operations = entry.get("key_ops", ["verify"])
    return isinstance(operations, list) and "verify" in operations


def _algorithm_of(key: object) -> str | None:
    """The one algorithm for a key of that type; None for a key that is not taken here."""
    if isinstance(key, RSAPublicKey):
        return "RS256" if key.key_size >= MIN_RSA_BITS else None
    if isinstance(key, EllipticCurvePublicKey):
        return "ES256" if isinstance(key.curve, SECP256R1) else None
    return "EdDSA" if isinstance(key, Ed25519PublicKey) else None


def _public(key: object) -> PublicKey:
    assert isinstance(key, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey)
    return key
