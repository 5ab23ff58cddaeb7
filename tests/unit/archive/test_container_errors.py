"""What is wrong with a container: whoever reads on without it can tell why, and need not know the kinds."""

from __future__ import annotations

from itertools import permutations

from edgerelay.archive.container_errors import (
    ContainerCorrupt,
    ContainerError,
    ContainerForeign,
    ContainerNewer,
    ContainerTruncated,
)

KINDS = (ContainerCorrupt, ContainerForeign, ContainerNewer, ContainerTruncated)


def test_each_kind_is_one_and_none_is_another() -> None:
    assert all(issubclass(kind, ContainerError) for kind in KINDS)
    assert not any(issubclass(one, other) for one, other in permutations(KINDS, 2))
