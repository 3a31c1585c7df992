import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import MalformedInputError, VerificationError
from hilum.identity.custodian import CustodianKey, did_key, parse_did_key, verify_signature

# Source: did:key Method, section "Test Vectors", Ed25519 (seeds 0, 1, 2).
VECTORS = [
    (0, "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"),
    (1, "did:key:z6MkjchhfUsD6mmvni8mCdXHw216Xrm9bQe2mBH1P5RDjVJG"),
    (2, "did:key:z6MknGc3ocHs3zdPiJbnaaqDi58NGb4pk1Sp9WxWufuXSdxf"),
]


@pytest.mark.parametrize(("seed", "did"), VECTORS)
def test_the_published_did_keys_come_out(seed: Any, did: Any) -> None:
    key = CustodianKey(seed.to_bytes(32, "big"))
    assert key.did == did
    assert parse_did_key(did) == key.public


@given(st.binary(min_size=32, max_size=32))
def test_a_did_key_names_its_public_key(public: Any) -> None:
    assert parse_did_key(did_key(public)) == public


@pytest.mark.parametrize(
    "did",
    [
        "", "did:key:", "did:key:z", "did:key:z6Mk", "did:web:example.org", "did:key:z0OIl",
        VECTORS[0][1] + "1", VECTORS[0][1][:-1], "did:key:z1" + VECTORS[0][1][9:],
        "did:key:z" + "z" * 5000,
        "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
    ],
)  # fmt: skip
def test_what_is_not_a_did_key_of_ed25519_is_refused(did: Any) -> None:
    with pytest.raises(MalformedInputError):
        parse_did_key(did)


def test_a_signature_holds_for_its_message_only() -> None:
    key = CustodianKey(bytes(32))
    signature = key.sign(b"message")
    verify_signature(key.public, b"message", signature)
    for public, message, bent in [
        (key.public, b"other", signature),
        (key.public, b"message", signature[:-1] + b"\0"),
        (CustodianKey(b"\1" * 32).public, b"message", signature),
        (b"short", b"message", signature),
    ]:
        with pytest.raises(VerificationError):
            verify_signature(public, message, bent)


def test_wycheproof_ed25519_agrees(material: Any) -> None:
    suite = json.loads(material("wycheproof/ed25519_test.json").read_text())
    count = 0
    for group in suite["testGroups"]:
        public = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            message, signature = bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"])
            count += 1
            if case["result"] == "valid":
                verify_signature(public, message, signature)
            else:
                with pytest.raises(VerificationError):
                    verify_signature(public, message, signature)
    assert count > 100
