"""Segment keys, sealed bodies, rotation and shredding. Keys live apart from what they seal."""

from hilum.vault.keyring import Keyring
from hilum.vault.keys import KeyPurpose, derive

__all__ = ["KeyPurpose", "Keyring", "derive"]
