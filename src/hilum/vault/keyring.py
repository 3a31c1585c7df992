"""Seal and open bodies under the key of their (compartment, segment, epoch).

```
sealed = version u8 | epoch u32 | nonce 12 | AES-256-GCM(ciphertext, tag)
AAD    = version u8 | pseudonym 16 | type u16 | version u64 | segments u16 | epoch u32 | id
```

The segment key itself seals each body: deriving one key per resource (HMAC, then a key schedule)
costs more than sealing does (measured: 6.6 µs beside 4.1 µs). One resource is released alone by
sealing it anew. The full AAD keeps bodies from being swapped, moved or rolled back all the same.
A key seals at most 2^32 bodies with random nonces; `rotate` starts a fresh epoch long before.
Source: NIST SP 800-38D section 8.3.
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hilum.errors import ConflictError, MalformedInputError, UnavailableError, VerificationError
from hilum.vault.keys import KEY_BYTES, Entropy, KeyPurpose, derive, unwrap, wrap

__all__ = ["DIRECTIVE_SEGMENT", "RECEIPT_SEGMENT", "KeyStore", "Keyring", "key_segment"]

SEALED_VERSION = 1
RECEIPT_SEGMENT = 1 << 15
"""Pseudo segment of receipts: not clinical, so that receipts can outlive a clinical key."""
DIRECTIVE_SEGMENT = 1 << 14
"""Pseudo segment of directives and break-glass rows."""

_PRIORITY = (8, 4, 2, 64, 16, 32, 128, 1, DIRECTIVE_SEGMENT, RECEIPT_SEGMENT)
"""HIV > SUD > PSY > GEN > SEX > ETH > DEV > NORMAL (bits of `record.access.Segment`), then ours."""
_HEAD = struct.Struct(">BI")
_AAD = struct.Struct(">B16sHQHI")
_HEAD_BYTES = _HEAD.size
_BODY_AT = _HEAD_BYTES + 12
_SHORTEST = _BODY_AT + 16
_CACHE_LIMIT = 1 << 16


class KeyStore(Protocol):
    """Durable home of wrapped keys. `add` returns only when the key would survive a crash."""

    def newest(self, cid: int, segment: int) -> tuple[int, bytes] | None:
        """Return (epoch, wrapped) of the newest key, or None."""
        ...

    def find(self, cid: int, segment: int, epoch: int) -> bytes | None:
        """Return the wrapped key of that epoch, or None."""
        ...

    def add(self, cid: int, segment: int, epoch: int, wrapped: bytes) -> None:
        """Keep a new wrapped key."""
        ...

    def segments(self, cid: int) -> tuple[int, ...]:
        """Return the segment bits that have a key."""
        ...

    def next_epoch(self, cid: int, segment: int) -> int:
        """Return an epoch above every one ever used there, shredded ones included."""
        ...

    def shred(self, cid: int) -> int:
        """Destroy every wrapped key of the compartment; return how many."""
        ...


def key_segment(mask: int) -> int:
    """Return the one segment bit whose key seals a body that lies in all segments of the mask.

    Raises:
        MalformedInputError: when the mask names no known segment or an unknown one.
    """
    bit = _KEY_OF.get(mask)
    if bit is None:
        bit = next((b for b in _PRIORITY if mask & b), 0)
        if not bit or mask & ~_ALL or mask < 0:
            raise MalformedInputError("bad-segment", "not a mask of known segments", where="seg")
        _KEY_OF[mask] = bit
    return bit


_ALL = sum(_PRIORITY)
_KEY_OF: dict[int, int] = {}


class Keyring:
    """Opened keys, cached; the only place where a segment key exists in the clear.

    Safe between threads without a lock: caches are read and written by single dict operations; two
    threads that create the same key meet in the store, where one wins; what was opened while `shred` or
    `rotate` ran is used once and not kept (`_generation`).

    Args:
        node_key: 32 bytes.
        store: where wrapped keys rest.
        entropy: source of random bytes.
    """

    def __init__(self, node_key: bytes, store: KeyStore, *, entropy: Entropy) -> None:
        self._kek = AESGCM(derive(node_key, KeyPurpose.KEK))
        self._pseudonym_key = derive(node_key, KeyPurpose.PSEUDONYM)
        self._store = store
        self._entropy = entropy
        self._generation = 0
        self._current: dict[tuple[int, int], tuple[AESGCM, int, bytes, bytes]] = {}
        self._opened: dict[tuple[int, int, int], tuple[AESGCM, bytes]] = {}

    def seal(
        self, body: bytes, *, cid: int, type_number: int, id: str, ver: int, seg: int
    ) -> bytes:
        """Return the body sealed for this place and no other.

        Args:
            body: clear bytes.
            cid: compartment.
            type_number: number of the resource type; 0 for what is not a resource.
            id: the resource's id or the name of the row.
            ver: version of the row.
            seg: mask of segments, or a pseudo segment.

        Raises:
            MalformedInputError: when `seg` is not a mask of known segments.
            VerificationError: when the stored key does not unwrap.
            UnavailableError: when the key store cannot be written.
        """
        held = self._current.get((cid, seg))
        if held is None:
            held = self._ensure(cid, seg)
        key, epoch, head, pseudonym = held
        nonce = self._entropy(12)
        aad = _AAD.pack(SEALED_VERSION, pseudonym, type_number, ver, seg, epoch) + id.encode()
        return head + nonce + key.encrypt(nonce, body, aad)

    def open(
        self, sealed: bytes, *, cid: int, type_number: int, id: str, ver: int, seg: int
    ) -> bytes:
        """Return the clear bytes of a sealed body.

        Raises:
            VerificationError: when it was altered, moved or rolled back (step ``seal``).
            UnavailableError: when its key was destroyed (code ``shredded``).
            MalformedInputError: when `seg` is not a mask of known segments.
        """
        if len(sealed) < _SHORTEST or sealed[0] != SEALED_VERSION:
            raise VerificationError("seal", "not a sealed body of this version", where="body")
        epoch = _HEAD.unpack_from(sealed)[1]
        held = self._opened.get((cid, seg, epoch))
        if held is None:
            held = self._reopen(cid, seg, epoch)
        key, pseudonym = held
        aad = _AAD.pack(SEALED_VERSION, pseudonym, type_number, ver, seg, epoch) + id.encode()
        try:
            return key.decrypt(sealed[_HEAD_BYTES:_BODY_AT], sealed[_BODY_AT:], aad)
        except InvalidTag:
            raise VerificationError(
                "seal", "a sealed body was altered or moved", where="body"
            ) from None

    def rotate(self, cid: int, *, segments: int) -> dict[int, int]:
        """Start a new epoch for what is sealed from now on; what was sealed before stays readable.

        Args:
            cid: compartment.
            segments: mask of segments; those without a key yet are left alone.

        Returns:
            segment bit → new epoch.

        Raises:
            UnavailableError: when the key store cannot be written.
        """
        bits = [bit for bit in self._store.segments(cid) if bit & segments]
        fresh = {bit: self._create(cid, bit, self._store.next_epoch(cid, bit))[0] for bit in bits}
        self._forget(cid)
        return fresh

    def shred(self, cid: int) -> int:
        """Destroy every key of the compartment, here and in the store; return how many.

        Raises:
            UnavailableError: when the key store cannot be written.
        """
        try:
            return self._store.shred(cid)
        finally:
            self._forget(cid)

    def forget(self) -> None:
        """Drop every opened key: another process may have shredded some."""
        self._generation += 1
        self._current, self._opened = {}, {}

    def forget_compartment(self, cid: int) -> None:
        """Drop the opened keys of a compartment that another process shredded."""
        self._forget(cid)

    def holds(self, cid: int) -> bool:
        """Tell whether any key of the compartment exists."""
        return bool(self._store.segments(cid))

    def pseudonym(self, cid: int) -> bytes:
        """Return the 16 bytes that stand for a compartment in sealed contexts and logs."""
        return blake2b(
            cid.to_bytes(8, "big"), key=self._pseudonym_key, digest_size=16, person=b"hilum/cid/v1"
        ).digest()

    def _ensure(self, cid: int, seg: int) -> tuple[AESGCM, int, bytes, bytes]:
        bit, generation = key_segment(seg), self._generation
        next_epoch = self._store.next_epoch(cid, bit)  # before looking: who comes second conflicts
        epoch, key = self._newest(cid, bit) or self._create(cid, bit, next_epoch)
        cipher, pseudonym = AESGCM(key), self.pseudonym(cid)
        held = (cipher, epoch, _HEAD.pack(SEALED_VERSION, epoch), pseudonym)
        self._trim()
        self._opened[cid, seg, epoch] = (cipher, pseudonym)
        self._current[cid, seg] = held
        if generation != self._generation:
            self._forget(cid)
        return held

    def _reopen(self, cid: int, seg: int, epoch: int) -> tuple[AESGCM, bytes]:
        bit, generation = key_segment(seg), self._generation
        wrapped = self._store.find(cid, bit, epoch)
        if wrapped is None:
            raise UnavailableError(
                "shredded", "the key of this body no longer exists", retryable=False
            )
        held = (AESGCM(unwrap(self._kek, wrapped, context=(cid, bit, epoch))), self.pseudonym(cid))
        self._trim()
        self._opened[cid, seg, epoch] = held
        if generation != self._generation:
            self._forget(cid)
        return held

    def _newest(self, cid: int, bit: int) -> tuple[int, bytes] | None:
        known = self._store.newest(cid, bit)
        if known is None:
            return None
        epoch, wrapped = known
        return epoch, unwrap(self._kek, wrapped, context=(cid, bit, epoch))

    def _create(self, cid: int, bit: int, epoch: int) -> tuple[int, bytes]:
        key = self._entropy(KEY_BYTES)
        context = (cid, bit, epoch)
        wrapped = wrap(self._kek, key, context=context, nonce=self._entropy(12))
        try:
            self._store.add(cid, bit, epoch, wrapped)
        except ConflictError:
            found = self._newest(cid, bit)
            if found is None:
                raise
            return found
        return epoch, key

    def _forget(self, cid: int) -> None:
        self._generation += 1
        for current in [place for place in list(self._current) if place[0] == cid]:
            self._current.pop(current, None)
        for opened in [place for place in list(self._opened) if place[0] == cid]:
            self._opened.pop(opened, None)

    def _trim(self) -> None:
        if len(self._opened) > _CACHE_LIMIT:
            self._current, self._opened = {}, {}
