import json
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hilum.errors import MalformedInputError
from hilum.vault.keys import KeyPurpose, derive


def test_every_purpose_has_its_own_key_and_the_derivation_is_pinned() -> None:
    keys = {purpose: derive(bytes(32), purpose) for purpose in KeyPurpose}
    assert len(set(keys.values())) == len(KeyPurpose)
    reference = HKDF(algorithm=SHA256(), length=32, salt=b"hilum/node-key/v1", info=b"hilum/kek/v1")
    assert keys[KeyPurpose.KEK] == reference.derive(bytes(32))


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_node_key_of_another_size_is_refused(size: Any) -> None:
    with pytest.raises(MalformedInputError):
        derive(bytes(size), KeyPurpose.KEK)


def test_wycheproof_hkdf_agrees(material: Any) -> None:
    suite = json.loads(material("wycheproof/hkdf_sha256_test.json").read_text())
    count = 0
    for group in suite["testGroups"]:
        for case in group["tests"]:
            if case["result"] != "valid":
                with pytest.raises(ValueError, match="larger"):
                    HKDF(SHA256(), case["size"], bytes.fromhex(case["salt"]), b"")
                continue
            hkdf = HKDF(
                SHA256(), case["size"], bytes.fromhex(case["salt"]), bytes.fromhex(case["info"])
            )
            assert hkdf.derive(bytes.fromhex(case["ikm"])).hex() == case["okm"]
            count += 1
    assert count > 50


def test_wycheproof_aes_256_gcm_agrees(material: Any) -> None:
    suite = json.loads(material("wycheproof/aes_gcm_test.json").read_text())
    count = 0
    for group in suite["testGroups"]:
        if (group["keySize"], group["ivSize"], group["tagSize"]) != (256, 96, 128):
            continue
        for case in group["tests"]:
            key = AESGCM(bytes.fromhex(case["key"]))
            nonce, aad = bytes.fromhex(case["iv"]), bytes.fromhex(case["aad"])
            sealed = bytes.fromhex(case["ct"] + case["tag"])
            count += 1
            if case["result"] == "valid":
                assert key.decrypt(nonce, sealed, aad).hex() == case["msg"]
                assert key.encrypt(nonce, bytes.fromhex(case["msg"]), aad) == sealed
            else:
                with pytest.raises(InvalidTag):
                    key.decrypt(nonce, sealed, aad)
    assert count > 30
