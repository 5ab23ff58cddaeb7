"""The simulated network: real bytes from hosts that do not exist.

Start at `network.SimulatedNetwork`; `python -m edgerelay_dev.network --help` runs one as a command.
"""

from __future__ import annotations

from edgerelay_dev.network.background import NetworkProcess, NetworkThread
from edgerelay_dev.network.malformed import MALFORMED, Fate, inject
from edgerelay_dev.network.network import PRODUCTION_RECORDS, SimulatedNetwork
from edgerelay_dev.network.reader import FrameReader, StreamClosed
from edgerelay_dev.network.repository import Create, Delete, Update
from edgerelay_dev.network.subscription import StreamRules

__all__ = [
    "MALFORMED",
    "PRODUCTION_RECORDS",
    "Create",
    "Delete",
    "Fate",
    "FrameReader",
    "NetworkProcess",
    "NetworkThread",
    "SimulatedNetwork",
    "StreamClosed",
    "StreamRules",
    "Update",
    "inject",
]
