"""Who asks: readers, subjects, purposes, tokens; and the custodian's own key."""

from hilum.identity.reader import Reader, ReaderKind, grantee_of
from hilum.identity.session import Session, Sessions, authenticate
from hilum.identity.token import Token, issue, parse_ttl

__all__ = [
    "Reader",
    "ReaderKind",
    "Session",
    "Sessions",
    "Token",
    "authenticate",
    "grantee_of",
    "issue",
    "parse_ttl",
]
