"""Canonical bytes, tagged hashes, Merkle trees, ids, clock values and units. No I/O."""
