"""A stamp tells whether a product is what its inputs would make."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgerelay_dev.offline.stamp import stale


@pytest.fixture
def stamp(tmp_path: Path) -> Path:
    return tmp_path / "stamp"


@pytest.fixture
def product(tmp_path: Path, stamp: Path) -> Path:
    """A product made from the inputs a and b."""
    path = tmp_path / "product"
    with stale(stamp, path, b"a", b"b") as is_stale:
        assert is_stale
        path.touch()
    return path


def test_a_product_of_the_same_inputs_is_fresh(stamp: Path, product: Path) -> None:
    with stale(stamp, product, b"a", b"b") as is_stale:
        assert not is_stale


@pytest.mark.parametrize("inputs", [(b"a",), (b"b", b"a"), (b"ab",), (b"a", b"b", b"")])
def test_a_product_of_other_inputs_is_stale(stamp: Path, product: Path, inputs: tuple[bytes, ...]) -> None:
    with stale(stamp, product, *inputs) as is_stale:
        assert is_stale


def test_a_product_that_is_gone_is_stale(stamp: Path, product: Path) -> None:
    product.unlink()
    with stale(stamp, product, b"a", b"b") as is_stale:
        assert is_stale


def test_a_product_whose_making_failed_is_stale(stamp: Path, product: Path) -> None:
    with pytest.raises(RuntimeError), stale(stamp, product, b"c"):
        raise RuntimeError
    with stale(stamp, product, b"a", b"b") as is_stale:
        assert is_stale
