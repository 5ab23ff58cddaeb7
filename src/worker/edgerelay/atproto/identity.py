"""DID documents: where to ask for one, what the answer says, and what of it a relay needs.

Owns the step from an answer's bytes to an identity. Asking, caching, retrying and keeping away from private addresses
belong to the resolver; whether a handle is true is nobody's question here.

Spec: atproto DID; did:plc; did:web; atproto identity guide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from http import HTTPStatus
from typing import Final, NamedTuple

from edgerelay.atproto.json_object import parse_object
from edgerelay.atproto.keys import PublicKey, key_from_legacy, key_from_multikey
from edgerelay.atproto.origin import is_public_host, normalize_origin
from edgerelay.atproto.syntax import is_handle, is_plc_did
from edgerelay.errors import WireError

__all__ = ["Absence", "Identity", "document_url", "parse_document", "read_answer"]

_LOCAL_WEB: Final = re.compile(r"did:web:localhost(?:%3A([0-9]{1,5}))?")
_MULTIKEY: Final = "Multikey"
_TOMBSTONE_WORDS: Final = b"DID not available"
"""What the directory's code says of a tombstoned DID, with status 404; its specification says 410."""


class Absence(StrEnum):
    """Why a DID has no identity, or no account where one was looked for."""

    NOT_FOUND = "not_found"
    TOMBSTONED = "tombstoned"
    """Given up for good by its owner; a relay takes the account for deleted."""


class Identity(NamedTuple):
    """What a DID document says, as far as a relay needs it."""

    did: str
    signing_key: PublicKey | None
    """None if the document has none that can be used: nothing of the account can be verified."""

    pds: str | None
    """The account's host as an origin, `https://host[:port]`; None if the document names none."""

    handle: str | None
    """Claimed, not checked."""


def document_url(did: str, plc_url: str, *, allow_localhost: bool = False) -> str:
    """Tell where the document of a DID is to be had.

    Args:
        plc_url: the PLC directory, without a slash at the end.
        allow_localhost: whether `did:web:localhost` may be asked, for development.
    """
    if is_plc_did(did):
        return f"{plc_url}/{did}"
    local = _LOCAL_WEB.fullmatch(did)
    if local is not None and allow_localhost:
        return f"http://localhost{':' + local[1] if local[1] else ''}/.well-known/did.json"
    if not did.startswith("did:web:"):
        raise WireError("a DID of a method that is not supported")
    host = did.removeprefix("did:web:").lower()
    if not is_public_host(host):
        raise WireError("a did:web that does not name a public host")
    return f"https://{host}/.well-known/did.json"


def read_answer(did: str, status: int, body: bytes) -> Identity | Absence:
    """Read what the directory or the host of a DID has answered.

    Raises:
        WireError: the answer says nothing about the DID, or its document cannot be used.
    """
    if status == HTTPStatus.OK:
        return parse_document(did, body)
    if status == HTTPStatus.GONE:
        return Absence.TOMBSTONED
    if status == HTTPStatus.NOT_FOUND:
        return Absence.TOMBSTONED if _TOMBSTONE_WORDS in body else Absence.NOT_FOUND
    raise WireError(f"an answer of status {status}")


def parse_document(did: str, body: bytes) -> Identity:
    """Read a DID document; what is unusable in it is taken as absent."""
    document = parse_object(body)
    if document.get("id") != did:
        raise WireError("a DID document belongs to another DID")
    return Identity(
        did,
        next(_signing_keys(did, document), None),
        next(_endpoints(did, document), None),
        next(_handles(document), None),
    )


def _signing_keys(did: str, document: dict[str, object]) -> Iterator[PublicKey]:
    for method in _entries(document, "verificationMethod", did, "#atproto"):
        kind, text = method.get("type"), method.get("publicKeyMultibase")
        if method.get("controller") == did and isinstance(kind, str) and isinstance(text, str):
            try:
                yield key_from_multikey(text) if kind == _MULTIKEY else key_from_legacy(kind, text)
            except WireError:
                continue


def _endpoints(did: str, document: dict[str, object]) -> Iterator[str]:
    for service in _entries(document, "service", did, "#atproto_pds"):
        endpoint = service.get("serviceEndpoint")
        if service.get("type") == "AtprotoPersonalDataServer" and isinstance(endpoint, str):
            origin = normalize_origin(endpoint.removesuffix("/"))
            if origin is not None:
                yield origin


def _handles(document: dict[str, object]) -> Iterator[str]:
    names = document.get("alsoKnownAs")
    for name in names if isinstance(names, list) else ():
        if isinstance(name, str) and name.startswith("at://") and is_handle(name.removeprefix("at://")):
            yield name.removeprefix("at://").lower()


def _entries(document: dict[str, object], field: str, did: str, fragment: str) -> Iterator[dict[str, object]]:
    """Find the entries of a list whose id is a fragment, alone or behind the DID."""
    entries = document.get(field)
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("id") in (fragment, did + fragment):
            yield entry
