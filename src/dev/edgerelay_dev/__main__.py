"""`python -m edgerelay_dev` is the command `edgerelay`."""

from __future__ import annotations

import sys

from edgerelay_dev.cli import main

if __name__ == "__main__":
    sys.exit(main())
