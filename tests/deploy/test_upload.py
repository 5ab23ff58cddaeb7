"""What `wrangler deploy` would upload, by a dry run of it for each environment, which needs no account."""

from __future__ import annotations

import ast
import os
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgerelay_dev.offline.checkout import Checkout
from edgerelay_dev.offline.preparation import prepare

CHECKOUT = Checkout.of_this_file()
ROOT = CHECKOUT.root
WORKER = ROOT / "src" / "worker"
WRANGLER = tomllib.loads((ROOT / "wrangler.toml").read_text())
# Written by wrangler into the folder that it is told to write to, not uploaded.
WRANGLERS_NOTE = "README.md"
# What wrangler says about a configuration that it half understands; it warns of the network, too, which is no matter.
COMPLAINTS = ("Processing wrangler.toml", "Ignoring duplicate module", "Unexpected fields")
TIMEOUT_S = 120
# The platform's limit is 64 MiB; we would notice far below it that something crept in.
MAX_UPLOAD_BYTES = 8_000_000

Upload = Callable[[str], Path]


@pytest.fixture(scope="module")
def upload(tmp_path_factory: pytest.TempPathFactory) -> Upload:
    """Return the function that gives the folder of what is uploaded for an environment."""
    prepare(CHECKOUT)
    done: dict[str, Path] = {}

    def dry_run(environment: str) -> Path:
        if environment not in done:
            target = tmp_path_factory.mktemp(environment)
            command = [str(CHECKOUT.node), str(CHECKOUT.wrangler), "deploy", "--dry-run"]
            command += ["--outdir", str(target), "--env", environment]
            path = os.pathsep.join([str(CHECKOUT.node.parent), os.environ.get("PATH", os.defpath)])
            finished = subprocess.run(
                command,
                cwd=ROOT,
                env={**os.environ, "PATH": path, "CI": "1", "WRANGLER_SEND_METRICS": "false", "NO_COLOR": "1"},
                capture_output=True,
                text=True,
                check=False,
                timeout=TIMEOUT_S,
            )
            assert finished.returncode == 0, finished.stdout + finished.stderr
            output = finished.stdout + finished.stderr
            assert not [complaint for complaint in COMPLAINTS if complaint in output], output
            done[environment] = target
        return done[environment]

    return dry_run


@pytest.mark.parametrize("environment", ["develop", "production"])
def test_all_of_the_package_and_nothing_else_is_uploaded(upload: Upload, environment: str) -> None:
    folder = upload(environment)
    uploaded = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    ours = {path for path in uploaded if path.parts[0] != "python_modules"} - {Path(WRANGLERS_NOTE)}
    kinds = ("*.py", "*.mjs", "*.wasm", "*.zdict")
    expected = {path.relative_to(WORKER) for kind in kinds for path in WORKER.rglob(kind)}
    assert ours == expected
    assert Path("edgerelay/cloudflare/secp256k1.wasm") in ours
    assert Path("edgerelay/cloudflare/jetstream_v1.zdict") in ours


@pytest.mark.parametrize("environment", ["develop", "production"])
def test_the_pinned_packages_are_uploaded_and_no_others(upload: Upload, environment: str) -> None:
    pinned = {requirement.replace("==", "-").replace("-", "_") for requirement in CHECKOUT.worker_requirements()}
    folders = (upload(environment) / "python_modules").glob("*.dist-info")
    assert {folder.name.removesuffix(".dist-info").replace("-", "_") for folder in folders} == pinned


def test_the_upload_is_small(upload: Upload) -> None:
    assert sum(path.stat().st_size for path in upload("production").rglob("*") if path.is_file()) <= MAX_UPLOAD_BYTES


def _bindings(environment: dict[str, Any]) -> dict[str, Any]:
    """Return what an environment binds, by kind, without the names and ids that have to differ."""
    return {
        "vars": sorted(environment["vars"]),
        "durable_objects": environment["durable_objects"]["bindings"],
        "r2": [each["binding"] for each in environment["r2_buckets"]],
        "kv": [each["binding"] for each in environment["kv_namespaces"]],
        "producers": [each["binding"] for each in environment["queues"]["producers"]],
        "consumers": [
            {key: value for key, value in each.items() if key not in ("queue", "dead_letter_queue")}
            for each in environment["queues"]["consumers"]
        ],
        "ratelimits": [(each["name"], each["simple"]) for each in environment["ratelimits"]],
    }


@pytest.mark.parametrize("environment", ["develop", "production"])
def test_each_environment_binds_what_a_plain_run_binds(environment: str) -> None:
    assert _bindings(WRANGLER["env"][environment]) == _bindings(WRANGLER)


def test_environments_share_no_data() -> None:
    def stores(environment: dict[str, Any]) -> set[str]:
        queues = environment["queues"]
        return {
            *(each["bucket_name"] for each in environment["r2_buckets"]),
            *(each["queue"] for each in queues["producers"]),
            *(each["queue"] for each in queues["consumers"]),
            *(each["namespace_id"] for each in environment["ratelimits"]),
        }

    assert not stores(WRANGLER["env"]["develop"]) & stores(WRANGLER["env"]["production"])


@pytest.mark.parametrize("environment", ["develop", "production"])
def test_what_an_environment_needs_to_be_safe_is_said(environment: str) -> None:
    section = WRANGLER["env"][environment]
    assert section["vars"]["ENVIRONMENT"] == environment
    assert section["secrets"]["required"] == ["ADMIN_TOKEN"]
    assert "code_update_strategy" in section["durable_objects"]
    dead_letter_queues = {each.get("dead_letter_queue") for each in section["queues"]["consumers"]} - {None}
    assert dead_letter_queues <= {each["queue"] for each in section["queues"]["consumers"]}
    assert dead_letter_queues


def test_every_durable_object_class_is_in_the_entry_and_in_the_migrations() -> None:
    tree = ast.parse((WORKER / "entry.py").read_text())
    named = {
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    named |= {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    bound = {each["class_name"] for each in WRANGLER["durable_objects"]["bindings"]}
    migrated = {name for each in WRANGLER["migrations"] for name in each["new_sqlite_classes"]}
    assert bound == migrated
    assert bound <= named
