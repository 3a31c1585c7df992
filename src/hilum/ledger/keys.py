"""Owner keys: one per cell, derived, never reused; and operations signed with them.

Key n = HKDF-SHA256(root, info = "hilum/owner/v1" ‖ ledger id ‖ n u64), 48 bytes, reduced to a
scalar of secp256k1 other than 0.

Source: FIPS 186-5 appendix A.2.1 (extra random bits keep the reduction unbiased).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hilum.ledger.operation import Kind, Operation, encode_operation, operation_message

if TYPE_CHECKING:
    from coincurve import PrivateKey

    from hilum.ledger.cell import Rule

__all__ = ["Signer"]

INFO: Final = b"hilum/owner/v1"
ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Signer:
    """Makes signed operations for cells whose keys come from one root.

    Args:
        root: 32 secret bytes: the custodial root, or a subject's vault root.
        ledger: the ledger's id, 32 bytes.
    """

    __slots__ = ("_ledger", "_root")

    def __init__(self, root: bytes, ledger: bytes) -> None:
        self._root = root
        self._ledger = ledger

    def owner(self, key: int) -> bytes:
        """Return the x-only public key of owner key number `key`, 32 bytes."""
        return self._key(key).public_key_xonly.format()

    def open(self, key: int, *, rule: Rule, value: bytes, until: int = 0) -> bytes:
        """Return a signed `open`.

        Args:
            key: number of a key that has not served yet.
            rule: of the cell.
            value: commitment, 32 bytes.
            until: Bitcoin height, 0 = no end.
        """
        private = self._key(key)
        owner = private.public_key_xonly.format()
        operation = Operation(Kind.OPEN, rule=rule, until=until, owner=owner, value=value)
        return self._sign(operation, private, 0)

    def set(self, key: int, *, index: int, seq: int, value: bytes) -> bytes:
        """Return a signed `set` for the cell `index` that stands at `seq`."""
        return self._sign(Operation(Kind.SET, index=index, value=value), self._key(key), seq)

    def append(self, key: int, *, index: int, seq: int, size: int, value: bytes) -> bytes:
        """Return a signed `append` for the cell `index` that stands at `seq`."""
        return self._sign(
            Operation(Kind.APPEND, index=index, size=size, value=value), self._key(key), seq
        )

    def close(self, key: int, *, index: int, seq: int) -> bytes:
        """Return a signed `close` for the cell `index` that stands at `seq`."""
        return self._sign(Operation(Kind.CLOSE, index=index), self._key(key), seq)

    def rotate(self, key: int, *, index: int, seq: int, owner: bytes) -> bytes:
        """Return a signed `rotate` that hands the cell `index` to a fresh owner key."""
        return self._sign(Operation(Kind.ROTATE, index=index, owner=owner), self._key(key), seq)

    def _sign(self, operation: Operation, private: PrivateKey, seq: int) -> bytes:
        unsigned = encode_operation(operation, signed=False)
        message = operation_message(self._ledger, unsigned, seq)
        # BIP340 allows auxiliary randomness of zeros; so the same call gives the same bytes.
        return unsigned + private.sign_schnorr(message, bytes(32))

    def _key(self, key: int) -> PrivateKey:
        from coincurve import PrivateKey  # noqa: PLC0415  # heavy: only where something is signed
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415  # as above
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415  # as above

        info = INFO + self._ledger + key.to_bytes(8, "big")
        wide = HKDF(algorithm=SHA256(), length=48, salt=None, info=info).derive(self._root)
        scalar = int.from_bytes(wide, "big") % (ORDER - 1) + 1
        return PrivateKey(scalar.to_bytes(32, "big"))
