"""The operator's look-up of references to blobs, on the platform."""

from __future__ import annotations

from typing import Any, Final

from edgerelay.api.blob_index import BlobQuestion, answer_references, read_blob_question
from edgerelay.api.message import Request, Response, error_response
from edgerelay.cloudflare.brotli import BrotliCodec
from edgerelay.cloudflare.bucket import Bucket
from edgerelay.cloudflare.clock import make_clock
from edgerelay.config import Settings
from edgerelay.runtime.blob_lookup import BlobLookup, Wanted
from edgerelay.runtime.objects import ObjectStoreError

__all__ = ["answer_blob_question"]

_DAY_US: Final = 86_400_000_000


async def answer_blob_question(asked: Request, bucket: Any, settings: Settings) -> Response:
    """The answer to a request to `BLOB_INDEX_PATH`; `bucket` is the platform's own binding."""
    question = read_blob_question(asked, settings.admin_token, is_on=settings.blob_index == "on")
    if not isinstance(question, BlobQuestion):
        return question
    codec, now_us = BrotliCodec(), make_clock(settings)()
    lookup = BlobLookup(Bucket(bucket), {codec.id: codec}, Wanted(question.did, question.cid))
    try:
        found = await lookup.find(question.before_seq or now_us, now_us - settings.retention_days * _DAY_US)
    except ObjectStoreError as error:
        return error_response(asked, 503, "ArchiveUnavailable", str(error), {"retry-after": "60"})
    return answer_references(*found)
