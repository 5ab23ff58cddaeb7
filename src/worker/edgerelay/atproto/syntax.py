"""The syntaxes of identifiers: yes or no, without resolving or normalizing anything.

Most of these run for every event, so each is one regular expression and a length.

Spec: atproto DID, handle, NSID, record key, TID, AT-URI scheme, repository ("Repository Paths"), Lexicon ("datetime").
"""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "MAX_AT_URI_CHARS",
    "MAX_DID_CHARS",
    "MAX_HANDLE_CHARS",
    "MAX_NSID_CHARS",
    "MAX_RECORD_KEY_CHARS",
    "is_at_uri",
    "is_datetime",
    "is_did",
    "is_handle",
    "is_nsid",
    "is_plc_did",
    "is_record_key",
    "is_repo_path",
    "is_tid",
]

MAX_DID_CHARS: Final = 2_048
"""DID: the specification's bound; a did:plc has 32."""

MAX_HANDLE_CHARS: Final = 253
"""Handle: the bound of a domain name."""

MAX_NSID_CHARS: Final = 317
"""NSID: an authority of 253, a dot, a name of 63."""

MAX_RECORD_KEY_CHARS: Final = 512
"""Record key: the specification's bound."""

MAX_AT_URI_CHARS: Final = 8_192
"""AT-URI: 8 kilobytes."""

_DID: Final = re.compile(r"did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]")
_PLC_DID: Final = re.compile(r"did:plc:[a-z2-7]{24}")
_HANDLE: Final = re.compile(r"([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)+[a-zA-Z]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
_NSID: Final = re.compile(
    r"[a-zA-Z]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)+"
    r"\.[a-zA-Z][a-zA-Z0-9]{0,62}"
)
_RECORD_KEY: Final = re.compile(rf"(?!\.\.?\Z)[a-zA-Z0-9_~.:-]{{1,{MAX_RECORD_KEY_CHARS}}}")
_TID: Final = re.compile(r"[234567abcdefghij][234567abcdefghijklmnopqrstuvwxyz]{12}")
_DATETIME: Final = re.compile(
    # Not what only looks like year 0, but lies before it in UTC.
    r"(?!0000-01-01T.*\+(?!00:00))"
    r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,20})?"
    r"(Z|(?!-00:00)[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)


def is_did(text: str) -> bool:
    """Tell whether this is a DID, of whatever method."""
    return len(text) <= MAX_DID_CHARS and _DID.fullmatch(text) is not None


def is_plc_did(text: str) -> bool:
    """Tell whether this is a DID that the PLC directory could know."""
    return _PLC_DID.fullmatch(text) is not None


def is_handle(text: str) -> bool:
    """Tell whether this is a handle, in whatever case."""
    return len(text) <= MAX_HANDLE_CHARS and _HANDLE.fullmatch(text) is not None


def is_nsid(text: str) -> bool:
    """Tell whether this is the name of a collection or a lexicon."""
    return len(text) <= MAX_NSID_CHARS and _NSID.fullmatch(text) is not None


def is_record_key(text: str) -> bool:
    """Tell whether this can name a record within its collection."""
    return _RECORD_KEY.fullmatch(text) is not None


def is_repo_path(text: str) -> bool:
    """Tell whether this is `<collection>/<record key>`."""
    collection, _, record_key = text.partition("/")
    return is_record_key(record_key) and is_nsid(collection)


def is_tid(text: str) -> bool:
    """Tell whether this is a timestamp identifier; `tid.tid_to_us` reads it."""
    return _TID.fullmatch(text) is not None


def is_at_uri(text: str) -> bool:
    """Tell whether this is an AT-URI in the restricted form of the Lexicon type: no query, fragment or final slash."""
    if len(text) > MAX_AT_URI_CHARS or not text.startswith("at://"):
        return False
    authority, *path = text.removeprefix("at://").split("/", 2)
    if not is_did(authority) and not is_handle(authority):
        return False
    return not path or (is_nsid(path[0]) and all(map(is_record_key, path[1:])))


def is_datetime(text: str) -> bool:
    """Tell whether this is a Lexicon datetime: what RFC 3339, ISO 8601 and the web agree on."""
    return _DATETIME.fullmatch(text) is not None
