"""What touches disk or the consensus engine; constructed by the wiring only."""
