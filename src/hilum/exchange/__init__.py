"""Use cases, each readable top to bottom. `wiring` is the only module that picks adapters."""
