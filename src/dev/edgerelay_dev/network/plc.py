"""The identity directory: DID documents by DID, with every way of not answering that a directory has.

It owns `did:plc` documents and their faults; `did_document` is also what a host serves for a `did:web` of its own.
The operation log of a real directory is left out: a relay reads documents only.

Spec: did:plc v0.3.0 (resolution), atproto DID.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

from edgerelay_dev.network.account import Account
from edgerelay_dev.network.server import Hangup, Request, Response, json_response

__all__ = ["DOCUMENT_TYPE", "Directory", "Document", "LookupFault", "did_document"]

DOCUMENT_TYPE: Final = "application/did+ld+json"

Document: TypeAlias = "dict[str, Any]"


@dataclass(frozen=True, slots=True)
class LookupFault:
    """How a lookup goes wrong; the fields combine, `delay_s` alone gives a slow right answer."""

    delay_s: float = 0.0
    stall: bool = False
    """Take the request and never answer it."""
    hangup: bool = False
    """Cut the connection instead of answering."""
    status: int | None = None
    """Answer this; None is the document."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Added to the answer: `Retry-After`, `Location`."""
    body: str | None = None
    """Send this instead of the answer's own body: what is no JSON, or too much of it."""


def did_document(account: Account, *, legacy: bool = False) -> Document:
    """Write an account's document, in the present form or in that of the older directory software."""
    multikey = {
        "id": "#atproto" if legacy else f"{account.did}#atproto",
        "type": account.key.curve.legacy_type if legacy else "Multikey",
        "controller": account.did,
        "publicKeyMultibase": account.key.legacy_multibase if legacy else account.key.multikey,
    }
    service = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": account.host_url}
    contexts = ["https://www.w3.org/ns/did/v1"] + ([] if legacy else ["https://w3id.org/security/multikey/v1"])
    return {
        "@context": contexts,
        "id": account.did,
        "alsoKnownAs": [f"at://{account.handle}"],
        "verificationMethod": [multikey],
        "service": [service],
    }


class Directory:
    """All documents of the network, and what is wrong with their delivery."""

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}
        self.tombstones: dict[str, int] = {}
        """Status by DID: the API description says 410, the directory's present code says 404."""
        self.lookups: Counter[str] = Counter()
        """Requests per DID, answered or not."""
        self._faults: dict[str, LookupFault] = {}
        self._fault_for_all: LookupFault | None = None
        self._changed = asyncio.Event()

    def publish(self, account: Account, *, legacy: bool = False) -> None:
        """Write or replace an account's document."""
        self.documents[account.did] = did_document(account, legacy=legacy)

    def tombstone(self, did: str, status: int = HTTPStatus.GONE) -> None:
        """End an identity."""
        self.tombstones[did] = status

    def fail(self, fault: LookupFault, did: str | None = None) -> None:
        """Let lookups go wrong, of one DID or, without one, of all."""
        if did is None:
            self._fault_for_all = fault
        else:
            self._faults[did] = fault
        self._wake()

    def heal(self, did: str | None = None) -> None:
        """End the fault of one DID or, without one, every fault; stalled requests are answered now."""
        if did is None:
            self._fault_for_all = None
            self._faults.clear()
        else:
            self._faults.pop(did, None)
        self._wake()

    def load(self, path: Path, host_url: str | None = None) -> int:
        """Take documents from a JSON file, optionally as if all accounts lived at one host; returns how many.

        The file maps DIDs to documents, or to objects that hold one as `doc`.
        """
        loaded: dict[str, Document] = {
            did: entry.get("doc", entry) for did, entry in json.loads(path.read_text()).items()
        }
        for document in loaded.values():
            for service in document.get("service", []) if host_url is not None else []:
                service["serviceEndpoint"] = host_url
        self.documents |= loaded
        return len(loaded)

    def save(self, path: Path) -> None:
        """Write all documents as `load` reads them."""
        path.write_text(json.dumps(self.documents))

    async def answer(self, request: Request) -> Response:
        """Handle `GET /{did}`."""
        did = unquote(request.path.removeprefix("/"))
        if did == "_health":
            return json_response({"version": "simulated"})
        self.lookups[did] += 1
        fault = await self._suffer(did)
        if fault.hangup:
            raise Hangup
        answer = self._document(did) if fault.status is None else _message(fault.status, "fault on demand")
        body = answer.body if fault.body is None else fault.body.encode()
        return Response(answer.status, body, {**answer.headers, **fault.headers})

    async def _suffer(self, did: str) -> LookupFault:
        while (fault := self._faults.get(did) or self._fault_for_all or LookupFault()).stall:
            await self._changed.wait()
        await asyncio.sleep(fault.delay_s)
        return fault

    def _document(self, did: str) -> Response:
        if did in self.tombstones:
            return _message(self.tombstones[did], f"DID not available: {did}")
        if did not in self.documents:
            return _message(HTTPStatus.NOT_FOUND, f"DID not registered: {did}")
        return json_response(self.documents[did], content_type=DOCUMENT_TYPE)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _message(status: int, text: str) -> Response:
    return json_response({"message": text}, status)
