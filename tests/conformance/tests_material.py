"""Where the test material lies, for tests that are generated from it when they are collected."""

from pathlib import Path

MATERIAL = Path(__file__).resolve().parents[3] / "shared" / "material"
