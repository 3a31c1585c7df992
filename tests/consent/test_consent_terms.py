import random
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.consent.directive import (
    code_digest,
    decode_directive,
    encode_directive,
    make_directive,
    reveal,
    root_of,
    verify_revealed,
)
from hilum.consent.grant import Choice, grant_terms, parse_actions, parse_segments
from hilum.consent.sentence import describe, in_english
from hilum.consent.subtract import subtract
from hilum.consent.terms import (
    ALL_ACTIONS,
    ANY_PURPOSE,
    Clause,
    Effect,
    Terms,
    decode_terms,
    encode_terms,
)
from hilum.errors import MalformedInputError, VerificationError
from hilum.identity.purpose import ALL_PURPOSES, purpose_mask
from hilum.record.access import ANY_TYPE, Action

PLAIN = Clause(Effect.PERMIT, Action.READ)


def an_id(dice: Any) -> Any:
    return dice.randbytes(32)


def ids(dice: Any, most: Any) -> Any:
    return frozenset(an_id(dice) for _ in range(dice.choice([0, 0, 1, most])))


def period(dice: Any) -> Any:
    start, end = sorted(dice.sample(range(-(1 << 60), 1 << 60, 1 << 40), 2))
    return dice.choice([None, start]), dice.choice([None, end])


def a_clause(dice: Any) -> Any:
    grantees = ids(dice, 16)
    effect = dice.choice(list(Effect))
    data, valid = period(dice), period(dice)
    is_permit = effect is Effect.PERMIT
    return Clause(
        effect=effect,
        actions=Action(dice.randint(1, 127)),
        purposes=dice.choice([ANY_PURPOSE, ANY_PURPOSE & ~1, dice.randint(1, ALL_PURPOSES)]),
        grantees=grantees,
        grantees_excluded=bool(grantees) and dice.random() < 0.5,
        segments=dice.randint(1, 255),
        types=dice.choice([ANY_TYPE, dice.randint(1, ANY_TYPE)]),
        codes=ids(dice, 32),
        data_from=data[0],
        data_until=data[1],
        valid_from=valid[0],
        valid_until=valid[1],
        authors=ids(dice, 16),
        encounters=ids(dice, 16),
        instances=ids(dice, 16),
        uses=dice.choice([0, dice.randint(1, 2**32 - 1)]) if is_permit else 0,
        price_msat=dice.choice([0, dice.randint(1, 2**63 - 1)]) if is_permit else 0,
    )


def digests_of(clause: Any) -> Any:
    return clause.grantees | clause.codes | clause.authors | clause.encounters | clause.instances


def some_terms(seed: Any, most: Any = 4) -> Any:
    dice = random.Random(seed)
    return Terms(tuple(a_clause(dice) for _ in range(dice.randint(1, most))))


@given(st.integers(0))
def test_terms_come_back_from_their_bytes(seed: Any) -> None:
    terms = some_terms(seed)
    assert decode_terms(encode_terms(terms)) == terms


def test_sixty_four_clauses_fit_and_not_one_more() -> None:
    terms = Terms((PLAIN,) * 64)
    assert decode_terms(encode_terms(terms)) == terms
    with pytest.raises(MalformedInputError):
        Terms((PLAIN,) * 65)
    with pytest.raises(MalformedInputError):
        Terms(())


@given(st.integers(0), st.data())
def test_changed_bytes_are_refused_or_mean_something_else(seed: Any, data: Any) -> None:
    encoded = encode_terms(some_terms(seed, 2))
    at = data.draw(st.integers(0, len(encoded) - 1))
    bent = bytearray(encoded)
    bent[at] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(MalformedInputError):
        assert encode_terms(decode_terms(bytes(bent))) == bytes(bent)


@given(st.binary(max_size=300))
def test_decoding_is_total(data: Any) -> None:
    with suppress(MalformedInputError):
        assert encode_terms(decode_terms(b"\x01" + data)) == b"\x01" + data


@given(st.integers(0))
def test_cut_or_lengthened_bytes_are_refused(seed: Any) -> None:
    encoded = encode_terms(some_terms(seed, 2))
    for bent in (encoded[:-1], encoded + b"\0", encoded[: len(encoded) // 2], b"\2" + encoded[1:]):
        with pytest.raises(MalformedInputError):
            decode_terms(bent)


def test_the_bytes_of_terms_are_pinned() -> None:
    clause = Clause(
        Effect.PERMIT, Action(7), purposes=purpose_mask(["TREAT"]), grantees=frozenset({b"\7" * 32}),
        valid_until=1_800_000_000_000,
    )  # fmt: skip
    assert encode_terms(Terms((clause,))).hex() == (
        "0101" "01" "10" "0007" "00ff" "000000000000000007f0000000000000" + "ff" * 24 + "00" * 24
        + "000001a3185c5000" + "00" * 12 + "01" + "07" * 32 + "00" * 5
    )  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"actions": Action(0)}, {"actions": 128}, {"purposes": 0}, {"purposes": ALL_PURPOSES + 1},
        {"purposes": -1}, {"segments": 0}, {"segments": 256}, {"types": 0}, {"types": 1 << 192},
        {"grantees_excluded": True}, {"grantees": frozenset({b"short"})},
        {"codes": frozenset(bytes([n]) * 32 for n in range(33))},
        {"grantees": frozenset(bytes([n]) * 32 for n in range(17))},
        {"data_from": 5, "data_until": 5}, {"valid_from": 6, "valid_until": 5}, {"data_from": 1 << 63},
        {"uses": 1 << 32}, {"uses": -1}, {"price_msat": 1 << 63}, {"effect": Effect.DENY, "uses": 1},
        {"effect": Effect.DENY, "price_msat": 1}, {"further_purposes": frozenset({bytes(32)})},
    ],
)  # fmt: skip
def test_a_clause_out_of_its_domain_is_refused(fields: Any) -> None:
    with pytest.raises(MalformedInputError):
        replace(PLAIN, **fields)


@given(st.integers(0), st.binary(min_size=32, max_size=32))
def test_one_clause_can_be_shown_without_the_others(seed: Any, salt: Any) -> None:
    terms = some_terms(seed, 5)
    names = {digest: "x" for clause in terms.clauses for digest in digests_of(clause)}
    directive = make_directive("p", terms, names=names, salt=salt, now=1)
    for index, clause in enumerate(terms.clauses):
        shown = reveal(directive, index)
        assert verify_revealed(shown, directive.root) == clause
        for bent in (
            replace(shown, salt=bytes(32)),
            replace(shown, index=index + 1),
            replace(shown, count=shown.count + 1),
            replace(shown, path=(*shown.path, bytes(32))),
        ):
            with pytest.raises(VerificationError):
                verify_revealed(bent, directive.root)
    with pytest.raises(MalformedInputError):
        reveal(directive, len(terms.clauses))


def test_the_root_hides_the_terms_behind_the_salt() -> None:
    terms = Terms((PLAIN,))
    assert root_of(terms, bytes(32)) != root_of(terms, b"\1" * 32)


def a_directive(**choice: Any) -> Any:
    terms, names = grant_terms([Choice(**choice)])
    return make_directive("p", terms, names=names, salt=bytes(32), now=5)


def test_a_directive_comes_back_from_its_body_and_no_other_body_is_taken() -> None:
    directive = a_directive(readers=("Organization/clinic",), purposes=("TREAT", "x|FooBar"))
    body = encode_directive(directive)
    read = {"id": directive.id, "created": 5, "revoked": None, "cell": None}
    assert decode_directive(body, **read) == directive
    for bent in (b"", b"\2" + body[1:], body[:-1], body.replace(b"00000000", b"00000001", 1)):
        with pytest.raises(VerificationError):
            decode_directive(bent, **read)


def test_a_directive_without_the_texts_of_its_ids_is_refused() -> None:
    terms, _ = grant_terms([Choice(readers=("Organization/clinic",))])
    with pytest.raises(MalformedInputError):
        make_directive("p", terms, names={}, salt=bytes(32), now=1)
    with pytest.raises(MalformedInputError):
        make_directive("p", Terms((PLAIN,)), names={}, salt=b"short", now=1)


def test_two_codes_never_share_a_digest_by_concatenation() -> None:
    assert code_digest("a|b", "c") == code_digest("a|b", "c")
    assert code_digest("a", "b") != code_digest("a", "b ")


def test_names_of_segments_and_actions_are_read() -> None:
    assert parse_segments(["normal", "PSY"]) == 3
    assert parse_segments([]) == 255
    assert parse_actions(["read", "EXPORT"]) == Action.READ | Action.EXPORT
    assert parse_actions([]) == Action(7)
    for parse in (parse_segments, parse_actions):
        with pytest.raises(MalformedInputError):
            parse(["nothing"])


@pytest.mark.parametrize(
    "choice",
    [{"types": ("Nothing",)}, {"purposes": ("NOPE",)}, {"codes": ("no-bar",)}, {"segments": 0}],
)
def test_a_choice_out_of_its_domain_is_refused(choice: Any) -> None:
    with pytest.raises(MalformedInputError):
        grant_terms([Choice(**choice)])


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        (
            {"readers": ("Organization/clinic",), "purposes": ("TREAT",), "valid_until": 1_800_000_000_000},
            "Organization/clinic may read, search and see the history of all data, for treatment, "
            "valid until 2027-01-15T07:59:59.999Z.",
        ),
        (
            {"effect": Effect.DENY, "actions": ALL_ACTIONS, "segments": 2},
            "Anyone may not read, search, see the history of, add to, export, follow changes of or "
            "count in statistics all data about mental health, for any purpose.",
        ),
        (
            {"types": ("Observation", "Condition"), "purposes": ("HRESCH", "x|Foo"), "uses": 3,
             "data_from": 1_640_995_200_000, "data_until": 1_672_531_200_000, "actions": Action.READ},
            "Anyone may read Condition and Observation resources from the time from 2022-01-01 until "
            "2022-12-31, for research and x|Foo, at most 3 times.",
        ),
    ],
)  # fmt: skip
def test_a_directive_can_be_said_in_words(choice: Any, sentence: Any) -> None:
    (words,) = describe(a_directive(**choice))
    assert in_english(words) == sentence


def test_names_of_readers_can_be_shown_instead_of_references() -> None:
    directive = a_directive(readers=("Organization/clinic",))
    (words,) = describe(directive, name_of={"Organization/clinic": "Clinic North"}.__getitem__)
    assert words.readers == ("Clinic North",)


def test_exceptions_are_cut_out_of_a_denial_exactly() -> None:
    denial = Clause(Effect.DENY, ALL_ACTIONS, data_from=0, data_until=100)
    permit = Clause(
        Effect.PERMIT, Action(7), purposes=purpose_mask(["BTG"]), grantees=frozenset({bytes(32)}),
        data_from=40, data_until=60, segments=1,
    )  # fmt: skip
    pieces = subtract(denial, [permit], where="x")
    for purpose in (purpose_mask(["BTG"]), purpose_mask(["COC"])):
        for is_in in (True, False):
            for at in (0, 39, 40, 59, 60, 99):
                for seg in (1, 2, 3):
                    for action in (Action.READ, Action.EXPORT):
                        denied = any(
                            piece.purposes & purpose
                            and piece.actions & action
                            and piece.segments & seg
                            and (not piece.grantees or is_in != piece.grantees_excluded)
                            and (piece.data_from or 0) <= at < (piece.data_until or 100)
                            for piece in pieces
                        )
                        excepted = (
                            purpose & permit.purposes and is_in and 40 <= at < 60 and seg == 1
                            and action in permit.actions
                        )  # fmt: skip
                        assert denied == (not excepted)
