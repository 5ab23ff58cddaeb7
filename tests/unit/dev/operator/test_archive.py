"""The command `edgerelay archive setup`: the rules are set at an endpoint, or the commands are printed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgerelay_dev.cli import main
from edgerelay_dev.operator.lifecycle import rules_for
from tests.s3_server import S3Server, s3_server

Printed = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


def test_the_rules_are_set_and_said(server: S3Server, capsys: Printed) -> None:
    server.fill("rules", {})
    setup = ["archive", "setup", "--endpoint", server.endpoint, "--bucket", "rules"]
    assert main(setup) == 0
    first = capsys.readouterr().out.splitlines()
    assert first[0].startswith("rules: created edgerelay-firehose: objects below firehose/ go 63 days after")
    assert main([*setup, "--retention-days", "30"]) == 0
    assert capsys.readouterr().out == "\n".join(first).replace("created", "replaced").replace("63", "31") + "\n"
    rules = server.client.get_bucket_lifecycle_configuration(Bucket="rules")["Rules"]
    assert [(rule["ID"], rule["Expiration"]["Days"]) for rule in rules] == [
        (rule.id, rule.expire_days) for rule in rules_for(30)
    ]


def test_a_bucket_that_is_not_there_is_said(server: S3Server, capsys: Printed) -> None:
    assert main(["archive", "setup", "--endpoint", server.endpoint, "--bucket", "none"]) == 1
    assert "edgerelay archive: none/lifecycle rules: " in capsys.readouterr().err


def test_without_an_endpoint_nothing_is_done_and_the_commands_are_said(capsys: Printed) -> None:
    assert main(["archive", "setup"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("# nothing was done")
    assert len(printed) == 1 + len(rules_for(62))
    assert printed[1].startswith(
        "npx wrangler r2 bucket lifecycle add edgerelay-archive-production edgerelay-firehose "
    )
