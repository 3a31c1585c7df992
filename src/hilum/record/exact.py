"""JSON that may be taken apart and put together again without touching the digits of a number."""

from __future__ import annotations

from decimal import Decimal
from typing import Self

import msgspec

__all__ = ["ExactDecimal", "decode_exact", "encode_exact"]


class ExactDecimal(Decimal):
    """A decimal that remembers how it was written (``1.0e2`` stays ``1.0e2``).

    Args:
        text: a JSON number.
    """

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        """Read the number and keep its text."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __deepcopy__(self, memo: object) -> Self:
        """Return the number itself: it never changes."""
        return self


_DECODE = msgspec.json.Decoder(float_hook=ExactDecimal)


def decode_exact(data: bytes) -> object:
    """Return decoded JSON whose decimals are `ExactDecimal`.

    Raises:
        msgspec.DecodeError: not JSON.
        ArithmeticError: a number beyond what decimals can hold.
    """
    return _DECODE.decode(data)


def encode_exact(tree: object) -> bytes:
    """Return compact JSON in which every number is written as it came."""
    return _ENCODE(tree)


def _as_written(value: object) -> msgspec.Raw:
    if isinstance(value, ExactDecimal):
        return msgspec.Raw(value.text.encode())
    raise TypeError(f"no JSON form for {type(value).__name__}")


_ENCODE = msgspec.json.Encoder(enc_hook=_as_written, decimal_format="number").encode
