"""Cells, operations, batches and their derivation from Bitcoin. It knows no medicine."""
