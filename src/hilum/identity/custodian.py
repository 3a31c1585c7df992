"""The custodian's Ed25519 key and its did:key.

Source: did:key Method v0.9 (W3C CCG), multicodec ``ed25519-pub`` 0xed01, multibase base58btc ``z``.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hilum.errors import MalformedInputError, VerificationError

__all__ = ["CustodianKey", "did_key", "parse_did_key", "verify_signature"]

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUE = {letter: value for value, letter in enumerate(_ALPHABET)}
_ED25519 = b"\xed\x01"
_DID_PREFIX = "did:key:z"
_LONGEST = 128


class CustodianKey:
    """The key that signs checkpoints; made from a seed that the vault derives.

    Args:
        seed: 32 bytes (`vault.derive(node_key, KeyPurpose.CHECKPOINT)`).
    """

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw()
        """32 bytes."""
        self.did = did_key(self.public)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of the message."""
        return self._key.sign(message)


def verify_signature(public: bytes, message: bytes, signature: bytes) -> None:
    """Check an Ed25519 signature.

    Raises:
        VerificationError: when it does not hold (step ``signature``).
    """
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise VerificationError("signature", "the signature does not hold") from None


def did_key(public: bytes) -> str:
    """Return the did:key of a 32-byte Ed25519 public key."""
    return _DID_PREFIX + _base58(_ED25519 + public)


def parse_did_key(did: str) -> bytes:
    """Return the 32-byte Ed25519 public key of a did:key.

    Raises:
        MalformedInputError: when it is not the did:key of one, in its only spelling.
    """
    body = did.removeprefix(_DID_PREFIX)
    if body == did or len(did) > _LONGEST or any(letter not in _VALUE for letter in body):
        raise MalformedInputError("bad-did", "not a did:key in base58btc", where="did")
    number = 0
    for letter in body:
        number = number * 58 + _VALUE[letter]
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    if len(data) != 34 or data[:2] != _ED25519 or _base58(data) != body:
        raise MalformedInputError("bad-did", "not the did:key of an Ed25519 key", where="did")
    return data[2:]


def _base58(data: bytes) -> str:
    number = int.from_bytes(data, "big")
    letters = []
    while number:
        number, rest = divmod(number, 58)
        letters.append(_ALPHABET[rest])
    return "".join(reversed(letters))
