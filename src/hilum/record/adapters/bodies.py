"""Bodies on their way into the store and out of it: packed, then sealed."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hilum.base.ids import CompartmentId, FhirId, UnixMs
from hilum.record.adapters.layout import Raw
from hilum.record.change import Method, Row, Version
from hilum.record.payload import Packer
from hilum.record.types import type_names, type_number

__all__ = ["Bodies", "Seal"]

Seal = Callable[..., bytes]
"""``seal(body, *, cid, type_number, id, ver, seg)`` of the vault, and its inverse ``open``."""

_METHODS = {int(method): method for method in Method}


class Bodies:
    """Packs and seals, opens and unpacks.

    Args:
        seal: the vault's seal.
        unseal: the vault's open.
    """

    def __init__(self, seal: Seal, unseal: Seal) -> None:
        self._seal = seal
        self._unseal = unseal
        self._names = type_names()
        # zstd contexts serve one thread at a time; each thread makes its own.
        self._local = threading.local()

    def _packer(self) -> Packer:
        packer: Packer | None = getattr(self._local, "packer", None)
        if packer is None:
            packer = self._local.packer = Packer()
        return packer

    def close(self, version: Version, author: str | None) -> bytes:
        """Return the sealed body of a version."""
        return self._seal(
            self._packer().pack(version.body, author),
            cid=version.cid,
            type_number=type_number(version.type),
            id=version.id,
            ver=version.ver,
            seg=version.seg,
        )

    def open(self, raw: Raw) -> tuple[bytes, str | None]:
        """Return body and contributor of a stored row; an empty body for a deletion.

        Raises:
            VerificationError: from the vault when the body was tampered with or its key is gone.
        """
        cid, _, number, own_id, ver, seg, _, _, _, sealed = raw
        if sealed is None:
            return b"", None
        payload = self._unseal(sealed, cid=cid, type_number=number, id=own_id, ver=ver, seg=seg)
        return self._packer().unpack(payload)

    def row(self, raw: Raw) -> Row:
        """Return a stored row with its body open."""
        body, _ = self.open(raw)
        cid, rid, number, own_id, ver, seg, ts, updated, method, _ = raw
        return Row(
            CompartmentId(cid), rid, self._names[number], FhirId(own_id), ver, seg,
            UnixMs(ts), UnixMs(updated), body, _METHODS[method],
        )  # fmt: skip
