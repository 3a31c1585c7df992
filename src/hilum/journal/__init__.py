"""Receipts, the append-only Merkle log that holds them, and its signed checkpoints."""
