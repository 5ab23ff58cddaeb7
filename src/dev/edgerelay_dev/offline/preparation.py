"""What the offline runtime needs on disk, made once and kept until what it is made from changes.

Safe to call from several processes at the same time, and cheap when there is nothing to do.
"""

from __future__ import annotations

import fcntl
import json
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from edgerelay_dev.offline import bundle, modules, snapshot
from edgerelay_dev.offline.checkout import Checkout, IncompleteError
from edgerelay_dev.offline.configuration import offline_flags
from edgerelay_dev.offline.stamp import stale

__all__ = ["WORKER_PORT", "Prepared", "prepare"]

WORKER_PORT = "EDGERELAY_WORKER_PORT"
"""The environment variable that tells the wrapper of workerd where the Worker is to listen."""

# wrangler lets the proxy listen on the port of the relay and the Worker on any free one, which only it knows.
WRAPPER = """\
#!/bin/sh
for argument; do
  shift
  [ "$argument" = "--socket-addr=entry=127.0.0.1:0" ] && argument="--socket-addr=entry=127.0.0.1:${{{port}:-0}}"
  set -- "$@" "$argument"
done
exec "{workerd}" "$@" "--pyodide-bundle-disk-cache-dir={bundle}" \\
  "--python-snapshot-dir={snapshot}" "--python-load-snapshot={snapshot_name}"
"""

BUILD_STEP = Path("src", "dev", "build_assets.mjs")


class Prepared(NamedTuple):
    """What a relay is started with.

    Attributes:
        checkout: the checkout that it was made from.
        workerd: an executable that runs workerd with the bundle and the snapshot of this checkout.
    """

    checkout: Checkout
    workerd: Path


def prepare(checkout: Checkout, report: Callable[[str], None] = lambda line: None) -> Prepared:
    """Make what is missing or stale; `report` is told each step that is really done."""
    checkout.cache.mkdir(exist_ok=True)
    with _alone(checkout.cache / "lock"):
        bundle_folder = _bundle(checkout, report)
        snapshot_folder = _snapshot(checkout, bundle_folder, report)
        _modules(checkout, report)
        _build_step(checkout, report)
        return Prepared(checkout, _wrapper(checkout, bundle_folder, snapshot_folder))


def _bundle(checkout: Checkout, report: Callable[[str], None]) -> Path:
    folder = checkout.cache / "bundle"
    target = folder / bundle.BUNDLE_NAME
    inputs = (checkout.pyodide / "package.json", Path(bundle.__file__), bundle.SCHEMA)
    with stale(folder.with_suffix(".stamp"), target, *(path.read_bytes() for path in inputs)) as is_stale:
        if is_stale:
            report("making the Pyodide bundle")
            bundle.write_bundle(checkout.pyodide, target)
    return folder


def _snapshot(checkout: Checkout, bundle_folder: Path, report: Callable[[str], None]) -> Path:
    folder = checkout.cache / "snapshot"
    production = tomllib.loads(checkout.wrangler_toml.read_text())
    date: str = production["compatibility_date"]
    flags = offline_flags(production)
    inputs = [
        bundle_folder.with_suffix(".stamp").read_bytes(),
        (checkout.workerd.parent.parent / "package.json").read_bytes(),
        json.dumps([date, flags]).encode(),
        Path(snapshot.__file__).read_bytes(),
    ]
    with stale(folder.with_suffix(".stamp"), folder / snapshot.SNAPSHOT_NAME, *inputs) as is_stale:
        if is_stale:
            report("taking a snapshot of the interpreter")
            snapshot.take_snapshot(checkout.workerd, bundle_folder, date, flags, folder)
    return folder


def _modules(checkout: Checkout, report: Callable[[str], None]) -> None:
    requirements = checkout.worker_requirements()
    key = json.dumps([requirements, modules.TARGET]).encode()
    with stale(checkout.cache / "python_modules.stamp", checkout.python_modules, key) as is_stale:
        if is_stale:
            report("fetching the Worker's Python packages")
            modules.vendor(requirements, checkout.python_modules)


def _build_step(checkout: Checkout, report: Callable[[str], None]) -> None:
    """Run what wrangler would run as its own build step; it knows itself what is up to date."""
    command = [checkout.node, checkout.root / BUILD_STEP]
    finished = subprocess.run(command, cwd=checkout.root, check=False, capture_output=True, text=True)
    if finished.returncode != 0:
        raise IncompleteError(f"{BUILD_STEP} failed:\n{finished.stderr.strip()}")
    for line in finished.stdout.splitlines():
        report(line)


def _wrapper(checkout: Checkout, bundle_folder: Path, snapshot_folder: Path) -> Path:
    """Write the executable that wrangler takes for workerd: the only way to change how workerd is called."""
    path = checkout.cache / "workerd"
    text = WRAPPER.format(
        workerd=checkout.workerd,
        bundle=bundle_folder,
        snapshot=snapshot_folder,
        snapshot_name=snapshot.SNAPSHOT_NAME,
        port=WORKER_PORT,
    )
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
        path.chmod(0o755)
    return path


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, so that two preparations never write the same files at once."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
