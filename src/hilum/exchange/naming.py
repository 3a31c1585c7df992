"""Names that contributors choose: each in a name space of its own, so that a PUT cannot probe.

An id that a client chooses begins with the mark of its name space, which belongs to one contributor
and one patient. Nobody else ever makes an id in it; so whether such an id is taken tells its holder
nothing but what the holder did itself, and every other id that the holder does not see is refused in
the same words, whether something hidden has it or nothing.

Source: design/consent.md §6; docs/decisions, client-chosen ids.
"""

from __future__ import annotations

from base64 import b32encode
from hashlib import sha256

__all__ = ["is_own_name", "name_space"]

_DOMAIN = b"hilum/name-space/v1\0"
_MARK_LENGTH = 12
"""Characters of base 32: 60 bits, so that no two name spaces meet by chance."""


def name_space(contributor: str, subject: str) -> str:
    """Return how ids begin that a contributor chooses for a patient's data.

    Anyone can work it out: base 32, in lower case, of SHA-256 over the domain, the reference of the
    contributor, a zero byte and the id of the patient; twelve characters and a dot.

    Args:
        contributor: reference of who writes, e.g. ``Organization/…`` or ``Patient/…``.
        subject: id of the patient.
    """
    digest = sha256(_DOMAIN + contributor.encode() + b"\0" + subject.encode()).digest()
    return b32encode(digest).decode()[:_MARK_LENGTH].lower() + "."


def is_own_name(id: str, *, contributor: str, subject: str) -> bool:
    """Tell whether an id lies in the contributor's name space for a patient."""
    mark = name_space(contributor, subject)
    return id.startswith(mark) and len(id) > len(mark)
