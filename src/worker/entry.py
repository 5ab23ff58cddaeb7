"""What the platform loads: the Worker, its other entrypoint and its Durable Object classes."""

from _cloudflare.allow_entropy import allow_bad_entropy_calls

# cbor2's core draws a hash seed when it is imported, and the global scope has no entropy to give. The seed protects a
# hash table that holds nothing of a peer's; see docs/decisions.
with allow_bad_entropy_calls(1):
    import cbor2  # noqa: F401

from edgerelay.cloudflare.relay_state import RelayState
from edgerelay.cloudflare.resolver import Resolver
from edgerelay.cloudflare.subscriber_shard import SubscriberShard
from edgerelay.cloudflare.worker import Default

__all__ = ["Default", "RelayState", "Resolver", "SubscriberShard"]
