"""Answers questions about accounts by asking the directory and the hosts: one batch, and nothing is remembered.

Whatever they answer, there is one answer to each question and no error. How often to ask, what to keep and what to make
of a failure is decided by who asks.

Spec: did:plc, "DID Resolution"; did:web, "Read (Resolve)"; the lexicon `com.atproto.sync.getRepoStatus`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from edgerelay.atproto.hosting import read_status, status_url
from edgerelay.atproto.identity import document_url, read_answer
from edgerelay.atproto.json_object import ContainersError
from edgerelay.atproto.lookup import PATIENCE_S, Answer, IdentityQuestion, LookupFailure, Question
from edgerelay.atproto.origin import is_public_origin
from edgerelay.atproto.syntax import is_plc_did
from edgerelay.errors import WireError
from edgerelay.runtime.fetcher import Fetched, Fetcher, FetchError

__all__ = ["MAX_CONCURRENT", "Resolver"]

MAX_CONCURRENT: Final = 6
"""Questions that wait at once: the platform lets one invocation wait for six answers, and queues the rest."""


class Resolver:
    """Knows where to ask and whom not to ask."""

    def __init__(self, fetcher: Fetcher, plc_url: str, *, allow_local: bool) -> None:
        """`allow_local`: whether hosts on this machine and plain `http` may be asked, for development."""
        self._fetcher = fetcher
        self._plc_url = plc_url
        self._allow_local = allow_local

    async def resolve(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer in order. The same question is asked once.

        It takes `PATIENCE_S` for every `MAX_CONCURRENT` questions at most.
        """
        gate = asyncio.Semaphore(MAX_CONCURRENT)

        async def answer(question: Question) -> Answer:
            async with gate:
                return await self._answer(question)

        different = dict.fromkeys(questions)
        answers = dict(zip(different, await asyncio.gather(*map(answer, different)), strict=True))
        return [answers[question] for question in questions]

    async def _answer(self, question: Question) -> Answer:
        is_directory = isinstance(question, IdentityQuestion) and is_plc_did(question.did)
        try:
            patience_s = question.patience_s if isinstance(question, IdentityQuestion) else PATIENCE_S
            fetched = await self._fetcher.fetch(self._url(question), patience_s)
            if _is_passing(fetched.status):
                return LookupFailure(f"HTTP {fetched.status}", is_directory, False, fetched.retry_after_s)
            return _read(question, fetched)
        except FetchError as error:
            return LookupFailure(str(error), is_directory, is_final=False)
        except ContainersError as error:
            # The owner of a DID can fill its document with brackets, and must not thereby blame the directory.
            return LookupFailure(str(error), is_directory=False, is_final=True)
        except WireError as error:
            return LookupFailure(str(error), is_directory, is_final=not is_directory)

    def _url(self, question: Question) -> str:
        if isinstance(question, IdentityQuestion):
            return document_url(question.did, self._plc_url, allow_localhost=self._allow_local)
        if not is_public_origin(question.origin, allow_local=self._allow_local):
            raise WireError("a host that is not public")
        return status_url(question.origin, question.did)


def _is_passing(status: int) -> bool:
    """Whether an answer speaks of whoever gives it, and only for now."""
    return status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _read(question: Question, fetched: Fetched) -> Answer:
    if HTTPStatus.MULTIPLE_CHOICES <= fetched.status < HTTPStatus.BAD_REQUEST:
        raise WireError("redirect")
    reader = read_answer if isinstance(question, IdentityQuestion) else read_status
    return reader(question.did, fetched.status, fetched.body)
