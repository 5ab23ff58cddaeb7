"""The rules of the bucket: one for each folder, those of others kept, ours replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgerelay.archive.object_names import Folder
from edgerelay_dev.operator.lifecycle import rules_for, set_rules, wrangler_commands
from tests.coroutines import finished

FOLDERS = [*Folder, "manifests", "quarantine", "dead"]


class MemoryBucket:
    """A bucket that only has rules."""

    def __init__(self, *rules: dict[str, Any]) -> None:
        self.rules = list(rules)

    async def lifecycle_rules(self) -> list[dict[str, Any]]:
        return self.rules

    async def set_lifecycle_rules(self, rules: Sequence[dict[str, Any]]) -> None:
        self.rules = list(rules)


def test_each_folder_has_a_rule_that_keeps_what_is_served() -> None:
    rules = rules_for(62)
    assert [rule.prefix for rule in rules] == [f"{folder}/" for folder in FOLDERS]
    assert {rule.expire_days for rule in rules} == {63}


def test_what_is_done_is_said() -> None:
    bucket = MemoryBucket({"ID": "theirs", "Status": "Enabled"})
    rules = rules_for(62)
    done = finished(set_rules(bucket, rules))
    assert done[0] == (
        "created edgerelay-firehose: objects below firehose/ go 63 days after their upload, unfinished uploads after 1"
    )
    assert len(done) == len(rules) + 1
    assert done[-1] == "kept theirs"
    assert bucket.rules == [{"ID": "theirs", "Status": "Enabled"}, *(rule.s3 for rule in rules)]


def test_ours_are_replaced_and_what_is_no_more_is_removed() -> None:
    bucket = MemoryBucket()
    finished(set_rules(bucket, [rule._replace(prefix=f"old-{rule.prefix}") for rule in rules_for(62)[:1]]))
    finished(set_rules(bucket, rules_for(62)))
    done = finished(set_rules(bucket, rules_for(30)))
    assert [line.split(":")[0] for line in done] == [f"replaced edgerelay-{folder}" for folder in FOLDERS]
    assert {rule["Expiration"]["Days"] for rule in bucket.rules} == {31}
    assert finished(set_rules(bucket, rules_for(62)[:1]))[1:] == [f"removed edgerelay-{each}" for each in FOLDERS[1:]]
    assert len(bucket.rules) == 1


def test_a_rule_is_as_s3_writes_it() -> None:
    assert rules_for(62)[0].s3 == {
        "ID": "edgerelay-firehose",
        "Status": "Enabled",
        "Filter": {"Prefix": "firehose/"},
        "Expiration": {"Days": 63},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }


def test_the_commands_of_wrangler() -> None:
    assert wrangler_commands("a-bucket", rules_for(62))[0] == (
        "npx wrangler r2 bucket lifecycle add a-bucket edgerelay-firehose firehose/"
        " --expire-days 63 --abort-multipart-days 1 --force"
    )
