"""What can be wrong with a container.

    ContainerError
    ├── ContainerCorrupt     bytes are not what was written
    ├── ContainerForeign     never was a container
    ├── ContainerNewer       written by newer code, with something that must not be skipped
    └── ContainerTruncated   something is missing at the end or at the beginning

Whoever reads on without an object tells by these why.
"""

from __future__ import annotations

from edgerelay.errors import InvariantError

__all__ = ["ContainerCorrupt", "ContainerError", "ContainerForeign", "ContainerNewer", "ContainerTruncated"]


class ContainerError(InvariantError):
    """An object of the archive cannot be read."""


class ContainerCorrupt(ContainerError):
    """Bytes are not what was written."""


class ContainerForeign(ContainerError):
    """It never was a container."""


class ContainerNewer(ContainerError):
    """It was written by newer code; what it says cannot be read without knowing how."""


class ContainerTruncated(ContainerError):
    """Bytes are missing."""
