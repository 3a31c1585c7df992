"""Uris as paths, for ``:above`` and ``:below``."""

from __future__ import annotations

from functools import lru_cache

__all__ = ["MOST_ANCESTORS", "uri_ancestors"]

MOST_ANCESTORS = 24
"""Longest chain that is indexed; of a deeper uri only the uri and the outermost parts are."""


@lru_cache(maxsize=1 << 12)
def uri_ancestors(uri: str) -> tuple[str, ...]:
    """Return a uri and everything that it lies below, outermost first; never a scheme alone.

    A path is cut at ``/``, a ``urn:`` or ``oid:`` at ``:`` and ``.``; a slash at the end says nothing.

    Source: HL7 FHIR R4, search, "uri".
    """
    plain = uri.rstrip("/")
    scheme, colons, _ = plain.partition("://")
    if colons:
        start, separators = len(scheme) + len(colons), "/"
    elif plain.startswith(("urn:", "oid:")):
        start, separators = 4, ":."
    else:
        start, separators = 0, "/"
    cuts = [i for i in range(start + 1, len(plain)) if plain[i] in separators]
    return (*(plain[:cut] for cut in cuts[: MOST_ANCESTORS - 1]), plain) if plain else ()
