"""A MessagePack encoder of its own: the vectors judge every codec of the project, and none of them judges itself."""

from __future__ import annotations

import struct
from typing import Any, cast


class Raw(bytes):
    """Bytes that are MessagePack already."""


def head(length: int, fix: int, small: int, marks: tuple[int | None, int, int]) -> bytes:
    """Marker and length in the smallest form; `fix` with up to `small` inside the marker."""
    if length <= small:
        return bytes([fix | length])
    if marks[0] is not None and length < 1 << 8:
        return bytes([marks[0], length])
    if length < 1 << 16:
        return bytes([marks[1]]) + length.to_bytes(2)
    return bytes([marks[2]]) + length.to_bytes(4)


def integer(value: int) -> bytes:
    """The smallest unsigned form, or the smallest signed one below zero."""
    if value < 0:
        return struct.pack("b", value) if value >= -32 else b"\xd0" + struct.pack("b", value)
    if value < 128:
        return bytes([value])
    for mark, size in ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)):
        if value < 1 << (8 * size):
            return bytes([mark]) + value.to_bytes(size)
    raise ValueError(value)


def pack(value: Any) -> bytes:
    """Canonical MessagePack."""
    match value:
        case Raw():
            return bytes(value)
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int():
            return integer(value)
        case float():
            return b"\xcb" + struct.pack(">d", value)
        case bytes():
            mark = head(len(value), 0, -1, (0xC4, 0xC5, 0xC6))
            return mark + value
        case str():
            data = value.encode()
            return head(len(data), 0xA0, 31, (0xD9, 0xDA, 0xDB)) + data
        case list():
            items = cast("list[Any]", value)
            return head(len(items), 0x90, 15, (None, 0xDC, 0xDD)) + b"".join(map(pack, items))
        case dict():
            table = cast("dict[Any, Any]", value)
            return head(len(table), 0x80, 15, (None, 0xDE, 0xDF)) + pack_pairs(table)
        case _:
            raise TypeError(f"packing {value!r}: no form for it")


def pack_pairs(table: dict[Any, Any]) -> bytes:
    """The pairs of a map."""
    return b"".join(pack(key) + pack(value) for key, value in table.items())
