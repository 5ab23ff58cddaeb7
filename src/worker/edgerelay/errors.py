"""The two families of errors: theirs and ours.

    EdgeRelayError
    ├── HostsUnknownError             RelayState does not say which hosts accounts have: asked again later
    ├── ObjectIndexError              the index of the archive does not answer: a cache, which is made anew
    ├── ObjectStoreError              the bucket of the archive does not answer: tried again, and nothing is lost
    │   └── ObjectMissingError        it has no object of that name
    ├── PeerError                     a peer's fault: dropped, counted, and the stream goes on
    │   ├── FetchError                a host that does not answer
    │   ├── Refusal                   an event that fails a check
    │   └── WireError                 bytes that are not what the wire format demands
    │       ├── CommitError           a commit object, or what it says against its message
    │       ├── ContainersError       a JSON object that is not safe to parse
    │       ├── FrameError            a frame or its header
    │       ├── MessageError          a field of a message
    │       ├── RecordError           a record that has no JSON form
    │       └── TreeError             a Merkle search tree, or the operations on it
    ├── QueueError                    the queue of groups did not take a message, which is a hint
    ├── RelayAwayError                RelayState does not answer a shard: asked again, and nothing is lost
    ├── SettingsError                 the operator's fault: the relay refuses to start, by the setting's name
    └── InvariantError                our fault: stop loudly, never go on with a broken promise
        ├── AccountRecordError        a stored account
        ├── AnnouncementError         a message about a group
        ├── BatchError                a batch in the log or on the feed
        ├── BlobRowError              a kept reference to a blob
        ├── BlockError                a block of the archive
        ├── CodecError                bytes that a codec cannot unpack
        ├── ContainerError            an object of the archive
        │   ├── ContainerCorrupt      with other bytes than were written
        │   ├── ContainerForeign      that never was one
        │   ├── ContainerNewer        that this code does not understand
        │   └── ContainerTruncated    with bytes missing
        ├── DamagedError              a part of the archive that cannot be read
        ├── HidingError               a page of accounts that replay leaves out
        ├── IdentityRecordError       a stored identity
        ├── ObjectNameError           a name in the archive that is not one of ours
        ├── RecordRunError            a stored row of records
        ├── RecordStoreError          a store of records
        ├── RenderError               a kept frame that cannot be read
        ├── ResolverWireError         a message between RelayState and the resolver
        ├── SchemaError               the stored state cannot be used by this code
        ├── SourceError               an object of the archive that cannot be joined
        └── SqlError                  the database refused a statement

A peer's fault never becomes an `InvariantError` and a broken invariant never becomes a drop.
"""

from __future__ import annotations

__all__ = [
    "EdgeRelayError",
    "InvariantError",
    "PeerError",
    "SchemaError",
    "SettingsError",
    "WireError",
]


class EdgeRelayError(Exception):
    """Root of everything that EdgeRelay raises on purpose."""


class PeerError(EdgeRelayError):
    """A peer sent what it should not have sent."""


class WireError(PeerError):
    """Bytes or values that the wire format does not allow.

    The message says what is wrong and where, and never repeats the bytes.
    """


class SettingsError(EdgeRelayError):
    """A setting is unknown or has a value that it cannot have; the message names it."""


class InvariantError(EdgeRelayError):
    """Something that must always hold does not hold: a defect or corruption on our side."""


class SchemaError(InvariantError):
    """The stored state was written by a newer version, or is not EdgeRelay's."""
