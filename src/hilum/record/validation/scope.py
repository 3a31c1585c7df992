"""The resource that is being looked at, and those around it: container, bundle entry, contained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hilum.record.resource import Tree

__all__ = ["Scope"]


@dataclass(slots=True)
class Scope:
    """One resource with what its references can lead to.

    Attributes:
        tree: the resource.
        holder: the resource that contains it, itself when it is not contained.
        entries: full urls of the innermost bundle around it → resources; empty outside of one.
        full_url: of its bundle entry, or ``""``.
        bundle_type: ``type`` of the innermost bundle around it, or ``""``.
    """

    tree: Tree
    holder: Tree
    entries: Mapping[str, list[Tree]] = field(default_factory=dict)
    full_url: str = ""
    bundle_type: str = ""

    def contained(self, own_id: str) -> Tree | None:
        """Return the contained resource of an id; the holder itself for ``""``."""
        if not own_id:
            return self.holder
        inner = self.holder.get("contained")
        for each in inner if isinstance(inner, list) else ():
            if isinstance(each, dict) and each.get("id") == own_id:
                return each
        return None

    def in_bundle(self, reference: str) -> list[Tree]:
        """Return the entries of the bundle that a reference means.

        A relative reference is completed with the base of the entry's own full url; where that is
        no RESTful url, it is none of the entries.

        Source: HL7 FHIR R4, bundle.html#references.
        """
        if ":" in reference.partition("/")[0]:
            return self.entries.get(reference.partition("/_history/")[0], [])
        base = base_of(self.full_url)
        plain = reference.partition("/_history/")[0]
        return self.entries.get(f"{base}{plain}", []) if base else []

    def into(self, other: Tree) -> Scope:
        """Return the scope of another resource around here: contained, or of the same bundle."""
        for each in self.holder.get("contained", ()):
            if each is other:
                return Scope(other, self.holder, self.entries, self.full_url, self.bundle_type)
        for url, found in self.entries.items():
            if any(each is other for each in found):
                return Scope(other, other, self.entries, url, self.bundle_type)
        return Scope(other, other)

    def same_name(self, reference: str) -> bool:
        """Tell whether an entry has the type and id of a relative reference, whatever its url."""
        kind, _, own_id = reference.partition("/_history/")[0].rpartition("/")
        kind = kind.rpartition("/")[2]
        return any(
            each.get("resourceType") == kind and each.get("id") == own_id
            for found in self.entries.values()
            for each in found
        )


def base_of(full_url: str) -> str:
    """Return the base of a RESTful full url with its ``/``, or ``""``."""
    if not full_url.startswith(("http://", "https://")):
        return ""
    return full_url.rpartition("/")[0].rpartition("/")[0] + "/"
