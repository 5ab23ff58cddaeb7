"""Prepare the bucket of an archive.

    setup   gives the bucket its lifecycle rules over S3, and says what was done; without --endpoint it prints the
            commands of wrangler that do the same

A bucket needs them once. Rules that others made are kept; ours are replaced if they differ.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Final

from edgerelay.config import Settings
from edgerelay.runtime.objects import ObjectStoreError
from edgerelay_dev.operator.lifecycle import rules_for, set_rules, wrangler_commands
from edgerelay_dev.operator.store_argument import BUCKET_HELP, ENDPOINT_HELP, open_bucket

__all__ = ["add_arguments", "run"]

DEFAULT_BUCKET: Final = "edgerelay-archive-production"
"""The one that wrangler.toml binds in production."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    setup = actions.add_parser("setup", help="create the lifecycle rules, or print how")
    setup.add_argument("--endpoint", metavar="URL", help=ENDPOINT_HELP)
    setup.add_argument("--bucket", default=DEFAULT_BUCKET, help=f"{BUCKET_HELP} (default: %(default)s)")
    days = Settings().retention_days
    setup.add_argument("--retention-days", type=int, default=days, help="as the setting (default: %(default)s)")


def run(options: argparse.Namespace) -> int:
    """Set the rules, or print the commands."""
    rules = rules_for(options.retention_days)
    if not options.endpoint:
        print("# nothing was done; without --endpoint these commands are yours to run")
        print("\n".join(wrangler_commands(options.bucket, rules)))
        return 0
    try:
        done = asyncio.run(set_rules(open_bucket(options.endpoint, options.bucket), rules))
    except ObjectStoreError as error:
        print(f"edgerelay archive: {error}", file=sys.stderr)
        return 1
    print("\n".join(f"{options.bucket}: {line}" for line in done))
    return 0
