"""Rules of bundles: full urls, searchsets, documents and messages that hold what they refer to.

Source: HL7 FHIR R4, bundle.html, documents.html, messaging.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from hilum.record.resource import Tree
from hilum.record.types import is_resource_type
from hilum.record.validation.model import Findings
from hilum.record.validation.scope import Contained, Entries, Scope

__all__ = ["check_bundle", "entries_of", "scope_of_entry"]

_RESTFUL = re.compile(r"https?://.*/([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})")
_WITHOUT_URLS = frozenset({"transaction", "batch", "transaction-response", "batch-response"})
_ONCE = frozenset({"self", "first", "previous", "prev", "next", "last"})


def entries_of(bundle: Tree) -> Entries:
    """Return the resources of a bundle that have a full url."""
    return Entries(
        (entry["fullUrl"], entry["resource"])
        for entry in bundle.get("entry", ())
        if isinstance(entry.get("fullUrl"), str) and isinstance(entry.get("resource"), dict)
    )


def scope_of_entry(bundle: Tree, entry: Tree, entries: Entries, resource: Tree) -> Scope:
    """Return the scope of the resource of an entry."""
    url = entry.get("fullUrl")
    full_url = url if isinstance(url, str) else ""
    return Scope(resource, Contained(resource), entries, full_url, str(bundle.get("type", "")))


def check_bundle(bundle: Tree, place: str, findings: Findings) -> None:
    """Check a bundle as a whole.

    Args:
        bundle: its tree, of sound structure.
        place: its FHIRPath.
        findings: where to write.
    """
    kind = bundle.get("type")
    for index, entry in enumerate(bundle.get("entry", ())):
        _check_full_url(entry, kind, f"{place}.entry[{index}]", findings)
    if kind == "searchset":
        _check_search(bundle, place, findings)
    elif kind == "document":
        _check_linked(bundle, "Composition", place, findings)
    elif kind == "message":
        _check_linked(bundle, "MessageHeader", place, findings)


def _check_full_url(entry: Tree, kind: object, place: str, findings: Findings) -> None:
    url, resource = entry.get("fullUrl"), entry.get("resource")
    if not isinstance(url, str):
        if resource is not None and kind not in _WITHOUT_URLS:
            findings.error("required", place, "the entry needs a fullUrl")
        return
    if ":" not in url.partition("/")[0]:
        findings.error("invalid", place, "the fullUrl must be absolute")
        return
    if not isinstance(resource, dict) or "id" not in resource:
        return
    name = _RESTFUL.fullmatch(url.partition("/_history/")[0])
    if name is None or not is_resource_type(name[1]):
        return
    if name.groups() != (resource.get("resourceType"), resource["id"]):
        findings.error("invalid", place, "the fullUrl does not end with the type and id")


# -- searchsets ------------------------------------------------------------------------------------


def _check_search(bundle: Tree, place: str, findings: Findings) -> None:
    links = [link.get("relation") for link in bundle.get("link", ())]
    for relation in sorted(_ONCE & set(links)):
        if links.count(relation) > 1:
            why = "only one link of this relation may be given"
            findings.error("invalid", f"{place}.link[{_last(links, relation)}]", why)
    if "self" not in links:
        findings.warn("required", place, "a searchset should say what was searched")
    wanted = _searched_type(bundle)
    modes = [entry.get("search", {}).get("mode") for entry in bundle.get("entry", ())]
    for index, entry in enumerate(bundle.get("entry", ())):
        at = f"{place}.entry[{index}].resource"
        _check_hit(entry.get("resource"), modes[index], wanted, at, findings)


def _last(values: list[Any], value: str) -> int:
    return len(values) - 1 - values[::-1].index(value)


def _searched_type(bundle: Tree) -> str:
    for link in bundle.get("link", ()):
        if link.get("relation") == "self":
            path = str(link.get("url", "")).partition("?")[0].rstrip("/").split("/")
            while path and path[-1].startswith("_"):
                path.pop()
            return path[-1] if path and is_resource_type(path[-1]) else ""
    return ""


def _check_hit(resource: object, mode: object, wanted: str, place: str, findings: Findings) -> None:
    if not isinstance(resource, dict):
        return
    kind = resource.get("resourceType")
    if mode == "outcome":
        if kind != "OperationOutcome":
            findings.error("invalid", place, "an outcome must be an OperationOutcome")
        return
    if "id" not in resource and kind != "OperationOutcome":
        findings.error("invalid", place, "search results must have ids")
    if wanted and mode == "match" and kind not in {wanted, "OperationOutcome"}:
        findings.error("invalid", place, "is not of the type that was searched")
    elif wanted and mode is None and kind not in {wanted, "OperationOutcome"}:
        findings.warn("invalid", place, "is not of the type that was searched")


# -- documents and messages ------------------------------------------------------------------------


def _check_linked(bundle: Tree, head: str, place: str, findings: Findings) -> None:
    entries = bundle.get("entry", ())
    first = entries[0].get("resource") if entries else None
    if not isinstance(first, dict) or first.get("resourceType") != head:
        findings.error("invalid", place, f"the first entry must be a {head}")
        return
    by_url = entries_of(bundle)
    root = scope_of_entry(bundle, entries[0], by_url, first)
    for where, text in _needed(first, head):
        _check_found(root, text, f"{place}.entry[0].resource.{where}", findings)
    _check_reached(bundle, by_url, place, head, findings)


def _check_found(scope: Scope, text: str, place: str, findings: Findings) -> None:
    if text.startswith("#"):
        return
    found = scope.in_bundle(text)
    if "/_history/" in text:
        version = text.rpartition("/")[2]
        found = [each for each in found if each.get("meta", {}).get("versionId") == version]
    if not found:
        hint = ", only one with another fullUrl" if scope.same_name(text) else ""
        findings.error("not-found", place, f"the bundle does not hold what is referred to{hint}")
    elif len(found) > 1:
        findings.error("invalid", place, "the bundle holds more than one resource of this url")


def _needed(tree: Tree, head: str) -> Iterator[tuple[str, str]]:
    """Yield (place, reference) of what a document or message must hold itself."""
    if head == "MessageHeader":
        yield from _texts(tree.get("focus"), "focus")
        return
    for name in ("subject", "encounter", "author", "custodian"):
        yield from _texts(tree.get(name), name)
    for index, attester in enumerate(tree.get("attester", ())):
        yield from _texts(attester.get("party"), f"attester[{index}].party")
    for index, event in enumerate(tree.get("event", ())):
        yield from _texts(event.get("detail"), f"event[{index}].detail")
    yield from _sections(tree.get("section", ()), "")


def _sections(sections: Any, above: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    for index, section in enumerate(sections):
        place = f"{above}section[{index}]"
        for name in ("author", "focus", "entry"):
            yield from _texts(section.get(name), f"{place}.{name}")
        yield from _sections(section.get("section", ()), f"{place}.")


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    if isinstance(value, dict) and isinstance(value.get("reference"), str):
        yield place, value["reference"]
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, f"{place}[{index}]")


def _check_reached(
    bundle: Tree, by_url: Entries, place: str, head: str, findings: Findings
) -> None:
    """Check that every entry hangs together with the first one, whichever way the links run."""
    entries = bundle["entry"]
    numbers = {
        id(entry["resource"]): number
        for number, entry in enumerate(entries)
        if isinstance(entry.get("resource"), dict)
    }
    links: dict[int, set[int]] = {number: set() for number in numbers.values()}
    for number, entry in enumerate(entries):
        resource = entry.get("resource")
        if not isinstance(resource, dict):
            continue
        scope = scope_of_entry(bundle, entry, by_url, resource)
        for text in _references(resource):
            found_here = scope.in_bundle(text)
            if not found_here and head == "Composition" and number and scope.same_name(text):
                why = "the bundle does not hold what is referred to, only one with another fullUrl"
                findings.error("not-found", f"{place}.entry[{number}].resource", why)
            for found in found_here:
                other = numbers[id(found)]
                links[number].add(other)
                links[other].add(number)
    reached, waiting = {0}, [0]
    while waiting:
        fresh = links.get(waiting.pop(), set()) - reached
        reached |= fresh
        waiting += fresh
    for number in sorted(set(numbers.values()) - reached):
        why = f"no link leads from the {head} to this entry or back"
        if head == "Composition":
            findings.error("invalid", f"{place}.entry[{number}]", why)
        else:
            findings.warn("invalid", f"{place}.entry[{number}]", why)


def _references(node: Any) -> Iterator[str]:  # noqa: ANN401 - a decoded JSON value
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "reference" and isinstance(value, str):
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for item in node:
            yield from _references(item)
