"""The obvious twin of `edgerelay.atproto.dagcbor`: a recursive decoder that asks after every rule where it applies."""

from __future__ import annotations

from cbor2 import CBORTag

from edgerelay.atproto.dagcbor import MAX_DEPTH, MAX_VALUES, Value

__all__ = ["NotStrictError", "decode"]


class NotStrictError(Exception):
    """The bytes are not the one right encoding of a value."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.values = 0

    def take(self, count: int) -> bytes:
        if count > len(self.data):
            raise NotStrictError("cut short")
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def head(self) -> tuple[int, int]:
        initial = self.take(1)[0]
        major, info = divmod(initial, 32)
        if info < 24:
            return major, info
        if info > 27:
            raise NotStrictError("indefinite or reserved")
        width = {24: 1, 25: 2, 26: 4, 27: 8}[info]
        argument = int.from_bytes(self.take(width), "big")
        if any(argument < limit for limit in {1: [24], 2: [2**8], 4: [2**16], 8: [2**32]}[width]):
            raise NotStrictError("not the shortest form")
        return major, argument

    def value(self, depth: int) -> Value:
        self.values += 1
        if self.values > MAX_VALUES:
            raise NotStrictError("too many values")
        if self.data[:1] in (b"\xf4", b"\xf5", b"\xf6"):
            return {b"\xf4": False, b"\xf5": True, b"\xf6": None}[self.take(1)]
        major, argument = self.head()
        if major in (0, 1):
            if argument >= 2**63:
                raise NotStrictError("more than 64 bits")
            return argument if major == 0 else -1 - argument
        if major == 2:
            return self.take(argument)
        if major == 3:
            return self.text(argument)
        if major in (4, 5) and depth >= MAX_DEPTH:
            raise NotStrictError("too deep")
        if major == 4:
            return [self.value(depth + 1) for _ in range(argument)]
        if major == 5:
            return self.map(argument, depth)
        if major == 6 and argument == 42:
            return self.link()
        raise NotStrictError("not in the data model")

    def text(self, size: int) -> str:
        try:
            return self.take(size).decode("utf-8", "strict")
        except UnicodeDecodeError as error:
            raise NotStrictError("not UTF-8") from error

    def map(self, count: int, depth: int) -> Value:
        result: dict[str, Value] = {}
        for _ in range(count):
            major, size = self.head()
            if major != 3:
                raise NotStrictError("a key that is not text")
            key = self.text(size)
            if key in result:
                raise NotStrictError("a key twice")
            result[key] = self.value(depth + 1)
        encoded = [key.encode() for key in result]
        if encoded != sorted(encoded, key=lambda key: (len(key), key)):
            raise NotStrictError("keys out of order")
        return result

    def link(self) -> Value:
        major, size = self.head()
        content = self.take(size)
        if major != 2 or size != 37 or content[:5] not in (b"\0\x01\x71\x12\x20", b"\0\x01\x55\x12\x20"):
            raise NotStrictError("not a CID that is allowed")
        return CBORTag(42, content)


def decode(data: bytes) -> Value:
    """Decode one item, all of the bytes."""
    reader = _Reader(data)
    value = reader.value(0)
    if reader.data:
        raise NotStrictError("trailing bytes")
    return value
