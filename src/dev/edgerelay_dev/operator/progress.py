"""How far long work has come: a bar on a terminal, and nothing where nobody looks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

__all__ = ["progress", "tell"]


@contextmanager
def progress(total: int, unit: str, *, prints: bool = False) -> Iterator[Callable[[], None]]:
    """Gives what is to be called for each thing that is done.

    The bar goes to stderr, if that is a terminal; not if the work itself `prints` to one.
    """
    is_shown = sys.stderr.isatty() and not (prints and sys.stdout.isatty())
    with tqdm(total=total, unit=f" {unit}", disable=not is_shown, leave=False) as bar:

        def done() -> None:
            bar.update()

        yield done


def tell(line: str) -> None:
    """A line on stderr; above the bar, if there is one."""
    tqdm.write(line, file=sys.stderr)
