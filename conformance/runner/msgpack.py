"""MessagePack as protocol/SPEC.md wants it written (4.2) and read (4.6, 4.7); by hand, to judge other codecs."""

import struct
from typing import Any, cast

DEPTH = 32


class RefusedError(Exception):
    """What cannot be read, by its reason (25.3)."""


class Foreign:
    """A float or ext: skipped where nobody knows the element, refused where somebody does."""


class BadText:
    """A `str` that is no UTF-8: refused only where it is read."""


class Pairs(list[tuple[Any, Any]]):
    """A map in its order, repeats kept."""


def unpack(data: bytes) -> Any:
    """Read one value; anything after it is refused."""
    reader = _Reader(data)
    value = reader.value(1)
    if reader.at != len(data):
        raise RefusedError("trailing")
    return value


_FIXED = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
_LENGTHS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}
_FOREIGN = {0xCA: 4, 0xCB: 8, 0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17}
_EXT = {0xC7: 1, 0xC8: 2, 0xC9: 4}


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise RefusedError("truncated")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def value(self, depth: int) -> Any:
        mark = self.take(1)[0]
        if mark < 0x80 or mark >= 0xE0:
            return mark if mark < 0x80 else mark - 256
        if mark in _FIXED:
            return _FIXED[mark]
        if mark in _NUMBERS:
            return struct.unpack(_NUMBERS[mark], self.take(struct.calcsize(_NUMBERS[mark])))[0]
        if mark in _FOREIGN:
            self.take(_FOREIGN[mark])
            return Foreign()
        if mark in _EXT:
            self.take(self.number(_EXT[mark]) + 1)
            return Foreign()
        if mark == 0xC1:
            raise RefusedError("type")
        length = self.number(_LENGTHS[mark]) if mark in _LENGTHS else mark & (0x1F if mark >= 0xA0 else 0x0F)
        if 0xA0 <= mark < 0xC0 or mark in (0xD9, 0xDA, 0xDB):
            try:
                return self.take(length).decode()
            except UnicodeDecodeError:
                return BadText()
        if mark in (0xC4, 0xC5, 0xC6):
            return self.take(length)
        if depth > DEPTH:
            raise RefusedError("depth")
        if 0x90 <= mark < 0xA0 or mark in (0xDC, 0xDD):
            if length > len(self.data) - self.at:
                raise RefusedError("truncated")
            return [self.value(depth + 1) for _ in range(length)]
        if 2 * length > len(self.data) - self.at:
            raise RefusedError("truncated")
        return Pairs((self.value(depth + 1), self.value(depth + 1)) for _ in range(length))


def _head(length: int, fix: int, small: int, marks: tuple[int | None, int, int]) -> bytes:
    if length <= small:
        return bytes([fix | length])
    if marks[0] is not None and length < 1 << 8:
        return bytes([marks[0], length])
    return bytes([marks[1]]) + length.to_bytes(2) if length < 1 << 16 else bytes([marks[2]]) + length.to_bytes(4)


def _integer(value: int) -> bytes:
    if -32 <= value < 128:
        return struct.pack("b", value) if value < 0 else bytes([value])
    for mark, form, low, high in (
        (0xCC, ">B", 0, 1 << 8), (0xCD, ">H", 0, 1 << 16), (0xCE, ">I", 0, 1 << 32), (0xCF, ">Q", 0, 1 << 64),
        (0xD0, ">b", -(1 << 7), 0), (0xD1, ">h", -(1 << 15), 0), (0xD2, ">i", -(1 << 31), 0),
        (0xD3, ">q", -(1 << 63), 0),
    ):  # fmt: skip
        if low <= value < high:
            return bytes([mark]) + struct.pack(form, value)
    raise ValueError(f"packing {value}: no form for it")


def pack(value: Any) -> bytes:
    """Write the smallest form."""
    match value:
        case None | False | True:
            return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
        case int():
            return _integer(value)
        case float():
            return b"\xcb" + struct.pack(">d", value)
        case bytes():
            return _head(len(value), 0, -1, (0xC4, 0xC5, 0xC6)) + value
        case str():
            data = value.encode()
            return _head(len(data), 0xA0, 31, (0xD9, 0xDA, 0xDB)) + data
        case Pairs() | dict():
            pairs = list(cast("dict[Any, Any]", value).items()) if isinstance(value, dict) else list(value)
            return _head(len(pairs), 0x80, 15, (None, 0xDE, 0xDF)) + b"".join(pack(k) + pack(v) for k, v in pairs)
        case list():
            items = cast("list[Any]", value)
            return _head(len(items), 0x90, 15, (None, 0xDC, 0xDD)) + b"".join(map(pack, items))
        case _:
            raise TypeError(f"packing {value!r}: no form for it")


def widest(value: Any) -> bytes:
    """Write what a careless writer may (4.2): every integer and length in its widest form."""
    match value:
        case int() if not isinstance(value, bool):
            return b"\xd3" + struct.pack(">q", value)
        case bytes():
            return b"\xc6" + len(value).to_bytes(4) + value
        case str():
            data = value.encode()
            return b"\xdb" + len(data).to_bytes(4) + data
        case dict():
            table = cast("dict[Any, Any]", value)
            return b"\xdf" + len(table).to_bytes(4) + b"".join(widest(k) + widest(v) for k, v in table.items())
        case list():
            items = cast("list[Any]", value)
            return b"\xdd" + len(items).to_bytes(4) + b"".join(map(widest, items))
        case _:
            return pack(value)
