"""Would other nodes relay it? Consensus accepts more than relay policy does.

Source: Bitcoin Core `policy/policy.cpp` through btclib, with the data carrier limit (83 bytes of
script) of the versions before 30, so that older nodes relay our anchors too.
"""

from __future__ import annotations

from collections.abc import Sequence

from btclib import policy
from btclib.exceptions import BTClibValueError
from btclib.tx import Tx
from btclib.tx import TxOut as LibraryTxOut

from hilum.bitcoin.transaction import Transaction, TxOut
from hilum.errors import VerificationError

__all__ = ["MAX_DATA_CARRIER", "verify_standard"]

MAX_DATA_CARRIER = 83
"""Bytes of OP_RETURN script in one transaction. Source: Bitcoin Core 29, `MAX_OP_RETURN_RELAY`."""


def verify_standard(transaction: Transaction, *, spent: Sequence[TxOut]) -> None:
    """Check that the transaction is standard.

    Args:
        transaction: signed.
        spent: the outputs that its inputs spend, in the order of the inputs.

    Raises:
        VerificationError: when a default node would not relay it; names the rule.
    """
    # consensus rules are the kernel's business; here only policy is asked
    library = Tx.parse(transaction.serialize(), check_validity=False)
    outputs = [LibraryTxOut(each.value, each.script, check_validity=False) for each in spent]
    try:
        policy.assert_standard_tx(library, max_datacarrier_bytes=MAX_DATA_CARRIER)
        rules = {
            "too small": len(transaction.strip()) >= policy.MIN_STANDARD_TX_NONWITNESS_SIZE,
            "dust": not policy.dust_outputs(library),
            "input": policy.are_inputs_standard(outputs, library),
            "witness": policy.is_witness_standard(outputs, library),
        }
    except BTClibValueError as error:
        raise VerificationError("standard", f"not standard: {error}") from error
    for rule, holds in rules.items():
        if not holds:
            raise VerificationError("standard", f"not standard: {rule}")
