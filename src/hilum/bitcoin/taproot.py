"""Taproot outputs and signatures: key path, and one-leaf script path.

Key tweaks and signature hashes come from btclib, signatures from libsecp256k1; no curve arithmetic
here.
Source: BIP340, BIP341, BIP342.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from btclib.script import sig_hash, taproot
from btclib.tx import Tx
from btclib.tx import TxOut as LibraryTxOut
from coincurve import PrivateKey, PublicKeyXOnly

from hilum.base.hashes import tagged_hash
from hilum.bitcoin.transaction import Transaction, TxOut
from hilum.errors import MalformedInputError

__all__ = [
    "SIGHASH_DEFAULT",
    "TaprootKey",
    "control_block",
    "derive_key",
    "leaf_hash",
    "output_script",
    "sign_key_path",
    "sign_script_path",
    "signature_hash",
]

SIGHASH_DEFAULT = 0
"""Commits to the whole transaction; the signature is 64 bytes. Source: BIP341."""
_LEAF_VERSION = 0xC0
_KEY_TAG = "hilum/bitcoin/key/v1"
_NO_SEPARATOR = b"\xff\xff\xff\xff"
_TAPSCRIPT_KEY_VERSION = b"\x00"


@dataclass(frozen=True, slots=True)
class TaprootKey:
    """An internal key.

    Attributes:
        secret: 32 bytes; not shown.
    """

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        try:
            PrivateKey(self.secret)
        except ValueError:
            # "from None": the library's message is built from the secret's own text
            raise MalformedInputError("bad-key", "not a secp256k1 secret key") from None

    @property
    def public(self) -> bytes:
        """The x-only internal key, 32 bytes."""
        return PublicKeyXOnly.from_secret(self.secret).format()


def derive_key(seed: bytes, purpose: str) -> TaprootKey:
    """Return the key for a purpose; the same seed and purpose give the same key.

    Args:
        seed: at least 16 secret bytes.
        purpose: e.g. ``"wallet"``.

    Raises:
        MalformedInputError: when the seed is too short (or, once in 2¹²⁸, yields no key).
    """
    if len(seed) < 16:
        raise MalformedInputError("short-seed", "a seed needs at least 16 bytes")
    return TaprootKey(tagged_hash(_KEY_TAG, purpose.encode(), b"\x00", seed))


def leaf_hash(script: bytes) -> bytes:
    """Return the hash of a tapscript leaf; of a one-leaf tree it is the Merkle root too."""
    return bytes(taproot.leaf_hash(_LEAF_VERSION, script))


def output_script(internal: bytes, root: bytes = b"") -> bytes:
    """Return the output script ``OP_1 <output key>``, 34 bytes.

    Args:
        internal: x-only key, 32 bytes.
        root: Merkle root of the script tree, or ``b""`` for key path only.
    """
    key, _ = taproot.output_pubkey_from_merkle_root_var(internal, root)
    return b"\x51\x20" + bytes(key)


def control_block(internal: bytes, script: bytes) -> bytes:
    """Return the control block of a tree whose only leaf is the script, 33 bytes."""
    _, parity = taproot.output_pubkey_from_merkle_root_var(internal, leaf_hash(script))
    return bytes([_LEAF_VERSION | parity]) + internal


def signature_hash(
    transaction: Transaction,
    index: int,
    *,
    spent: Sequence[TxOut],
    leaf: bytes = b"",
    hash_type: int = SIGHASH_DEFAULT,
) -> bytes:
    """Return what the signature of one input signs, 32 bytes.

    Args:
        transaction: its witnesses do not matter.
        index: of the input.
        spent: the outputs that the inputs spend, in the order of the inputs.
        leaf: hash of the leaf that runs, or ``b""`` for the key path.
        hash_type: which parts are signed.
    """
    extension = leaf + _TAPSCRIPT_KEY_VERSION + _NO_SEPARATOR if leaf else b""
    # we built or parsed it ourselves: checking again would cost more than signing
    library = Tx.parse(transaction.strip(), check_validity=False)
    outputs = [LibraryTxOut(each.value, each.script, check_validity=False) for each in spent]
    found = sig_hash.taproot(library, index, outputs, hash_type, int(bool(leaf)), b"", extension)
    return bytes(found)


def sign_key_path(
    key: TaprootKey, message: bytes, *, aux: bytes, root: bytes = b""
) -> tuple[bytes, ...]:
    """Return the witness that spends by the output key.

    Args:
        key: the internal key.
        message: the signature hash, 32 bytes.
        aux: 32 random bytes, against side channels.
        root: as in `output_script`.
    """
    tweaked = taproot.output_prvkey_from_merkle_root(int.from_bytes(key.secret, "big"), root)
    return (PrivateKey(tweaked.to_bytes(32, "big")).sign_schnorr(message, aux),)


def sign_script_path(
    key: TaprootKey, message: bytes, *, aux: bytes, script: bytes
) -> tuple[bytes, ...]:
    """Return the witness that spends by the only leaf, which checks one signature of the key.

    Args:
        key: the internal key; also the key in the script.
        message: the signature hash, 32 bytes.
        aux: 32 random bytes, against side channels.
        script: the leaf.
    """
    signature = PrivateKey(key.secret).sign_schnorr(message, aux)
    return (signature, script, control_block(key.public, script))
