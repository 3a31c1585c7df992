import json
import os
import sqlite3
from importlib.resources import files
from typing import Any

import pytest

from hilum.consent.adapters.sqlite import SCHEMA, SqliteDirectives
from hilum.consent.compiled import compile_directives
from hilum.consent.decision import Outcome, Reason, request_of
from hilum.consent.directive import make_directive
from hilum.consent.emergency import (
    EmergencyRequest,
    EmergencyStage,
    open_emergency,
    widen_emergency,
)
from hilum.consent.gate import decide, directory_access
from hilum.consent.grant import Choice, grant_terms
from hilum.consent.policy import load_policy, parse_policy, policy_names
from hilum.consent.render import render_consent
from hilum.consent.terms import ALL_ACTIONS, Effect
from hilum.errors import (
    AccessDeniedError,
    ConflictError,
    MalformedInputError,
    UnavailableError,
    VerificationError,
)
from hilum.identity.purpose import parse_purpose
from hilum.identity.reader import Reader, ReaderKind, grantee_of
from hilum.identity.session import Session
from hilum.record.access import Action
from hilum.record.types import type_number
from hilum.vault import Keyring
from hilum.vault.adapters.keyfile import SqliteKeyStore

EU = load_policy("eu-ehds")
HOUR = 3_600_000
DOCTOR = Reader("house", "Dr House", ReaderKind.PERSON, role="physician", organization="clinic")
CLERK = Reader("clerk", "Clerk", ReaderKind.PERSON, role="clerk")


@pytest.fixture
def ring(tmp_path: Any) -> Any:
    store = SqliteKeyStore(tmp_path / "keys.db")
    yield Keyring(bytes(32), store, entropy=os.urandom)
    store.close()


@pytest.fixture
def box(ring: Any) -> Any:
    return SqliteDirectives(ring.seal, ring.open)


@pytest.fixture
def conn() -> Any:
    conn = sqlite3.connect(":memory:", isolation_level=None)
    for statement in SCHEMA.split(";"):
        conn.execute(statement)
    yield conn
    conn.close()


def grant(salt: Any = 0, now: Any = 10, **choice: Any) -> Any:
    choice.setdefault("readers", ("Organization/clinic",))
    terms, names = grant_terms([Choice(**choice)])
    return make_directive("pat-1", terms, names=names, salt=bytes([salt]) * 32, now=now)


def session(reader: Any = DOCTOR, purpose: Any = "TREAT", for_subject: Any = None) -> Any:
    return Session(
        b"", reader, None, parse_purpose(purpose), 0, 10**15, for_subject, reader.grantees
    )


def ask(
    box: Any,
    conn: Any,
    who: Any = None,
    now: Any = 20,
    subject: Any = "pat-1",
    action: Any = Action.READ,
) -> Any:
    directives = box.active(conn, 5)
    compiled = compile_directives(
        directives, hash_code=lambda *pair: hash(pair), hash_reference=hash
    )
    request = request_of(
        who or session(), action, compartment=5, subject=subject,
        emergencies=box.emergencies(conn, 5, now=now), spent=box.spent(conn, directives),
    )  # fmt: skip
    return decide(compiled, EU, request=request, now=now)


def test_a_grant_opens_and_its_revocation_closes(box: Any, conn: Any) -> None:
    directive = grant()
    assert ask(box, conn).reasons == (Reason.NOTHING_SAID,)
    box.add(conn, directive, cid=5)
    assert ask(box, conn).outcome is Outcome.PERMIT
    assert ask(box, conn).directives == (directive.id,)
    assert box.revoke(conn, directive.id, at=15) == 5
    assert ask(box, conn).outcome is Outcome.ABSENT
    assert box.revoke(conn, directive.id, at=16) is None
    assert box.of_compartment(conn, 5)[0].revoked_unix_ms == 15


def test_every_change_counts_the_version_up(box: Any, conn: Any) -> None:
    seen = [box.version(conn, 5)]
    box.add(conn, grant(), cid=5)
    seen.append(box.version(conn, 5))
    box.revoke(conn, grant().id, at=11)
    seen.append(box.version(conn, 5))
    box.add_emergency(conn, "e", open_glass())
    seen.append(box.version(conn, 5))
    box.erase(conn, 5)
    seen.append(box.version(conn, 5))
    assert seen == [0, 1, 2, 3, 4]
    assert box.version(conn, 6) == 0


def test_a_directive_is_stored_once_and_sealed(box: Any, conn: Any) -> None:
    box.add(conn, grant(), cid=5)
    with pytest.raises(ConflictError):
        box.add(conn, grant(), cid=5)
    assert b"clinic" not in b"".join(conn.execute("select body from directive").fetchone())
    conn.execute("update directive set cid=6")
    box.add(conn, grant(1), cid=6)
    with pytest.raises(VerificationError):
        box.active(conn, 6)


def test_compartments_are_found_by_grantee_and_forgotten_on_revocation(box: Any, conn: Any) -> None:
    box.add(conn, grant(), cid=5)
    box.add(conn, grant(1, readers=()), cid=6)
    assert box.compartments_for(conn, DOCTOR.grantees) == [5, 6]
    assert box.compartments_for(conn, CLERK.grantees) == [6]
    box.revoke(conn, grant().id, at=11)
    assert box.compartments_for(conn, DOCTOR.grantees) == [6]


def test_a_token_for_one_subject_finds_nothing_at_another(box: Any, conn: Any) -> None:
    box.add(conn, grant(), cid=5)
    assert ask(box, conn, session(for_subject="pat-1")).outcome is Outcome.PERMIT
    assert ask(box, conn, session(for_subject="pat-2")).outcome is Outcome.ABSENT


def test_the_subject_reads_the_own_record_only(box: Any, conn: Any) -> None:
    own = Session(
        b"",
        None,
        "pat-1",
        parse_purpose("PATRQT"),
        0,
        99,
        "pat-1",
        frozenset({grantee_of("Patient/pat-1")}),
    )
    assert ask(box, conn, own).reasons == (Reason.OWN_RECORD,)
    assert ask(box, conn, own, subject="pat-2").outcome is Outcome.ABSENT


def test_a_counted_clause_gives_out_exactly_its_uses(box: Any, conn: Any) -> None:
    directive = grant(uses=2)
    box.add(conn, directive, cid=5)
    for expected in (1, 2):
        decision = ask(box, conn)
        assert decision.counted == ((directive.id, 0),)
        assert box.count_use(conn, directive.id, clause=0) == expected
    decision = ask(box, conn)
    assert decision.outcome is Outcome.ABSENT
    assert Reason.SPENT in decision.reasons


def test_what_is_permitted_anyway_uses_no_counted_clause(box: Any, conn: Any) -> None:
    box.add(conn, grant(uses=2), cid=5)
    box.add(conn, grant(1), cid=5)
    assert ask(box, conn).counted == ()


def test_a_rolled_back_change_leaves_nothing(box: Any, conn: Any) -> None:
    conn.execute("begin")
    box.add(conn, grant(), cid=5)
    conn.execute("rollback")
    assert box.version(conn, 5) == 0
    assert ask(box, conn).outcome is Outcome.ABSENT


def test_directives_leave_and_return_without_loss(box: Any, conn: Any) -> None:
    first, second = grant(uses=3), grant(1, types=("Observation",), codes=("http://loinc.org|1-2",))
    for directive in (first, second):
        box.add(conn, directive, cid=5)
    box.set_cell(conn, first.id, cell=9)
    box.count_use(conn, first.id, clause=0)
    box.revoke(conn, second.id, at=12)
    before = box.of_compartment(conn, 5)
    lines = json.loads(json.dumps(list(box.export(conn, 5))))
    assert box.erase(conn, 5) == 2
    assert box.of_compartment(conn, 5) == []
    for line in lines:
        box.restore(conn, line, cid=8, cell=9 if line["directive"] == first.id else None)
    assert box.of_compartment(conn, 8) == before
    assert json.loads(json.dumps(list(box.export(conn, 8)))) == lines


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"body": "zz"}, MalformedInputError), ({"created": "x"}, MalformedInputError),
        ({"directive": "0" * 32}, VerificationError), ({"body": "02"}, VerificationError),
    ],
)  # fmt: skip
def test_an_exported_line_that_does_not_hold_together_is_refused(
    box: Any, conn: Any, change: Any, error: Any
) -> None:
    box.add(conn, grant(), cid=5)
    (line,) = box.export(conn, 5)
    with pytest.raises(error):
        box.restore(conn, {**line, **change}, cid=8)
    with pytest.raises(MalformedInputError):
        box.restore(conn, {"directive": "x"}, cid=8)


def test_after_shredding_directives_do_not_open(box: Any, conn: Any, ring: Any) -> None:
    box.add(conn, grant(), cid=5)
    ring.shred(5)
    with pytest.raises(UnavailableError):
        box.active(conn, 5)
    assert box.erase(conn, 5) == 1


def glass(reader: Any = DOCTOR, at: Any = 100, **words: Any) -> Any:
    said = {
        "affiliation": "clinic",
        "discloser": "node",
        "nature": "unconscious",
        "reason": "must know",
    }
    return EmergencyRequest(reader, at_unix_ms=at, **(said | words))


def open_glass(now: Any = 100, **words: Any) -> Any:
    return open_emergency(EU, glass(at=100, **words), compartment=5, now=now)


def test_broken_glass_shows_the_subset_first_then_all_and_closes_after_four_hours(
    box: Any, conn: Any
) -> None:
    deny_all = make_denial()
    box.add(conn, deny_all, cid=5)
    who = session(purpose="ETREAT")
    assert ask(box, conn, who, now=100).outcome is Outcome.ABSENT
    access = open_glass()
    box.add_emergency(conn, "e1", access)
    subset = ask(box, conn, who, now=101)
    assert subset.outcome is Outcome.EMERGENCY
    (window,) = subset.access.permits
    assert (window.segments, subset.access.denies) == (129, ())
    assert window.types >> type_number("AllergyIntolerance") & 1
    assert not window.types >> type_number("Communication") & 1
    box.add_emergency(conn, "e1", widen_emergency(access, "surgery", now=200))
    (window,) = ask(box, conn, who, now=201).access.permits
    assert window.segments == 255
    assert window.types >> type_number("Communication") & 1
    assert not window.types >> type_number("Consent") & 1
    end = 100 + 4 * HOUR
    assert ask(box, conn, who, now=end - 1).until_unix_ms == end
    assert ask(box, conn, who, now=end).outcome is Outcome.ABSENT
    assert [eid for eid, _ in box.to_review(conn)] == ["e1"]
    assert box.review(conn, "e1", at=end)
    assert not box.review(conn, "e1", at=end)
    assert list(box.to_review(conn)) == []


def make_denial(**choice: Any) -> Any:
    choice = {"actions": ALL_ACTIONS} | choice
    terms, names = grant_terms([Choice(effect=Effect.DENY, **choice)])
    return make_directive("pat-1", terms, names=names, salt=bytes(32), now=10)


def test_denials_that_give_way_do_not_open_what_else_is_permitted(box: Any, conn: Any) -> None:
    box.add(conn, grant(purposes=("TREAT",)), cid=5)
    box.add(conn, make_denial(types=("Communication",)), cid=5)
    box.add_emergency(conn, "e1", open_glass())
    access = ask(box, conn, session(purpose="ETREAT"), now=101).access
    assert access.denies == ()
    assert not any(window.types >> type_number("Communication") & 1 for window in access.permits)


def test_a_denial_that_speaks_of_emergencies_holds_in_one(box: Any, conn: Any) -> None:
    box.add(conn, make_denial(purposes=("ETREAT",)), cid=5)
    box.add_emergency(conn, "e1", open_glass())
    assert ask(box, conn, session(purpose="ETREAT"), now=101).outcome is Outcome.ABSENT


def test_glass_broken_for_one_record_opens_no_other(box: Any, conn: Any) -> None:
    request = request_of(
        session(purpose="ETREAT"),
        Action.READ,
        compartment=6,
        subject="pat-2",
        emergencies=(open_glass(),),
    )
    compiled = compile_directives([], hash_code=lambda *_: 0, hash_reference=hash)
    assert decide(compiled, EU, request=request, now=101).outcome is Outcome.ABSENT


def test_several_actions_must_all_be_permitted_and_none_denied(box: Any, conn: Any) -> None:
    both = Action.READ | Action.EXPORT
    box.add(conn, grant(actions=Action.READ), cid=5)
    assert ask(box, conn, action=Action.READ).outcome is Outcome.PERMIT
    assert ask(box, conn, action=both).outcome is Outcome.ABSENT
    box.add(conn, grant(1, actions=both), cid=5)
    assert ask(box, conn, action=both).outcome is Outcome.PERMIT
    box.add(conn, make_denial(actions=Action.EXPORT), cid=5)
    assert ask(box, conn, action=both).outcome is Outcome.ABSENT
    assert ask(box, conn, action=Action.READ).outcome is Outcome.PERMIT


@pytest.mark.parametrize("purpose", ["TREAT", "HPAYMT", "HRESCH"])
def test_broken_glass_is_of_use_for_emergencies_only(box: Any, conn: Any, purpose: Any) -> None:
    box.add_emergency(conn, "e1", open_glass())
    assert ask(box, conn, session(purpose=purpose), now=101).outcome is Outcome.ABSENT


def test_broken_glass_is_of_use_to_who_broke_it_and_for_reading_only(box: Any, conn: Any) -> None:
    box.add_emergency(conn, "e1", open_glass())
    other = Reader("wilson", "Dr Wilson", ReaderKind.PERSON, role="physician")
    assert ask(box, conn, session(other, "ETREAT"), now=101).outcome is Outcome.ABSENT
    who = session(purpose="ETREAT")
    assert ask(box, conn, who, now=101, action=Action.EXPORT).outcome is Outcome.ABSENT
    assert ask(box, conn, who, now=101, action=Action.CONTRIBUTE).outcome is Outcome.ABSENT


@pytest.mark.parametrize("field", ["affiliation", "discloser", "nature", "reason"])
@pytest.mark.parametrize("words", ["", "   ", "x" * 1001])
def test_what_the_law_demands_cannot_be_left_out(field: Any, words: Any) -> None:
    with pytest.raises(MalformedInputError) as caught:
        open_glass(**{field: words})
    assert caught.value.where == f"emergency.{field}"


@pytest.mark.parametrize("now", [99, 101 + 4 * HOUR])
def test_an_emergency_in_the_future_or_long_ago_is_refused(now: Any) -> None:
    with pytest.raises(MalformedInputError):
        open_glass(now=now)


def test_a_role_that_may_not_break_the_glass_is_refused() -> None:
    with pytest.raises(AccessDeniedError):
        open_emergency(EU, glass(CLERK), compartment=5, now=100)


def test_widening_needs_a_reason_and_glass_that_is_still_broken() -> None:
    access = open_glass()
    with pytest.raises(MalformedInputError):
        widen_emergency(access, " ", now=101)
    with pytest.raises(AccessDeniedError):
        widen_emergency(access, "surgery", now=access.expires_unix_ms)
    wide = widen_emergency(access, "surgery", now=101)
    assert (wide.stage, wide.expires_unix_ms) == (EmergencyStage.FULL, access.expires_unix_ms)


def test_the_directory_is_open_to_every_session_for_reading() -> None:
    access = directory_access()
    assert access.compartment == 0
    assert access.admits(Action.SEARCH)
    assert not access.admits(Action.CONTRIBUTE)
    (window,) = access.permits
    assert window.types >> type_number("Organization") & 1
    assert not window.types >> type_number("Patient") & 1


def test_a_grant_can_be_shown_as_a_fhir_consent(box: Any, conn: Any) -> None:
    directive = grant(
        types=("Observation",), segments=3, purposes=("TREAT",), valid_until=1_800_000_000_000
    )
    consent = render_consent(directive, organization={"display": "Node"})
    assert consent["id"] == directive.id
    assert consent["provision"]["actor"][0]["reference"] == {"reference": "Organization/clinic"}
    assert [one["code"] for one in consent["provision"]["securityLabel"]] == ["N", "PSY"]
    assert consent["provision"]["class"][0]["code"] == "Observation"
    with pytest.raises(MalformedInputError):
        render_consent(grant(uses=2), organization={})


@pytest.mark.parametrize("name", policy_names())
def test_every_shipped_policy_reads_and_is_sourced(name: Any) -> None:
    policy = load_policy(name)
    assert policy.id == name
    assert policy.break_glass.hours <= 4
    assert all(len(text) > 10 for text in policy.sources.values())


def test_opt_out_permits_treatment_by_care_roles_without_part_2_data(box: Any, conn: Any) -> None:
    us = load_policy("us-hipaa")
    compiled = compile_directives([], hash_code=lambda *_: 0, hash_reference=lambda _: 0)
    for purpose, reader, outcome in [
        ("TREAT", DOCTOR, Outcome.PERMIT), ("HPAYMT", DOCTOR, Outcome.ABSENT),
        ("TREAT", CLERK, Outcome.ABSENT),
    ]:  # fmt: skip
        request = request_of(session(reader, purpose), Action.READ, compartment=5, subject="pat-1")
        decision = decide(compiled, us, request=request, now=1)
        assert decision.outcome is outcome
        if decision.access:
            assert decision.access.permits[0].segments == 129


def text_of(name: Any = "eu-ehds") -> Any:
    return files("hilum.consent").joinpath(f"policies/{name}.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("hours = 4", "hours = 5"), ("hours = 4", "hours = 0"), ("hours = 4", ""),
        ("hours = 4", 'hours = "4"'),
        ('purposes = ["ETREAT"]', 'purposes = ["TREAT"]'), ('purposes = ["ETREAT"]', 'purposes = ["NOPE"]'),
        ('"AllergyIntolerance"', '"Nothing"'), ('["NORMAL", "DEV"]', '["NORMAL", "X"]'),
        ('"minors.majority_age" = ', '"minors.other" = '), ('consent = "', 'nothing = "'),
        ("[notice]", "[notices]"), ("version_of_format = 1", "version_of_format = 2"),
        ('id = "eu-ehds"', "id = "),
        ('"notice.subject" = "EHDS', '"notice.subject" = " " # "EHDS'),
    ],
)  # fmt: skip
def test_a_policy_that_is_not_one_is_refused(old: Any, new: Any) -> None:
    assert old in text_of()
    with pytest.raises(MalformedInputError):
        parse_policy(text_of().replace(old, new))


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(MalformedInputError):
        load_policy("../eu-ehds")
