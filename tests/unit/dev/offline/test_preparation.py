"""The preparation: idempotent, and the wrapper of workerd passes on what it is given."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgerelay_dev.offline.checkout import Checkout
from edgerelay_dev.offline.preparation import WORKER_PORT, prepare

CHECKOUT = Checkout.of_this_file()


class PrintingCheckout(Checkout):
    """A checkout whose workerd prints its arguments, and that makes everything in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(CHECKOUT.root)
        self.folder = folder

    @property
    def cache(self) -> Path:
        return self.folder

    @property
    def python_modules(self) -> Path:
        return self.folder / "python_modules"

    @property
    def workerd(self) -> Path:
        return self.folder / "platform" / "bin" / "workerd"


@pytest.fixture
def printing(tmp_path: Path) -> Checkout:
    prepare(CHECKOUT)
    checkout = PrintingCheckout(tmp_path)
    checkout.workerd.parent.mkdir(parents=True)
    checkout.workerd.with_name("..").joinpath("package.json").write_text("{}")
    # Writes the snapshot that it is asked for, like workerd, and prints one argument a line.
    checkout.workerd.write_text(
        "#!/bin/sh\n"
        'for each; do case $each in --python-snapshot-dir=*) touch "${each#*=}/snapshot.bin" ;; esac; done\n'
        'printf "%s\\n" "$@"\n'
    )
    checkout.workerd.chmod(0o755)
    return checkout


def test_a_second_preparation_does_nothing() -> None:
    prepare(CHECKOUT)
    done: list[str] = []
    prepare(CHECKOUT, done.append)
    assert done == []


def test_preparations_at_the_same_time_do_each_step_once(printing: Checkout) -> None:
    done: list[str] = []
    with ThreadPoolExecutor() as threads:
        results = list(threads.map(lambda _: prepare(printing, done.append), range(3)))
    assert len({result.workerd for result in results}) == 1
    assert len(done) == len(set(done)) == 3


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({WORKER_PORT: "4321"}, "127.0.0.1:4321"), ({}, "127.0.0.1:0")],
)
def test_the_wrapper_adds_what_wrangler_cannot_say(
    printing: Checkout, environment: dict[str, str], expected: str
) -> None:
    workerd = prepare(printing).workerd
    given = ["serve", "--socket-addr=entry=127.0.0.1:0", "--socket-addr=entry=127.0.0.1:99", "with space", ""]
    bare = {key: value for key, value in os.environ.items() if key != WORKER_PORT}
    printed = subprocess.run([workerd, *given], env=bare | environment, check=True, capture_output=True, text=True)
    assert printed.stdout.splitlines() == [
        "serve",
        f"--socket-addr=entry={expected}",
        "--socket-addr=entry=127.0.0.1:99",
        "with space",
        "",
        f"--pyodide-bundle-disk-cache-dir={printing.cache / 'bundle'}",
        f"--python-snapshot-dir={printing.cache / 'snapshot'}",
        "--python-load-snapshot=snapshot.bin",
    ]
