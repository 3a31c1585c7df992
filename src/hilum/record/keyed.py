"""Keyed 64-bit hashes: what index columns hold instead of codes, identifiers and references.

Equality still works; without the key nothing is learnt from a stolen file but which rows are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b

__all__ = ["NO_SYSTEM", "UCUM_CANONICAL", "URI_BELOW", "KeyedHash", "pack_hashes"]

NO_SYSTEM = 0
"""What stands in the system column of a token without a system."""
URI_BELOW = 1
"""What stands there beside every ancestor of a uri, for ``:below``."""
UCUM_CANONICAL = 2
"""What stands there in the row of a quantity in canonical UCUM units."""

_CACHE = 1 << 16


class KeyedHash:
    """The hash functions of one node's indexes; version 1.

    Args:
        key: 16 to 64 secret bytes, the same for the life of the store.
    """

    def __init__(self, key: bytes) -> None:
        self.code = _cached(key, b"hilum/code/v1")
        """Hash of a token's code or an identifier's value."""
        self._system = _cached(key, b"hilum/system/v1")
        self._of_type = _cached(key, b"hilum/of-type/v1")
        self._coding = _cached(key, b"hilum/coding/v1")
        # References are mostly seen once or twice: still cached, since a subject's repeats all the
        # time.
        self.reference = _cached(key, b"hilum/ref/v1")
        """Hash of a reference, e.g. of ``Patient/123``."""

    def system(self, system: str) -> int:
        """Return the hash of a token's system; `NO_SYSTEM` for the empty one."""
        return self._system(system) if system else NO_SYSTEM

    def of_type(self, system: str, code: str) -> int:
        """Return what stands in the system column for an identifier of a type, for ``:of-type``."""
        return self._of_type(f"{system}|{code}")

    def coding(self, system: str, code: str) -> int:
        """Return the hash of a whole coding, as consent windows name it."""
        return self._coding(f"{system}|{code}")


def _cached(key: bytes, person: bytes) -> Callable[[str], int]:
    start = blake2b(digest_size=8, key=key, person=person)

    @lru_cache(maxsize=_CACHE)
    def keyed(text: str) -> int:
        state = start.copy()
        state.update(text.encode("utf-8", "surrogatepass"))
        return int.from_bytes(state.digest(), "little", signed=True)

    return keyed


def pack_hashes(hashes: set[int]) -> bytes:
    """Return hashes as sorted 8-byte little-endian words; SQL finds one with ``instr``."""
    if not hashes:
        return b""
    return b"".join(value.to_bytes(8, "little", signed=True) for value in sorted(hashes))
