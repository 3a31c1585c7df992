"""Operations, cells, records, genesis: byte-exact, and every other byte string refused."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.base.hashes import tagged_hash
from hilum.errors import MalformedInputError, VerificationError
from hilum.ledger.batch import (
    RECORD_BYTES,
    Mode,
    Record,
    encode_data,
    encode_record,
    parse_data,
    parse_record,
    take_fitting,
)
from hilum.ledger.cell import CLOSED, Cell, Rule, encode_cell, parse_cell
from hilum.ledger.genesis import Genesis, encode_genesis, ledger_id, parse_genesis
from hilum.ledger.keys import ORDER, Signer
from hilum.ledger.operation import (
    OPERATION_BYTES,
    Kind,
    Operation,
    encode_operation,
    operation_message,
    parse_operation,
    split_operations,
    verify_signature,
)

HASH = st.binary(min_size=32, max_size=32)
SIGNATURE = st.binary(min_size=64, max_size=64)
U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
RULES = st.sampled_from([int(rule) for rule in Rule])
OPERATIONS = st.one_of(
    st.builds(
        Operation,
        st.just(Kind.OPEN),
        rule=RULES,
        until=U32,
        owner=HASH,
        value=HASH,
        signature=SIGNATURE,
    ),
    st.builds(Operation, st.just(Kind.SET), index=U32, value=HASH, signature=SIGNATURE),
    st.builds(
        Operation, st.just(Kind.APPEND), index=U32, size=U64, value=HASH, signature=SIGNATURE
    ),
    st.builds(Operation, st.just(Kind.CLOSE), index=U32, signature=SIGNATURE),
    st.builds(Operation, st.just(Kind.ROTATE), index=U32, owner=HASH, signature=SIGNATURE),
)
CELLS = st.builds(
    Cell, U32, RULES | RULES.map(lambda rule: rule | CLOSED), HASH, U32, U32, U64, HASH
)
RECORDS = st.builds(Record, st.sampled_from(Mode), U32, U32, HASH, HASH)


def test_sizes_are_those_of_the_design() -> None:
    assert {kind.name: size for kind, size in OPERATION_BYTES.items()} == {
        "OPEN": 134,
        "SET": 101,
        "APPEND": 109,
        "CLOSE": 69,
        "ROTATE": 101,
    }
    assert RECORD_BYTES == 78
    open_bytes = encode_operation(
        Operation(Kind.OPEN, rule=1, until=7, owner=b"o" * 32, value=b"v" * 32, signature=b"s" * 64)
    )
    assert open_bytes == b"\1\1\0\0\0\7" + b"o" * 32 + b"v" * 32 + b"s" * 64
    append = Operation(Kind.APPEND, index=3, size=9, value=b"v" * 32, signature=b"s" * 64)
    assert encode_operation(append) == b"\3\0\0\0\3" + bytes(7) + b"\x09" + b"v" * 32 + b"s" * 64
    cell = Cell(1, 2, b"o" * 32, 3, 4, 5, b"v" * 32)
    assert encode_cell(cell) == (
        b"\0\0\0\1\2" + b"o" * 32 + b"\0\0\0\3\0\0\0\4" + bytes(7) + b"\5" + b"v" * 32
    )
    record = Record(Mode.ROLLUP, 2, 3, b"s" * 32, b"d" * 32)
    assert encode_record(record) == b"HLM1\1\0\0\0\0\2\0\0\0\3" + b"s" * 32 + b"d" * 32


@given(OPERATIONS)
def test_operations_are_read_back_and_nothing_else_is_read(operation: Operation) -> None:
    data = encode_operation(operation)
    assert parse_operation(data) == operation
    for bad in (data[:-1], data + b"\0", b"\0" + data[1:], b"\6" + data[1:], b""):
        with pytest.raises(MalformedInputError):
            parse_operation(bad)


@given(st.binary(max_size=140))
def test_noise_is_malformed_or_an_operation(noise: bytes) -> None:
    try:
        operation = parse_operation(noise)
    except MalformedInputError:
        return
    assert encode_operation(operation) == noise


@given(st.lists(OPERATIONS, max_size=20), st.binary(min_size=1, max_size=60))
def test_batch_data_splits_into_its_operations(operations: list[Operation], rest: bytes) -> None:
    parts = [encode_operation(operation) for operation in operations]
    data = encode_data(parts)
    assert parse_data(data) == parts
    assert list(split_operations(b"".join(parts))) == parts
    for bad in (data + b"\0" + rest, b"\2" + data[1:], data + parts[0][:50] if parts else b""):
        with pytest.raises(MalformedInputError):
            parse_data(bad)


def test_a_batch_takes_no_more_than_its_anchor_carries() -> None:
    one = bytes(134)
    fitting = take_fitting([one] * 3000)
    assert fitting == (380_000 - 1) // 134
    assert len(encode_data([one] * fitting)) <= 380_000
    with pytest.raises(MalformedInputError):
        encode_data([one] * (fitting + 1))
    with pytest.raises(MalformedInputError):
        parse_data(b"\1" + bytes(380_000))
    assert take_fitting([]) == 0


@given(CELLS)
def test_cells_are_read_back_and_nothing_else_is_read(cell: Cell) -> None:
    data = encode_cell(cell)
    assert parse_cell(data) == cell
    for bad in (
        data[:-1],
        data + b"\0",
        data[:4] + b"\3" + data[5:],
        data[:4] + b"\x83" + data[5:],
    ):
        with pytest.raises(MalformedInputError):
            parse_cell(bad)


@given(RECORDS)
def test_records_are_read_back_and_nothing_else_is_read(record: Record) -> None:
    data = encode_record(record)
    assert parse_record(data) == record
    bad = [data[:-1], data + b"\0", b"HLM2" + data[4:], data[:4] + b"\0" + data[5:]]
    bad += [data[:4] + b"\4" + data[5:], data[:5] + b"\1" + data[6:]]
    for other in bad:
        with pytest.raises(MalformedInputError):
            parse_record(other)


@given(st.builds(Genesis, U64, HASH, HASH))
def test_genesis_is_read_back_and_names_its_tree(genesis: Genesis) -> None:
    data = encode_genesis(genesis)
    assert parse_genesis(data) == genesis
    assert b"sha256" in data
    assert ledger_id(genesis) == tagged_hash("hilum/ledger/v1", data)
    for bad in (data[:-1], data + b"\0", b"\2" + data[1:], data.replace(b"sha256", b"sha257", 1)):
        if bad != data:
            with pytest.raises(MalformedInputError):
                parse_genesis(bad)


@pytest.mark.parametrize(
    "broken",
    [
        lambda: encode_genesis(Genesis(-1, bytes(32), bytes(32))),
        lambda: encode_genesis(Genesis(1, bytes(31), bytes(32))),
        lambda: encode_genesis(Genesis(1, bytes(32), bytes(32), "poseidon2")),
        lambda: encode_operation(Operation(Kind.SET, index=2**32)),
        lambda: encode_operation(Operation(Kind.SET, value=bytes(31))),
        lambda: encode_operation(Operation(Kind.SET, signature=bytes(63))),
        lambda: encode_operation(Operation(Kind.OPEN, rule=3)),
        lambda: encode_operation(Operation(Kind.APPEND, size=2**64)),
        lambda: encode_cell(Cell(2**32, 0, bytes(32), 0, 0, 0, bytes(32))),
        lambda: encode_cell(Cell(0, 0, bytes(31), 0, 0, 0, bytes(32))),
        lambda: encode_record(Record(Mode.ROLLUP, 2**32, 0, bytes(32), bytes(32))),
        lambda: encode_record(Record(Mode.ROLLUP, 1, 0, bytes(31), bytes(32))),
        lambda: parse_operation(b"\1\3" + bytes(132)),
    ],
)
def test_fields_that_do_not_fit_are_refused(broken: Callable[[], object]) -> None:
    with pytest.raises(MalformedInputError):
        broken()


def test_signatures_are_judged_as_bip340_judges_them(material: Callable[[str], Path]) -> None:
    vectors = material("bips/bip-0340") / "test-vectors.csv"
    rows = list(csv.DictReader(vectors.read_text().splitlines()))
    judged = 0
    for row in rows:
        public, message, signature = (
            bytes.fromhex(row[name]) for name in ("public key", "message", "signature")
        )
        if row["verification result"] == "TRUE":
            verify_signature(public, message, signature)
        else:
            with pytest.raises(VerificationError):
                verify_signature(public, message, signature)
        judged += 1
    assert judged == 19


def test_owner_keys_are_distinct_stable_and_bound_to_their_ledger() -> None:
    signer = Signer(b"\1" * 32, b"\2" * 32)
    owners = [signer.owner(n) for n in range(50)]
    assert len(set(owners)) == 50
    assert owners == [Signer(b"\1" * 32, b"\2" * 32).owner(n) for n in range(50)]
    assert signer.owner(0) != Signer(b"\1" * 32, b"\3" * 32).owner(0)
    assert signer.owner(0) != Signer(b"\4" * 32, b"\2" * 32).owner(0)
    assert ORDER.bit_length() == 256


@given(OPERATIONS, U32)
def test_the_signed_message_binds_ledger_operation_and_seq(operation: Operation, seq: int) -> None:
    unsigned = encode_operation(operation, signed=False)
    assert encode_operation(operation) == unsigned + operation.signature
    message = operation_message(bytes(32), unsigned, seq)
    assert message == tagged_hash("hilum/op/v1", bytes(32), unsigned, seq.to_bytes(4, "big"))
    assert message != operation_message(b"\1" + bytes(31), unsigned, seq)
    other = msgspec.structs.replace(operation, kind=Kind.CLOSE)
    if other.kind != operation.kind:
        assert message != operation_message(bytes(32), encode_operation(other, signed=False), seq)
