"""The gate against two independent evaluators (a naive one and Cedar), and the laws it must keep."""

import random
from dataclasses import dataclass, replace
from typing import Any

import cedarpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.base.ids import UnixMs
from hilum.consent.compiled import compile_directives
from hilum.consent.decision import Duty, Outcome, Request
from hilum.consent.directive import (
    DirectiveStatus,
    code_digest,
    make_directive,
    reference_digest,
)
from hilum.consent.emergency import EmergencyAccess, EmergencyRequest, EmergencyStage
from hilum.consent.gate import decide
from hilum.consent.policy import load_policy
from hilum.consent.terms import ALL_ACTIONS, ANY_PURPOSE, Clause, Effect, Terms
from hilum.identity.purpose import parse_purpose, purpose_mask, purpose_names
from hilum.identity.reader import Reader, ReaderKind, grantee_of
from hilum.record.access import ANY_TYPE, Action
from hilum.record.types import type_mask, type_name, type_number

EU, US = load_policy("eu-ehds"), load_policy("us-hipaa")
READERS = ["Practitioner/a", "Organization/b", "Group/c"]
AUTHORS = ["Practitioner/w", "Practitioner/v"]
ENCOUNTERS = ["Encounter/1", "Encounter/2"]
INSTANCES = ["Observation/1", "Encounter/1", "Consent/1"]
CODES = [("s", "1"), ("s", "2"), ("t|u", "1")]
TYPES = ["Observation", "Encounter", "Consent", "Condition"]
PURPOSES = ["TREAT", "ETREAT", "BTG", "COC", "HRESCH", "CLINTRCH", "x|FooBar"]
FOOBAR = parse_purpose("x|FooBar").digest
HIDDEN = {"Consent", "AuditEvent", "Provenance"}
SEGMENTS = ["NORMAL", "PSY", "SUD", "DEV"]
BITS = {"NORMAL": 1, "PSY": 2, "SUD": 4, "DEV": 128}


@dataclass(frozen=True)
class Row:
    type: str
    id: str
    segments: tuple
    ts: int
    author: str
    enc: str
    codes: tuple

    @property
    def ref(self) -> Any:
        return f"{self.type}/{self.id}"

    @property
    def seg(self) -> Any:
        return sum(BITS[name] for name in self.segments)


def hash_code(system: Any, code: Any) -> Any:
    return hash(("code", system, code))


def hash_reference(text: Any) -> Any:
    return hash(("reference", text))


NAMES = (
    {grantee_of(text): text for text in READERS}
    | {reference_digest(text): text for text in AUTHORS + ENCOUNTERS + INSTANCES}
    | {code_digest(*pair): "|".join(pair) for pair in CODES}
    | {FOOBAR: "x|FooBar"}
)


PURPOSE_MASKS = {code: purpose_mask([code]) for code in PURPOSES if "|" not in code}
GRANTEES = [grantee_of(text) for text in READERS]
DIGESTS = {
    name: [reference_digest(text) for text in texts]
    for name, texts in [("authors", AUTHORS), ("encounters", ENCOUNTERS), ("instances", INSTANCES)]
} | {"codes": [code_digest(*pair) for pair in CODES]}
TYPE_MASKS = [type_mask([name]) for name in TYPES]


def subset(dice: Any, values: Any, least: Any = 0, most: Any = 2) -> Any:
    return frozenset(dice.sample(values, dice.randint(least, min(most, len(values)))))


def period(dice: Any) -> Any:
    start, end = sorted(dice.sample(range(7), 2))
    return (start if dice.random() < 0.5 else None), (end if dice.random() < 0.5 else None)


def a_clause(dice: Any, effect: Any = None) -> Any:
    purposes = subset(dice, PURPOSES, most=3)
    mask = 0
    for code in purposes:
        mask |= PURPOSE_MASKS.get(code, 0)
    grantees = subset(dice, GRANTEES)
    fields = {}
    for name, values in DIGESTS.items():
        if dice.random() < 0.3:
            fields[name] = subset(dice, values, 1)
    if dice.random() < 0.4:
        fields["data_from"], fields["data_until"] = period(dice)
    if dice.random() < 0.4:
        fields["valid_from"], fields["valid_until"] = period(dice)
    return Clause(
        effect=effect or dice.choice([Effect.PERMIT, Effect.DENY]),
        actions=Action(dice.randint(1, 7)),
        purposes=mask if purposes else ANY_PURPOSE,
        further_purposes=frozenset(FOOBAR for code in purposes if "|" in code),
        grantees=grantees,
        grantees_excluded=bool(grantees) and dice.random() < 0.3,
        segments=sum(BITS[name] for name in subset(dice, SEGMENTS, 1, 4)),
        types=sum(subset(dice, TYPE_MASKS, 1)) if dice.random() < 0.4 else ANY_TYPE,
        **fields,
    )


def some_clauses(dice: Any, least: Any = 1, most: Any = 4, effect: Any = None) -> Any:
    return [a_clause(dice, effect) for _ in range(dice.randint(least, most))]


def a_store(dice: Any) -> Any:
    return [some_clauses(dice) for _ in range(dice.randint(0, 4))]


def some_rows(dice: Any, count: Any = 10) -> Any:
    return [
        Row(
            dice.choice(TYPES),
            dice.choice("12"),
            tuple(sorted(subset(dice, SEGMENTS, 1))),
            dice.randint(0, 6),
            dice.choice(AUTHORS),
            dice.choice(ENCOUNTERS),
            tuple(sorted(subset(dice, CODES))),
        )
        for _ in range(count)
    ]


def a_request(dice: Any) -> Any:
    return Request(
        compartment=1,
        purpose=parse_purpose(dice.choice(PURPOSES)),
        action=dice.choice([Action.READ, Action.SEARCH, Action.HISTORY]),
        grantees=subset(dice, GRANTEES),
        role=dice.choice([None, "physician", "researcher"]),
        reader="Practitioner/a",
    )


def some_glass(dice: Any) -> Any:
    if dice.random() < 0.5:
        return ()
    person = Reader("a", "A", ReaderKind.PERSON, role="physician")
    glass = EmergencyRequest(person, "clinic", "custodian", "unconscious", "reason", UnixMs(2))
    stage = dice.choice(list(EmergencyStage))
    return (EmergencyAccess(1, "Practitioner/a", UnixMs(2), UnixMs(5), stage, glass),)


dices = st.integers(0, 1 << 62).map(random.Random)
"""Seeds of a generator: drawing every field by hypothesis takes a hundred times longer."""


def directives_of(store: Any) -> Any:
    return [
        make_directive("p", Terms(tuple(many)), names=NAMES, salt=bytes([n]) * 32, now=n)
        for n, many in enumerate(store)
    ]


def judge(store: Any, request: Any, now: Any = 3, policy: Any = EU) -> Any:
    return decide(compiled(directives_of(store)), policy, request=request, now=now)


def compiled(directives: Any) -> Any:
    return compile_directives(directives, hash_code=hash_code, hash_reference=hash_reference)


def touches(window: Any, row: Any, is_deny: Any) -> Any:
    inside = row.seg & window.segments if is_deny else not row.seg & ~window.segments
    return (
        bool(inside)
        and bool(window.types >> type_number(row.type) & 1)
        and (window.data_from is None or row.ts >= window.data_from)
        and (window.data_until is None or row.ts < window.data_until)
        and (not window.codes or any(hash_code(*pair) in window.codes for pair in row.codes))
        and (not window.authors or hash_reference(row.author) in window.authors)
        and (not window.encounters or hash_reference(row.enc) in window.encounters)
        and (not window.instances or hash_reference(row.ref) in window.instances)
    )


def sees(decision: Any, row: Any) -> Any:
    access = decision.access
    return (
        access is not None
        and any(touches(window, row, False) for window in access.permits)
        and not any(touches(window, row, True) for window in access.denies)
    )


# -- the naive evaluator: clauses against one row, no windows, no compilation ---------------------------


def naive_match(clause: Any, request: Any, row: Any, now: Any) -> Any:  # noqa: PLR0911 - one test a line
    is_permit = clause.effect is Effect.PERMIT
    purpose = request.purpose
    if purpose.bit:
        if not clause.purposes & purpose.bit:
            return False
    elif clause.purposes != ANY_PURPOSE and purpose.digest not in clause.further_purposes:
        return False
    if not clause.actions & request.action:
        return False
    if clause.grantees and bool(clause.grantees & request.grantees) == clause.grantees_excluded:
        return False
    if not in_period(now, clause.valid_from, clause.valid_until):
        return False
    if is_permit and clause.types == ANY_TYPE and row.type in HIDDEN:
        return False
    segments = row.seg & clause.segments
    if segments != row.seg if is_permit else not segments:
        return False
    enc, ref = reference_digest(row.enc), reference_digest(row.ref)
    return (
        bool(clause.types >> type_number(row.type) & 1)
        and (not clause.codes or any(code_digest(*pair) in clause.codes for pair in row.codes))
        and in_period(row.ts, clause.data_from, clause.data_until)
        and (not clause.authors or reference_digest(row.author) in clause.authors)
        and (not clause.encounters or enc in clause.encounters or ref in clause.encounters)
        and (not clause.instances or ref in clause.instances)
    )


def in_period(instant: Any, start: Any, end: Any) -> Any:
    return (start is None or instant >= start) and (end is None or instant < end)


def naive(store: Any, request: Any, row: Any, now: Any) -> Any:
    matching = [c for many in store for c in many if naive_match(c, request, row, now)]
    effects = {clause.effect for clause in matching}
    if request.purpose.code == "BTG":
        return False  # without broken glass
    return Effect.PERMIT in effects and Effect.DENY not in effects


@settings(max_examples=600, deadline=None)
@given(dices, st.integers(0, 6))
def test_windows_admit_exactly_what_the_clauses_say(dice: Any, now: Any) -> None:
    store, request, many = a_store(dice), a_request(dice), some_rows(dice)
    decision = judge(store, request, now)
    for row in many:
        assert sees(decision, row) == naive(store, request, row, now)


@settings(max_examples=60, deadline=None)
@given(dices)
def test_merging_many_windows_loses_and_adds_nothing(dice: Any) -> None:
    many, request, seen = some_clauses(dice, 20, 64), a_request(dice), some_rows(dice)
    decision = judge([many], request)
    for row in seen:
        assert sees(decision, row) == naive([many], request, row, 3)


@settings(max_examples=200, deadline=None)
@given(dices)
def test_adding_a_denial_never_widens(dice: Any) -> None:
    store, deny = a_store(dice), a_clause(dice, Effect.DENY)
    request, many = replace(a_request(dice), emergencies=some_glass(dice)), some_rows(dice)
    for policy in (EU, US):
        before = judge(store, request, policy=policy)
        after = judge([*store, [deny]], request, policy=policy)
        assert not [row for row in many if sees(after, row) and not sees(before, row)]


@settings(max_examples=200, deadline=None)
@given(dices)
def test_revoking_a_permit_never_widens(dice: Any) -> None:
    store, permits = a_store(dice), some_clauses(dice, effect=Effect.PERMIT)
    request, many = replace(a_request(dice), emergencies=some_glass(dice)), some_rows(dice)
    directives = directives_of([permits, *store])
    revoked = replace(directives[0], status=DirectiveStatus.REVOKED)
    for policy in (EU, US):
        before = decide(compiled(directives), policy, request=request, now=3)
        after = decide(compiled([revoked, *directives[1:]]), policy, request=request, now=3)
        assert not [row for row in many if sees(after, row) and not sees(before, row)]


@settings(max_examples=150, deadline=None)
@given(dices)
def test_the_order_of_directives_does_not_matter(dice: Any) -> None:
    store, request = a_store(dice), a_request(dice)
    directives = directives_of(store)
    first = decide(compiled(directives), US, request=request, now=3)
    dice.shuffle(directives)
    assert decide(compiled(directives), US, request=request, now=3) == first


@settings(max_examples=150, deadline=None)
@given(dices, st.integers(0, 6))
def test_a_decision_holds_until_the_instant_it_names(dice: Any, now: Any) -> None:
    store, request = a_store(dice), a_request(dice)
    decision = judge(store, request, now)
    last = 8 if decision.until_unix_ms is None else decision.until_unix_ms
    for later in range(now, last):
        assert judge(store, request, later).access == decision.access


@settings(max_examples=150, deadline=None)
@given(dices, st.integers(0, 6))
def test_every_decision_owes_a_receipt_and_an_emergency_owes_notice_and_review(
    dice: Any, now: Any
) -> None:
    store, request = a_store(dice), a_request(dice)
    decision = judge(store, replace(request, emergencies=some_glass(dice)), now)
    assert Duty.RECEIPT in decision.duties
    assert (decision.access is None) == (decision.outcome is Outcome.ABSENT)
    if decision.outcome is Outcome.EMERGENCY:
        assert {Duty.NOTICE, Duty.REVIEW} <= decision.duties
        assert 2 <= now < 5
        assert request.role == "physician"
        assert request.purpose.code in {"ETREAT", "BTG"}


# -- Cedar as oracle ------------------------------------------------------------------------------------


def cedar_set(items: Any) -> Any:
    return "[" + ", ".join(f'"{item}"' for item in sorted(items)) + "]"


def cedar_policy(clause: Any) -> Any:
    names = {digest.hex(): text for digest, text in NAMES.items()}

    def texts(digests: Any) -> Any:
        return cedar_set(names[digest.hex()] for digest in digests)

    is_permit = clause.effect is Effect.PERMIT
    meant = [code for code in purpose_names() if clause.purposes & parse_purpose(code).bit]
    meant += [names[digest.hex()] for digest in clause.further_purposes]
    actions = [action.name for action in clause.actions]
    segments = [name for name, bit in BITS.items() if clause.segments & bit]
    inside = "containsAll" if is_permit else "containsAny"
    tests = [
        f"{cedar_set(actions)}.contains(context.action)",
        f"{cedar_set(segments)}.{inside}(resource.segments)",
    ]
    if clause.purposes != ANY_PURPOSE:
        tests.append(f"{cedar_set(meant)}.contains(context.purpose)")
    if clause.grantees:
        no = "!" if clause.grantees_excluded else ""
        tests.append(f"{no}(context.grantees.containsAny({texts(clause.grantees)}))")
    if clause.types != ANY_TYPE:
        listed = [type_name(n) for n in range(192) if clause.types >> n & 1]
        tests.append(f"{cedar_set(listed)}.contains(resource.type)")
    elif is_permit:
        tests.append(f"!({cedar_set(HIDDEN)}.contains(resource.type))")
    for name, value in (("resource.ts", "data"), ("context.now", "valid")):
        start, end = getattr(clause, f"{value}_from"), getattr(clause, f"{value}_until")
        tests += [f"{name} >= {start}"] * (start is not None) + [f"{name} < {end}"] * (
            end is not None
        )
    if clause.codes:
        tests.append(f"resource.codes.containsAny({texts(clause.codes)})")
    if clause.authors:
        tests.append(f"{texts(clause.authors)}.contains(resource.author)")
    if clause.encounters:
        enc = texts(clause.encounters)
        tests.append(f"({enc}.contains(resource.enc) || {enc}.contains(resource.ref))")
    if clause.instances:
        tests.append(f"{texts(clause.instances)}.contains(resource.ref)")
    effect = "permit" if is_permit else "forbid"
    return f"{effect}(principal, action, resource) when {{ {' && '.join(tests)} }};"


def cedar_entity(number: Any, row: Any) -> Any:
    attrs = {
        "type": row.type, "ref": row.ref, "segments": list(row.segments), "ts": row.ts,
        "author": row.author, "enc": row.enc, "codes": ["|".join(pair) for pair in row.codes],
    }  # fmt: skip
    return {"uid": {"type": "Row", "id": str(number)}, "attrs": attrs, "parents": []}


def test_cedar_decides_the_same_on_thousands_of_random_requests() -> None:
    dice = random.Random(7)
    permitted = decided = 0
    for _ in range(125):
        store, request, many = a_store(dice), a_request(dice), some_rows(dice, 20)
        decision = judge(store, request)
        context = {
            "action": request.action.name,
            "purpose": request.purpose.code,
            "grantees": [NAMES[grantee] for grantee in sorted(request.grantees)],
            "now": 3,
        }
        asked = [
            {"principal": 'Reader::"r"', "action": 'Action::"a"', "context": context,
             "resource": f'Row::"{n}"'}
            for n in range(len(many))
        ]  # fmt: skip
        policies = "\n".join(cedar_policy(clause) for clauses_ in store for clause in clauses_)
        entities = [cedar_entity(number, row) for number, row in enumerate(many)]
        for row, answer in zip(
            many, cedarpy.is_authorized_batch(asked, policies, entities), strict=True
        ):
            assert not answer.diagnostics.errors
            assert sees(decision, row) == (answer.allowed and request.purpose.code != "BTG")
            permitted += answer.allowed
            decided += 1
    assert decided >= 2000
    assert permitted > 50


def test_the_subjects_own_session_sees_everything_whatever_is_denied() -> None:
    deny = Clause(Effect.DENY, ALL_ACTIONS)
    request = Request(1, parse_purpose("PATRQT"), Action.READ, frozenset(), is_subject=True)
    decision = judge([[deny]], request)
    assert decision.outcome is Outcome.PERMIT
    for kind in TYPES:
        assert sees(decision, Row(kind, "1", ("PSY", "SUD"), 3, AUTHORS[0], ENCOUNTERS[0], ()))
    assert decision.access.actions == ALL_ACTIONS


@pytest.mark.parametrize("kind", sorted(HIDDEN))
def test_what_shows_a_restriction_is_reached_by_name_only(kind: Any) -> None:
    wide = Clause(Effect.PERMIT, ALL_ACTIONS)
    named = replace(wide, types=type_mask([kind]))
    request = Request(1, parse_purpose("TREAT"), Action.READ, frozenset())
    row = Row(kind, "1", ("NORMAL",), 3, AUTHORS[0], ENCOUNTERS[0], ())
    assert not sees(judge([[wide]], request), row)
    assert sees(judge([[named]], request), row)
