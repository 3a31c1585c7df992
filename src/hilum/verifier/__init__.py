"""The offline verifier: a proof file and a headers file in, a report or the failing step out.

It shares no code with what writes proofs beyond `hilum.base`, and needs nothing but the standard
library and, for one signature, `cryptography`.
"""

from hilum.verifier.proof import STEPS, Report, verify_proof

__all__ = ["STEPS", "Report", "verify_proof"]
