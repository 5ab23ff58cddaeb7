"""The lifecycle rules of the bucket: what takes objects away that nothing else took.

The sweep and the compaction of the relay are quicker; the rules are for what both missed, and count days from the
upload. One day more than the history that is served, because a rule may act at any time of its last day, and an
object may be uploaded just after its last event. They are set over S3 or by wrangler; rules of others are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from edgerelay.archive.dead_letter import DEAD_LETTERS
from edgerelay.archive.manifest import MANIFESTS
from edgerelay.archive.object_names import Folder
from edgerelay.archive.quarantine import QUARANTINE

__all__ = ["LifecycleBucket", "Rule", "rules_for", "set_rules", "wrangler_commands"]

SPARE_DAYS: Final = 1
"""Days that objects stay beyond the history that is served."""

ABORT_DAYS: Final = 1
"""Days after which uploads that never ended are given up: one takes seconds."""

_OURS: Final = "edgerelay-"


class Rule(NamedTuple):
    """What happens to the objects whose names begin with a prefix."""

    prefix: str
    expire_days: int

    @property
    def id(self) -> str:
        """Its name in the bucket: the same for the same prefix, so that it is replaced and not doubled."""
        return f"{_OURS}{self.prefix.rstrip('/')}"

    @property
    def s3(self) -> dict[str, Any]:
        """As S3 writes it."""
        return {
            "ID": self.id,
            "Status": "Enabled",
            "Filter": {"Prefix": self.prefix},
            "Expiration": {"Days": self.expire_days},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": ABORT_DAYS},
        }

    @property
    def described(self) -> str:
        """In words."""
        return (
            f"{self.id}: objects below {self.prefix} go {self.expire_days} days after their upload,"
            f" unfinished uploads after {ABORT_DAYS}"
        )


class LifecycleBucket(Protocol):
    """A bucket with rules, as S3 writes them; may raise `ObjectStoreError`."""

    async def lifecycle_rules(self) -> list[dict[str, Any]]:
        """All of them."""

    async def set_lifecycle_rules(self, rules: Sequence[dict[str, Any]]) -> None:
        """Replace all of them."""


def rules_for(retention_days: int) -> list[Rule]:
    """A rule for each folder of the archive, and of what lies beside it by hours."""
    folders = (*Folder, MANIFESTS, QUARANTINE, DEAD_LETTERS)
    return [Rule(f"{folder}/", retention_days + SPARE_DAYS) for folder in folders]


def wrangler_commands(bucket: str, rules: Sequence[Rule]) -> list[str]:
    """The commands that add them; adding one a second time is refused by its name."""
    return [
        f"npx wrangler r2 bucket lifecycle add {bucket} {rule.id} {rule.prefix}"
        f" --expire-days {rule.expire_days} --abort-multipart-days {ABORT_DAYS} --force"
        for rule in rules
    ]


async def set_rules(bucket: LifecycleBucket, rules: Sequence[Rule]) -> list[str]:
    """Give a bucket these rules, and keep those that are not ours; returns what was done, a line each.

    Raises:
        ObjectStoreError: the bucket refuses it, or does not answer.
    """
    before = {str(rule.get("ID")): rule for rule in await bucket.lifecycle_rules()}
    ours = {rule.id: rule.s3 for rule in rules}
    kept = {name: rule for name, rule in before.items() if not name.startswith(_OURS)}
    await bucket.set_lifecycle_rules([*kept.values(), *ours.values()])
    return [
        *(f"{'replaced' if rule.id in before else 'created'} {rule.described}" for rule in rules),
        *(f"removed {name}" for name in before if name not in kept and name not in ours),
        *(f"kept {name}" for name in kept),
    ]
