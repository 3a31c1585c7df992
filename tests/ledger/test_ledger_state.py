"""What operations do to cells, and what becomes of batches on their way through Bitcoin."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.base import merkle
from hilum.base.statetree import verify_path
from hilum.errors import ConflictError, HilumError, UnavailableError, VerificationError
from hilum.ledger.apply import apply, trust_signature
from hilum.ledger.batch import (
    Batch,
    Mode,
    Record,
    encode_data,
    encode_record,
    execute,
    parse_record,
    seal,
)
from hilum.ledger.cell import CLOSED, Cell, Rule, encode_cell
from hilum.ledger.derive import Anchor, Derived, Skipped, derive, follow
from hilum.ledger.genesis import Genesis, ledger_id
from hilum.ledger.keys import Signer
from hilum.ledger.operation import Kind, Operation, parse_operation
from hilum.ledger.state import State, Trial

GENESIS = Genesis(1, b"\5" * 32, b"\6" * 32)
LEDGER = ledger_id(GENESIS)
SIGNER = Signer(b"\7" * 32, LEDGER)
VALUE = sha256(b"value").digest()


def opened(*rules: Rule) -> State:
    state = State(LEDGER)
    for key, rule in enumerate(rules):
        apply(state, parse_operation(SIGNER.open(key, rule=rule, value=VALUE)))
    return state


def small_openings(begin: int, count: int) -> list[bytes]:
    return [
        SIGNER.open(begin + n, rule=Rule.ONE_WAY, value=sha256(b"%d" % n).digest())
        for n in range(count)
    ]


def as_anchor(batch: Batch, height: int | None = None) -> Anchor:
    seen = batch.record.seen_height
    return Anchor(seen + 1 if height is None else height, encode_record(batch.record), batch.data)


def test_each_rule_permits_what_the_design_permits() -> None:
    makers: dict[Kind, Callable[[int], bytes]] = {
        Kind.SET: lambda i: SIGNER.set(i, index=i, seq=0, value=bytes(32)),
        Kind.APPEND: lambda i: SIGNER.append(i, index=i, seq=0, size=1, value=bytes(32)),
        Kind.CLOSE: lambda i: SIGNER.close(i, index=i, seq=0),
        Kind.ROTATE: lambda i: SIGNER.rotate(i, index=i, seq=0, owner=SIGNER.owner(100)),
    }
    permitted = {
        Rule.REPLACEABLE: {Kind.SET, Kind.ROTATE, Kind.CLOSE},
        Rule.ONE_WAY: {Kind.ROTATE, Kind.CLOSE},
        Rule.APPEND_ONLY: {Kind.APPEND, Kind.ROTATE, Kind.CLOSE},
    }
    for index, rule in enumerate(Rule):
        for kind, make in makers.items():
            state = opened(*Rule)
            before, root = state.cell(index), state.root()
            operation = parse_operation(make(index))
            if kind not in permitted[rule]:
                with pytest.raises(ConflictError):
                    apply(state, operation)
                assert state.root() == root
                continue
            after = apply(state, operation)
            assert state.cell(index) == after
            assert state.root() != root
            expected = {
                Kind.SET: {"value": bytes(32)},
                Kind.APPEND: {"value": bytes(32), "size": 1},
                Kind.CLOSE: {"rule": rule | CLOSED},
                Kind.ROTATE: {"owner": SIGNER.owner(100)},
            }[kind]
            assert after == msgspec.structs.replace(before, seq=1, **expected)


def test_closed_is_for_ever() -> None:
    state = opened(Rule.REPLACEABLE)
    apply(state, parse_operation(SIGNER.close(0, index=0, seq=0)))
    for operation in (
        SIGNER.set(0, index=0, seq=1, value=bytes(32)),
        SIGNER.rotate(0, index=0, seq=1, owner=SIGNER.owner(5)),
        SIGNER.close(0, index=0, seq=1),
    ):
        with pytest.raises(ConflictError):
            apply(state, parse_operation(operation))


def test_an_append_only_cell_only_grows() -> None:
    state = opened(Rule.APPEND_ONLY)
    apply(state, parse_operation(SIGNER.append(0, index=0, seq=0, size=10, value=VALUE)))
    for size in (0, 9, 10):
        with pytest.raises(ConflictError):
            apply(state, parse_operation(SIGNER.append(0, index=0, seq=1, size=size, value=VALUE)))
    apply(state, parse_operation(SIGNER.append(0, index=0, seq=1, size=11, value=VALUE)))


def test_no_operation_can_be_replayed() -> None:
    state = State(LEDGER)
    opening = SIGNER.open(0, rule=Rule.REPLACEABLE, value=VALUE)
    setting = SIGNER.set(0, index=0, seq=0, value=bytes(32))
    apply(state, parse_operation(opening))
    apply(state, parse_operation(setting))
    with pytest.raises(VerificationError):
        apply(state, parse_operation(setting))
    with pytest.raises(ConflictError):  # else a closed cell would rise again under a new number
        apply(state, parse_operation(opening))
    elsewhere = State(b"\1" * 32)
    with pytest.raises(VerificationError):
        apply(elsewhere, parse_operation(opening))


def test_a_rotated_cell_obeys_its_new_owner_and_keys_serve_once() -> None:
    state = opened(Rule.REPLACEABLE, Rule.REPLACEABLE)
    rotation = SIGNER.rotate(0, index=0, seq=0, owner=SIGNER.owner(50))
    apply(state, parse_operation(rotation))
    with pytest.raises(VerificationError):
        apply(state, parse_operation(SIGNER.set(0, index=0, seq=1, value=bytes(32))))
    apply(state, parse_operation(SIGNER.set(50, index=0, seq=1, value=bytes(32))))
    for used in (0, 1, 50):
        again = SIGNER.rotate(1, index=1, seq=0, owner=SIGNER.owner(used))
        with pytest.raises(ConflictError):
            apply(state, parse_operation(again))


@given(
    st.lists(
        st.tuples(st.sampled_from(Kind), st.integers(0, 4), st.integers(0, 6), st.integers(0, 12)),
        max_size=40,
    )
)
@settings(max_examples=60, deadline=None)
def test_cells_agree_with_a_plain_model_and_a_trial_with_its_base(
    steps: list[tuple[Kind, int, int, int]],
) -> None:
    state, base = State(LEDGER), State(LEDGER)
    trial = Trial(base)
    model: dict[int, Cell] = {}
    used: set[bytes] = set()
    for kind, index, size, key in steps:
        owner, value = bytes([key]) * 32, bytes([size]) * 32
        operation = Operation(kind, index, size % 3, size, owner, size, value)
        expected = naive(model, used, operation)
        for cells in (state, trial):
            try:
                done: Cell | None = apply(cells, operation, verify=trust_signature)
            except ConflictError:
                done = None
            assert done == expected
    assert len(state) == len(trial) == len(model)
    assert [state.cell(n) for n in model] == [trial.cell(n) for n in model] == list(model.values())
    assert len(base) == 0
    root = merkle.EMPTY_ROOT if not model else state.root()
    for n, cell in model.items():
        verify_path(merkle.leaf_hash(encode_cell(cell)), state.path(n), index=n, root=root)


def naive(model: dict[int, Cell], used: set[bytes], operation: Operation) -> Cell | None:
    """The table of the design, written as one."""
    if operation.kind in {Kind.OPEN, Kind.ROTATE} and operation.owner in used:
        return None
    if operation.kind is Kind.OPEN:
        cell = Cell(
            len(model), operation.rule, operation.owner, 0, operation.until, 0, operation.value
        )
    else:
        old = model.get(operation.index)
        if old is None or old.rule >= 128:
            return None
        rule, owner, size, value = old.rule, old.owner, old.size, old.value
        if operation.kind is Kind.SET and old.rule == 0:
            value = operation.value
        elif operation.kind is Kind.APPEND and old.rule == 2 and operation.size > old.size:
            size, value = operation.size, operation.value
        elif operation.kind is Kind.CLOSE:
            rule += 128
        elif operation.kind is Kind.ROTATE:
            owner = operation.owner
        else:
            return None
        cell = Cell(old.index, rule, owner, old.seq + 1, old.until, size, value)
    used.add(cell.owner)
    model[cell.index] = cell
    return cell


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 40])
def test_a_batch_commits_to_its_chunks_and_the_state_after_each(count: int) -> None:
    state = State(LEDGER)
    operations = small_openings(0, count)
    batch = seal(state, operations, seen_height=5)
    assert len(batch.chunks) == -(-count // 16)
    again = State(LEDGER)
    for n, chunk in enumerate(batch.chunks):
        part = operations[n * 16 : n * 16 + 16]
        assert execute(again, part) == [chunk]
        assert chunk == b"\1" + again.root() + b"".join(part)
    root = merkle.root(batch.chunks)
    assert batch.record == Record(Mode.ROLLUP, 1, 5, again.root(), root)
    assert batch.previous_root == State(LEDGER).root()


def test_sealing_an_operation_that_does_not_hold_changes_nothing() -> None:
    state = opened(Rule.ONE_WAY)
    root = state.root()
    for bad in (
        [*small_openings(1, 20), SIGNER.close(9, index=0, seq=0)],
        [*small_openings(1, 3), b"\0"],
        [SIGNER.close(0, index=7, seq=0)],
    ):
        with pytest.raises(HilumError):
            seal(state, bad, seen_height=1)
        assert (state.root(), state.batches, len(state)) == (root, 0, 1)
        assert not state.has_owner(SIGNER.owner(1))
    seal(state, small_openings(1, 3), seen_height=7)
    with pytest.raises(ConflictError):
        seal(state, [], seen_height=6)


def test_every_node_derives_the_sequencers_state() -> None:
    sequencer = State(LEDGER)
    batches = [
        seal(sequencer, small_openings(0, 20), seen_height=10),
        seal(sequencer, [SIGNER.close(3, index=3, seq=0)], seen_height=11),
        seal(sequencer, [], seen_height=11),
    ]
    derivation = derive(GENESIS, [as_anchor(batch) for batch in batches])
    assert derivation.state.root() == sequencer.root()
    assert [found.record.number for found in derivation.valid] == [1, 2, 3]
    assert derivation.skipped == ()


def test_invalid_batches_are_skipped_and_the_thread_goes_on() -> None:
    sequencer = State(LEDGER)
    first = seal(sequencer, small_openings(0, 3), seen_height=10)
    second = seal(sequencer, [SIGNER.close(1, index=1, seq=0)], seen_height=12)
    record = second.record
    stranger = Signer(b"\x09" * 32, LEDGER)
    forged_close = encode_data([stranger.close(1, index=1, seq=0)])

    def bent(**fields: object) -> bytes:
        return encode_record(msgspec.structs.replace(record, **fields))

    cases = [
        (Anchor(13, bent(state_root=bytes(32)), second.data), "state-root"),
        (Anchor(13, bent(data_root=bytes(32)), second.data), "data-root"),
        (Anchor(13, encode_record(record), first.data), "owner-used"),
        (Anchor(13, encode_record(record), forged_close), "operation-signature"),
        (Anchor(13, encode_record(record), second.data[:-1]), "bad-operation"),
        (Anchor(13, encode_record(record), b"\2" + second.data[1:]), "bad-data"),
        (Anchor(13, encode_record(record), b""), "bad-data"),
        (Anchor(13, b"", second.data), "bad-record"),
        (Anchor(13, bent(number=3), second.data), "wrong-number"),
        (Anchor(13, bent(number=1), second.data), "wrong-number"),
        (Anchor(12, encode_record(record), second.data), "wrong-height"),
        (Anchor(13, bent(seen_height=9), second.data), "wrong-height"),
    ]
    anchors = [as_anchor(first), *(anchor for anchor, _ in cases), as_anchor(second)]
    derivation = derive(GENESIS, anchors)
    assert [skipped.reason for skipped in derivation.skipped] == [reason for _, reason in cases]
    assert [found.record.number for found in derivation.valid] == [1, 2]
    assert derivation.state.root() == sequencer.root()


def test_a_batch_whose_operations_are_elsewhere_is_not_judged() -> None:
    batch = seal(State(LEDGER), small_openings(0, 1), seen_height=1, mode=Mode.VALIDIUM)
    state = State(LEDGER)
    with pytest.raises(UnavailableError):
        follow(state, Anchor(2, encode_record(batch.record), None))
    assert isinstance(follow(state, as_anchor(batch)), Derived)
    assert parse_record(encode_record(batch.record)).mode is Mode.VALIDIUM
    assert isinstance(follow(state, as_anchor(batch)), Skipped)


def test_a_state_returns_to_its_mark() -> None:
    state = opened(Rule.REPLACEABLE, Rule.ONE_WAY)
    state.batches, state.seen_height = 4, 9
    state.mark()
    root = state.root()
    for operation in (
        SIGNER.set(0, index=0, seq=0, value=bytes(32)),
        SIGNER.set(0, index=0, seq=1, value=b"\1" * 32),
        SIGNER.rotate(1, index=1, seq=0, owner=SIGNER.owner(40)),
        *small_openings(2, 5),
        SIGNER.close(4, index=4, seq=0),
    ):
        apply(state, parse_operation(operation))
    state.batches, state.seen_height = 5, 10
    state.rollback()
    assert (state.root(), len(state)) == (root, 2)
    assert (state.batches, state.seen_height) == (4, 9)
    assert not state.has_owner(SIGNER.owner(40))
    assert not state.has_owner(SIGNER.owner(2))
    apply(state, parse_operation(small_openings(2, 1)[0]))


def test_cells_that_are_not_there_conflict() -> None:
    state = opened(Rule.ONE_WAY)
    for index in (1, 2**32 - 1, -1):
        with pytest.raises(ConflictError):
            state.cell(index)
        with pytest.raises(ConflictError):
            Trial(state).cell(index)
