"""What the offline runtime needs on disk, made once and kept until what it is made from changes.

Safe to call from several processes at the same time, and cheap when there is nothing to do.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgerelay_dev.offline import bundle, modules
from edgerelay_dev.offline.checkout import Checkout, IncompleteError

__all__ = ["Prepared", "prepare"]

BUILD_STEP = Path("src", "dev", "build_assets.mjs")


class Prepared:
    """The files that a relay is started with.

    Attributes:
        checkout: the checkout that they were made from.
        workerd: an executable that runs workerd with the bundle of this checkout.
    """

    def __init__(self, checkout: Checkout, workerd: Path) -> None:
        self.checkout = checkout
        self.workerd = workerd


def prepare(checkout: Checkout, report: Callable[[str], None] = lambda line: None) -> Prepared:
    """Make what is missing or stale; `report` is told each step that is really done."""
    checkout.cache.mkdir(exist_ok=True)
    with _alone(checkout.cache / "lock"):
        bundle_folder = _bundle(checkout, report)
        _modules(checkout, report)
        _build_step(checkout, report)
        return Prepared(checkout, _wrapper(checkout, bundle_folder))


def _bundle(checkout: Checkout, report: Callable[[str], None]) -> Path:
    folder = checkout.cache / "bundle"
    target = folder / bundle.BUNDLE_NAME
    version = (checkout.pyodide / "package.json").read_bytes()
    with _stamp(folder.with_suffix(".stamp"), target, version, Path(bundle.__file__).read_bytes()) as stale:
        if stale:
            report("making the Pyodide bundle")
            bundle.write_bundle(checkout.pyodide, target)
    return folder


def _modules(checkout: Checkout, report: Callable[[str], None]) -> None:
    requirements = checkout.worker_requirements()
    key = json.dumps([requirements, modules.TARGET]).encode()
    with _stamp(checkout.cache / "python_modules.stamp", checkout.python_modules, key) as stale:
        if stale:
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


def _wrapper(checkout: Checkout, bundle_folder: Path) -> Path:
    """Write the executable that wrangler takes for workerd: the only way to pass workerd one more argument."""
    path = checkout.cache / "workerd"
    text = f'#!/bin/sh\nexec "{checkout.workerd}" "$@" "--pyodide-bundle-disk-cache-dir={bundle_folder}"\n'
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
        path.chmod(0o755)
    return path


@contextmanager
def _stamp(stamp: Path, product: Path, *inputs: bytes) -> Iterator[bool]:
    """Tell whether `product` is missing or made from other inputs, and remember these once the body has passed."""
    key = hashlib.sha256(b"\0".join(inputs)).hexdigest()
    stale = not (product.exists() and stamp.exists() and stamp.read_text() == key)
    yield stale
    if stale:
        stamp.write_text(key)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, so that two preparations never write the same files at once."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
