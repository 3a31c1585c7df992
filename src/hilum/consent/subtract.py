"""Cut permits out of a denial: a denial with exceptions becomes denials without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hilum.consent.terms import ALL_SEGMENTS, Clause
from hilum.errors import MalformedInputError

__all__ = ["subtract"]


def subtract(denial: Clause, permits: Sequence[Clause], *, where: str) -> list[Clause]:
    """Return denials that together deny what `denial` does, except what any of the permits permits.

    Args:
        denial: the base.
        permits: the exceptions.
        where: place for errors.

    Raises:
        MalformedInputError: when an exception has a part whose opposite no clause can say.
    """
    left = [denial]
    for permit in permits:
        for name in ("further_purposes", "codes", "authors", "encounters", "instances"):
            if getattr(permit, name) != getattr(denial, name):
                raise MalformedInputError(
                    "not-expressible", f"an exception to a denial by {name}", where=where
                )
        left = [piece for one in left for piece in _cut(one, permit, where)]
    return left


def _cut(denial: Clause, permit: Clause, where: str) -> Iterator[Clause]:
    """Yield the denial minus the permit, one dimension after another.

    What is left over from one dimension is denied; what both share goes on to the next. What both share in
    all of them is the exception.
    """
    shared: Clause | None = denial
    for cut in (_cut_masks, _cut_actions, _cut_grantees, _cut_data_period, _cut_validity):
        if shared is None:
            return
        pieces, shared = cut(shared, permit)
        yield from pieces
    if shared is not None and permit.segments not in {ALL_SEGMENTS, shared.segments}:
        yield _cut_segments(shared, permit, where)


_Cut = tuple[list[Clause], Clause | None]


def _cut_masks(denial: Clause, permit: Clause) -> _Cut:
    pieces = []
    for name in ("purposes", "types"):
        mask, excepted = getattr(denial, name), getattr(permit, name)
        if mask & ~excepted:
            pieces.append(_with(denial, name, mask & ~excepted))
        if not mask & excepted:
            return pieces, None
        denial = _with(denial, name, mask & excepted)
    return pieces, denial


def _cut_actions(denial: Clause, permit: Clause) -> _Cut:
    outside, inside = denial.actions & ~permit.actions, denial.actions & permit.actions
    pieces = [replace(denial, actions=outside)] if outside else []
    return pieces, replace(denial, actions=inside) if inside else None


def _cut_data_period(denial: Clause, permit: Clause) -> _Cut:
    return _cut_period(denial, permit, "data_from", "data_until")


def _cut_validity(denial: Clause, permit: Clause) -> _Cut:
    return _cut_period(denial, permit, "valid_from", "valid_until")


def _cut_segments(denial: Clause, permit: Clause, where: str) -> Clause:
    """Return the denial of what the permit does not reach: it touches a segment outside the permit's.

    Raises:
        MalformedInputError: when the denial names segments itself.
    """
    if denial.segments != ALL_SEGMENTS:
        raise MalformedInputError(
            "not-expressible", "an exception by label to a denial by label", where=where
        )
    return replace(denial, segments=ALL_SEGMENTS & ~permit.segments)


def _cut_grantees(denial: Clause, permit: Clause) -> _Cut:
    if not permit.grantees:
        return [], denial
    if denial.grantees_excluded or not denial.grantees:
        inside = permit.grantees - denial.grantees
        piece = replace(denial, grantees=denial.grantees | permit.grantees, grantees_excluded=True)
        if not inside:
            return [denial], None
        return [piece], replace(denial, grantees=inside, grantees_excluded=False)
    outside, inside = denial.grantees - permit.grantees, denial.grantees & permit.grantees
    pieces = [replace(denial, grantees=outside)] if outside else []
    return pieces, replace(denial, grantees=inside) if inside else None


def _cut_period(denial: Clause, permit: Clause, start: str, end: str) -> _Cut:
    pieces = []
    low, high = getattr(denial, start), getattr(denial, end)
    first, last = getattr(permit, start), getattr(permit, end)
    is_before = first is not None and (low is None or low < first)
    is_after = last is not None and (high is None or high > last)
    if (first is not None and high is not None and high <= first) or (
        last is not None and low is not None and low >= last
    ):
        return [denial], None
    if is_before:
        pieces.append(_with(denial, end, first))
        low = first
    if is_after:
        pieces.append(_with(denial, start, last))
        high = last
    return pieces, _with(_with(denial, start, low), end, high)


def _with(clause: Clause, name: str, value: object) -> Clause:
    changed = {name: value}
    return replace(clause, **changed)  # type: ignore[arg-type]  # the name comes from a constant
