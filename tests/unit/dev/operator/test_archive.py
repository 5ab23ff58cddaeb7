"""The command `edgerelay archive setup`: the rules are set at an endpoint, or the commands are printed."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

from edgerelay_dev.cli import main

Printed = pytest.CaptureFixture[str]


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_the_rules_are_set_and_said(endpoint: str, capsys: Printed) -> None:
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.create_bucket(Bucket="rules")
    setup = ["archive", "setup", "--endpoint", endpoint, "--bucket", "rules"]
    assert main(setup) == 0
    first = capsys.readouterr().out.splitlines()
    assert first[0].startswith("rules: created edgerelay-firehose: objects below firehose/ go 63 days after")
    assert main([*setup, "--retention-days", "30"]) == 0
    assert capsys.readouterr().out == "\n".join(first).replace("created", "replaced").replace("63", "31") + "\n"
    rules = client.get_bucket_lifecycle_configuration(Bucket="rules")["Rules"]
    assert [(rule["ID"], rule["Expiration"]["Days"]) for rule in rules] == [
        ("edgerelay-firehose", 31),
        ("edgerelay-jetstream", 31),
        ("edgerelay-groups", 31),
    ]


def test_a_bucket_that_is_not_there_is_said(endpoint: str, capsys: Printed) -> None:
    assert main(["archive", "setup", "--endpoint", endpoint, "--bucket", "none"]) == 1
    assert "edgerelay archive: none/lifecycle rules: " in capsys.readouterr().err


def test_without_an_endpoint_nothing_is_done_and_the_commands_are_said(capsys: Printed) -> None:
    assert main(["archive", "setup"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("# nothing was done")
    assert len(printed) == 4
    assert printed[1].startswith(
        "npx wrangler r2 bucket lifecycle add edgerelay-archive-production edgerelay-firehose "
    )
