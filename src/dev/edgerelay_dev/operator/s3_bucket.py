"""A bucket that speaks S3, as R2 does beside its own binding.

Credentials come from where all tools of AWS take them: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or a profile.
The client signs, retries and checks by itself; it waits in threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from edgerelay.runtime.objects import MAX_LISTED, ObjectMissingError, ObjectStoreError, Tail

__all__ = ["S3Bucket"]

REGION: Final = "auto"
"""R2's only one, where the environment names none."""

CONNECT_TIMEOUT_S: Final = 10
READ_TIMEOUT_S: Final = 30
"""Of one silence, not of a whole answer, which has a megabyte."""

ATTEMPTS: Final = 4
"""Of each call, with growing pauses."""

_MISSING: Final = {"404", "NoSuchKey"}
_BEHIND_THE_END: Final = {"416", "InvalidRange"}
_NO_RULES: Final = "NoSuchLifecycleConfiguration"

T = TypeVar("T")


class S3Bucket:
    """`ObjectReader` over a bucket of an endpoint, and the bucket's lifecycle rules."""

    def __init__(self, endpoint: str, bucket: str) -> None:
        """Raises `ObjectStoreError` if nothing can be there; whether anything is, the first call shows."""
        self._bucket = bucket
        session = boto3.Session()
        config = Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            s3={"addressing_style": "path"},
            # What only Amazon's own store needs, others may refuse.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        region = session.region_name or REGION
        try:
            self._client: Any = session.client("s3", endpoint_url=endpoint, region_name=region, config=config)
        except (BotoCoreError, ValueError) as error:
            raise ObjectStoreError(f"{endpoint}: {error}") from error

    async def read(self, name: str, offset: int, length: int) -> bytes:
        """A part of an object."""
        if length == 0:
            return b""  # no range of HTTP is empty
        return (await self._get(name, f"bytes={offset}-{offset + length - 1}")).data

    async def read_tail(self, name: str, length: int) -> Tail:
        """The last bytes of an object."""
        return await self._get(name, f"bytes=-{length}")

    async def names(self, prefix: str, after: str = "", limit: int = MAX_LISTED) -> list[str]:
        """The first names that begin with `prefix` and sort behind `after`."""
        options = {"Bucket": self._bucket, "Prefix": prefix, "MaxKeys": limit}
        if after:
            options["StartAfter"] = after
        answer = await self._call(prefix, lambda: self._client.list_objects_v2(**options))
        return [str(each["Key"]) for each in answer.get("Contents", ())]

    async def lifecycle_rules(self) -> list[dict[str, Any]]:
        """The bucket's rules, as S3 writes them."""

        def get() -> list[dict[str, Any]]:
            try:
                return list(self._client.get_bucket_lifecycle_configuration(Bucket=self._bucket)["Rules"])
            except ClientError as error:
                if _code(error) == _NO_RULES:
                    return []
                raise

        return await self._call("lifecycle rules", get)

    async def set_lifecycle_rules(self, rules: Sequence[dict[str, Any]]) -> None:
        """Give the bucket these rules and no others."""
        options = {"Bucket": self._bucket, "LifecycleConfiguration": {"Rules": list(rules)}}
        await self._call("lifecycle rules", lambda: self._client.put_bucket_lifecycle_configuration(**options))

    async def _get(self, name: str, part: str) -> Tail:
        def get() -> Tail:
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=name, Range=part)
            except ClientError as error:
                if _code(error) not in _BEHIND_THE_END:
                    raise
                return Tail(b"", int(self._client.head_object(Bucket=self._bucket, Key=name)["ContentLength"]))
            with answer["Body"] as body:
                data: bytes = body.read()
            # Of an empty object there is no part, and some servers send it as a whole.
            said = str(answer.get("ContentRange", answer["ContentLength"]))
            return Tail(data, int(said.rpartition("/")[2]))

        return await self._call(name, get)

    async def _call(self, what: str, call: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(call)
        except ClientError as error:
            if _code(error) in _MISSING:
                raise ObjectMissingError(what) from None
            raise ObjectStoreError(f"{self._bucket}/{what}: {error}") from error
        except BotoCoreError as error:
            raise ObjectStoreError(f"{self._bucket}/{what}: {error}") from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
