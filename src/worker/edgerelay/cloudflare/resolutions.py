"""RelayState's side of the resolver: a batch of questions out, as many answers back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from pyodide.ffi import JsException

from edgerelay.atproto.lookup import MAX_QUESTIONS, PATIENCE_S, Answer, LookupFailure, Question
from edgerelay.errors import InvariantError
from edgerelay.runtime.ports import LogSink
from edgerelay.runtime.resolver import MAX_CONCURRENT
from edgerelay.runtime.resolver_wire import decode_answers, encode_questions

__all__ = ["ResolverClient"]

ASK_TIMEOUT_S: Final = PATIENCE_S * -(-MAX_QUESTIONS // MAX_CONCURRENT) + 5
"""Seconds for one batch: the longest that the resolver takes, and some more for the way."""

_PROBLEM_CHARS: Final = 200


class ResolverClient:
    """Calls the entrypoint of this Worker, in the version that this code is of."""

    def __init__(self, ctx: Any, log: LogSink) -> None:
        """`ctx` is the object's context: its exports are the entrypoints of its own Worker."""
        self._ctx = ctx
        self._log = log

    async def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer in order; if the resolver itself fails, nothing is known about any of them."""
        text = encode_questions(questions)
        try:
            answer = await asyncio.wait_for(self._ctx.exports.Resolver.resolve(text), ASK_TIMEOUT_S)
            return decode_answers(answer, len(questions))
        except (JsException, OSError, InvariantError) as error:
            # Of a traceback the last line says what it was; a timeout says nothing.
            _, _, words = str(error).strip().rpartition("\n")
            problem = f"resolver: {words or type(error).__name__}"[:_PROBLEM_CHARS]
            self._log.write("error", "resolver", {"problem": problem})
            return [LookupFailure(problem, is_directory=True, is_final=False)] * len(questions)
