"""One tree of errors for the whole house.

```
HilumError
├── MalformedInputError(ValueError)   the input is wrong; says where, why and what to do
├── InsufficientDataError             the input is right but too little to answer
├── AccessDeniedError                 refused; at the edge it looks like "absent"
├── VerificationError                 a proof, signature or stored root does not hold; names the step
├── ConflictError                     the state moved on (version, sequence, uniqueness)
└── UnavailableError                  cannot be done now; `retryable` says whether to try again
```

Errors carry fields, never health data: values of the input do not appear in them, places do.
"""

from __future__ import annotations

__all__ = [
    "AccessDeniedError",
    "ConflictError",
    "HilumError",
    "InsufficientDataError",
    "MalformedInputError",
    "UnavailableError",
    "VerificationError",
]


class HilumError(Exception):
    """Root of the tree.

    Args:
        code: stable machine word in kebab-case, e.g. ``"unknown-element"``.
        why: one plain sentence without health data.
        where: place in the input (FHIRPath-like path, ``line 12``, file name) or ``""``.
        hint: what to do about it, or ``""``.
    """

    def __init__(self, code: str, why: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(code, why, where, hint)
        self.code = code
        self.why = why
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f" ({self.hint})" if self.hint else ""
        return f"{place}{self.why}{advice}"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), dict(self.__dict__)))


def _rebuild(kind: type[HilumError], fields: dict[str, object]) -> HilumError:
    error = kind.__new__(kind)
    Exception.__init__(error, fields["code"], fields["why"], fields["where"], fields["hint"])
    error.__dict__.update(fields)
    return error


class MalformedInputError(HilumError, ValueError):
    """The input is wrong; nothing was changed."""


class InsufficientDataError(HilumError):
    """The input is well-formed but too little to answer."""


class AccessDeniedError(HilumError):
    """The gate refused. Edges render this exactly like something that never existed."""


class VerificationError(HilumError):
    """A proof, signature or stored root does not hold.

    Args:
        step: the name of the step that failed, e.g. ``"journal-path"``.
    """

    def __init__(self, step: str, why: str, *, where: str = "", hint: str = "") -> None:
        super().__init__("verification-failed", why, where=where, hint=hint)
        self.step = step


class ConflictError(HilumError):
    """The state moved on: a version, a sequence number or a unique key is taken."""


class UnavailableError(HilumError):
    """The node cannot do it now.

    Args:
        retryable: True when the same call may succeed later.
    """

    def __init__(
        self, code: str, why: str, *, where: str = "", hint: str = "", retryable: bool = True
    ) -> None:
        super().__init__(code, why, where=where, hint=hint)
        self.retryable = retryable
