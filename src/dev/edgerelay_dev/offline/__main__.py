"""Prepare the offline runtime: `python -m edgerelay_dev.offline`. Says what it does, and nothing when all is there."""

from __future__ import annotations

import sys

from edgerelay_dev.offline.bundle import BundleError
from edgerelay_dev.offline.checkout import Checkout, IncompleteError
from edgerelay_dev.offline.preparation import prepare

__all__ = ["main"]


def main() -> int:
    """Prepare, and return the exit status."""
    try:
        prepare(Checkout.of_this_file(), lambda line: print(f"setup: {line}", flush=True))
    except (BundleError, IncompleteError) as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
