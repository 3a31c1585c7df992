"""The resource that is being looked at, and those around it: container, bundle entry, contained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from hilum.record.resource import Tree

__all__ = ["Contained", "Entries", "Scope"]


class Entries:
    """The resources of a bundle, found by what references say.

    Args:
        pairs: full urls and resources.
    """

    def __init__(self, pairs: Iterable[tuple[str, Tree]] = ()) -> None:
        self.by_url: dict[str, list[Tree]] = {}
        for url, resource in pairs:
            self.by_url.setdefault(url, []).append(resource)

    @cached_property
    def names(self) -> frozenset[tuple[object, object]]:
        """The (type, id) of every entry."""
        found = [each for trees in self.by_url.values() for each in trees]
        return frozenset((each.get("resourceType"), each.get("id")) for each in found)

    @cached_property
    def urls(self) -> dict[int, str]:
        """The full url of every resource, by its identity in memory."""
        return {id(each): url for url, trees in self.by_url.items() for each in trees}


class Contained:
    """The contained resources of a resource, found by their id.

    Args:
        holder: the resource that contains them.
    """

    def __init__(self, holder: Tree) -> None:
        self.holder = holder

    @cached_property
    def by_id(self) -> dict[object, Tree]:
        """The first contained resource of each id."""
        found: dict[object, Tree] = {}
        inner = self.holder.get("contained")
        for each in inner if isinstance(inner, list) else ():
            if isinstance(each, dict):
                found.setdefault(each.get("id"), each)
        return found

    @cached_property
    def identities(self) -> frozenset[int]:
        """The contained resources by their identity in memory."""
        return frozenset(id(each) for each in self.holder.get("contained", ()))


@dataclass(slots=True)
class Scope:
    """One resource with what its references can lead to.

    Attributes:
        tree: the resource.
        inside: what its container contains, or it itself when it is not contained.
        entries: of the innermost bundle around it; none outside of one.
        full_url: of its bundle entry, or ``""``.
        bundle_type: ``type`` of the innermost bundle around it, or ``""``.
    """

    tree: Tree
    inside: Contained
    entries: Entries = field(default_factory=Entries)
    full_url: str = ""
    bundle_type: str = ""

    @classmethod
    def of(cls, tree: Tree) -> Scope:
        """Return the scope of a resource that stands alone."""
        return cls(tree, Contained(tree))

    @property
    def is_contained(self) -> bool:
        """True for a contained resource."""
        return self.tree is not self.inside.holder

    def contained(self, own_id: str) -> Tree | None:
        """Return the contained resource of an id; the container itself for ``""``."""
        return self.inside.by_id.get(own_id) if own_id else self.inside.holder

    def in_bundle(self, reference: str) -> list[Tree]:
        """Return the entries of the bundle that a reference means.

        A relative reference is completed with the base of the entry's own full url; where that is
        no RESTful url, it is none of the entries.

        Source: HL7 FHIR R4, bundle.html#references.
        """
        plain = reference.partition("/_history/")[0]
        if ":" in plain.partition("/")[0]:
            return self.entries.by_url.get(plain, [])
        base = _base_of(self.full_url)
        return self.entries.by_url.get(f"{base}{plain}", []) if base else []

    def into(self, other: Tree) -> Scope:
        """Return the scope of another resource around here: contained, or of the same bundle."""
        if id(other) in self.inside.identities:
            return Scope(other, self.inside, self.entries, self.full_url, self.bundle_type)
        url = self.entries.urls.get(id(other))
        if url is None:
            return Scope.of(other)
        return Scope(other, Contained(other), self.entries, url, self.bundle_type)

    def same_name(self, reference: str) -> bool:
        """Tell whether an entry has the type and id of a relative reference, whatever its url."""
        kind, _, own_id = reference.partition("/_history/")[0].rpartition("/")
        return (kind.rpartition("/")[2], own_id) in self.entries.names


def _base_of(full_url: str) -> str:
    """Return the base of a RESTful full url with its ``/``, or ``""``."""
    if not full_url.startswith(("http://", "https://")):
        return ""
    return full_url.rpartition("/")[0].rpartition("/")[0] + "/"
