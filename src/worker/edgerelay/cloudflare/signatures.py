"""Signatures in the Worker: K-256 by libsecp256k1 in WebAssembly, P-256 by WebCrypto, behind `signatures.mjs`.

Decides nothing: what is asked and how it is packed is `runtime.signatures`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

from pyodide.ffi import JsException, to_js

from edgerelay.errors import InvariantError
from edgerelay.runtime.signatures import PackedChecker

__all__ = ["make_checker"]

MODULE: Final = "edgerelay/cloudflare/signatures.mjs"
"""By its path below the folder of `main`."""


def make_checker(load: Callable[[], Any] | None = None) -> PackedChecker:
    """A checker over the functions of a JavaScript module, which is imported when it is first asked for.

    An import is possible only while an event is handled. `load` gives the module where the runtime has no modules of
    ours.
    """
    functions = _Functions(load or _import)
    return PackedChecker(functions.check_k256, functions.check_p256)


class _Functions:
    """The two functions of the module, with bytes of Python on both sides."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self._module = cache(load)

    async def check_k256(self, rows: bytes) -> bytes:
        with _our_fault():
            answers: bytes = self._module().checkK256(to_js(rows)).to_bytes()
        return answers

    async def check_p256(self, rows: bytes) -> bytes:
        with _our_fault():
            answers: bytes = (await self._module().checkP256(to_js(rows))).to_bytes()
        return answers


@contextmanager
def _our_fault() -> Iterator[None]:
    """Neither library throws at what a peer may send."""
    try:
        yield
    except JsException as error:
        raise InvariantError(f"signatures cannot be checked: {error}") from error


def _import() -> Any:
    # Exists only in the runtime.
    from workers import import_from_javascript

    return import_from_javascript(MODULE)
