"""Keys, outputs and signatures against the vectors of BIP341 and an independent verifier."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from coincurve import PublicKeyXOnly
from ecc.hashes import tagged_hash

from hilum.base.units import Sat
from hilum.bitcoin.taproot import (
    TaprootKey,
    control_block,
    derive_key,
    leaf_hash,
    output_script,
    sign_key_path,
    signature_hash,
)
from hilum.bitcoin.transaction import TxOut, parse_transaction
from hilum.errors import MalformedInputError

Found = Callable[[str], Path]


@pytest.fixture(scope="module")
def vectors(material: Found) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        material("bips/bip-0341/wallet-test-vectors.json").read_text()
    )
    return found


def root_of(tree: Any) -> bytes:
    if tree is None:
        return b""
    if isinstance(tree, dict):
        script = bytes.fromhex(tree["script"])
        if tree["leafVersion"] == 0xC0:
            return leaf_hash(script)
        return tagged_hash(b"TapLeaf", bytes([tree["leafVersion"], len(script)]) + script)
    return tagged_hash(b"TapBranch", b"".join(sorted(root_of(branch) for branch in tree)))


def test_output_scripts_are_those_of_bip341(vectors: dict[str, Any]) -> None:
    assert len(vectors["scriptPubKey"]) == 7
    for vector in vectors["scriptPubKey"]:
        internal = bytes.fromhex(vector["given"]["internalPubkey"])
        script = output_script(internal, root_of(vector["given"]["scriptTree"]))
        assert script.hex() == vector["expected"]["scriptPubKey"]


def test_control_blocks_of_one_leaf_are_those_of_bip341(vectors: dict[str, Any]) -> None:
    seen = 0
    for vector in vectors["scriptPubKey"]:
        tree = vector["given"]["scriptTree"]
        if isinstance(tree, dict) and tree["leafVersion"] == 0xC0:
            internal = bytes.fromhex(vector["given"]["internalPubkey"])
            found = control_block(internal, bytes.fromhex(tree["script"]))
            assert [found.hex()] == vector["expected"]["scriptPathControlBlocks"]
            seen += 1
    assert seen == 2


def test_key_path_signatures_are_those_of_bip341(vectors: dict[str, Any]) -> None:
    case = vectors["keyPathSpending"][0]
    transaction = parse_transaction(bytes.fromhex(case["given"]["rawUnsignedTx"]))
    spent = [
        TxOut(Sat(each["amountSats"]), bytes.fromhex(each["scriptPubKey"]))
        for each in case["given"]["utxosSpent"]
    ]
    assert len(case["inputSpending"]) == 7
    for vector in case["inputSpending"]:
        given = vector["given"]
        message = signature_hash(
            transaction, given["txinIndex"], spent=spent, hash_type=given["hashType"]
        )
        assert message.hex() == vector["intermediary"]["sigHash"]
        key = TaprootKey(bytes.fromhex(given["internalPrivkey"]))
        assert key.public.hex() == vector["intermediary"]["internalPubkey"]
        root = bytes.fromhex(given["merkleRoot"] or "")
        (signature,) = sign_key_path(key, message, aux=bytes(32), root=root)
        suffix = bytes([given["hashType"]]) if given["hashType"] else b""
        assert [(signature + suffix).hex()] == vector["expected"]["witness"]


def test_a_signature_holds_for_the_output_key_only() -> None:
    key, message = derive_key(b"s" * 16, "wallet"), bytes(range(32))
    (signature,) = sign_key_path(key, message, aux=b"\x07" * 32)
    assert PublicKeyXOnly(output_script(key.public)[2:]).verify(signature, message)
    assert not PublicKeyXOnly(key.public).verify(signature, message)


def test_seed_and_purpose_decide_the_key() -> None:
    first = derive_key(b"s" * 16, "wallet")
    assert first == derive_key(b"s" * 16, "wallet")
    assert (
        len({first.public, derive_key(b"s" * 16, "x").public, derive_key(b"t" * 16, "x").public})
        == 3
    )


def test_a_key_does_not_show_its_secret() -> None:
    key = derive_key(b"s" * 16, "wallet")
    assert key.secret.hex() not in repr(key)
    assert repr(key.secret) not in repr(key)


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32, b""])
def test_what_is_no_key_is_refused(secret: bytes) -> None:
    with pytest.raises(MalformedInputError, match="secp256k1"):
        TaprootKey(secret)


def test_a_short_seed_is_refused() -> None:
    with pytest.raises(MalformedInputError, match="16 bytes"):
        derive_key(b"s" * 15, "wallet")
