"""The wire of the AT Protocol: bytes to values and back.

Everything here is stateless, synchronous and pure. Bytes of a peer either become a value or raise
`edgerelay.errors.WireError`; nothing else escapes.
"""
