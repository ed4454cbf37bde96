"""The image size that a compressed frame itself states, read without decoding it."""

from __future__ import annotations

import struct
from itertools import pairwise

_JPEG = {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81)}
_JPEG_2000 = {f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 92, 93, 201, 202, 203)}
# Start-of-frame markers: Huffman and arithmetic kinds, and SOF55 of JPEG-LS.
_START_OF_FRAME = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_ALONE = set(range(0xD0, 0xD9)) | {0x01}


def coded_size(code: bytes, transfer_syntax: str) -> tuple[int, int] | None:
    """Return (rows, columns) that a JPEG, JPEG-LS or JPEG 2000 code stream states.

    None for other syntaxes, whose streams state no size; (0, 0) if the stream has no size where it
    must have one.
    """
    if transfer_syntax in _JPEG:
        return _jpeg(code)
    if transfer_syntax in _JPEG_2000:
        return _jpeg_2000(code)
    return None


def _jpeg(code: bytes) -> tuple[int, int]:
    position = 2
    if code[:2] != b"\xff\xd8":
        return 0, 0
    while position + 10 <= len(code):
        if code[position] != 0xFF:
            return 0, 0
        marker = code[position + 1]
        if marker in _ALONE or marker == 0xFF:
            position += 1 if marker == 0xFF else 2
            continue
        if marker in _START_OF_FRAME:
            depth, rows, columns, components = struct.unpack_from(">BHHB", code, position + 4)
            # A decoder that believes a depth of 245 bits writes where it should not.
            return (rows, columns) if components == 1 and 2 <= depth <= 16 else (0, 0)
        position += 2 + struct.unpack_from(">H", code, position + 2)[0]
    return 0, 0


def _jpeg_2000(code: bytes) -> tuple[int, int]:
    start = code.find(b"\xff\x4f\xff\x51")
    if start < 0 or len(code) < start + 24:
        return 0, 0
    right, bottom, left, top = struct.unpack_from(">IIII", code, start + 8)
    return bottom - top, right - left


class BrokenFragments(ValueError):
    """Encapsulated pixels whose items cannot be followed to their end."""


def coded_frames(data: bytes, start: int, count: int) -> list[bytes]:
    """Return the code stream of each of `count` frames encapsulated from byte `start` on.

    Raises
    ------
    BrokenFragments
        If an item does not fit, the end is missing, or fragments cannot be told to frames.
    """
    table, items = _items(data, start)
    if count == 1:
        return [b"".join(data[begin:end] for begin, end in items)]
    if len(items) == count:
        return [data[begin:end] for begin, end in items]
    offsets = struct.unpack_from(f"<{len(table) // 4}I", table)
    first = items[0][0] - 8 if items else 0
    begins = {begin - 8 - first: n for n, (begin, _) in enumerate(items)}
    if len(offsets) != count or any(offset not in begins for offset in offsets):
        raise BrokenFragments(f"{len(items)} fragments for {count} frames and no offset table")
    starts = [begins[offset] for offset in offsets] + [len(items)]
    if sorted(starts) != starts:
        raise BrokenFragments("an offset table out of order")
    return [b"".join(data[begin:end] for begin, end in items[a:b]) for a, b in pairwise(starts)]


def is_whole(code: bytes, transfer_syntax: str) -> bool:
    """Say whether a JPEG, JPEG-LS or JPEG 2000 stream has its end mark; True for others."""
    if transfer_syntax in _JPEG or transfer_syntax in _JPEG_2000:
        return code.rstrip(b"\0").endswith(b"\xff\xd9")
    return True


def _items(data: bytes, start: int) -> tuple[bytes, list[tuple[int, int]]]:
    """Return the basic offset table, and where each fragment begins and ends."""
    position, table = start, b""
    items: list[tuple[int, int]] = []
    first = True
    while position + 8 <= len(data):
        group, element, length = struct.unpack_from("<HHI", data, position)
        position += 8
        if (group, element) == (0xFFFE, 0xE0DD):
            return table, items
        if (group, element) != (0xFFFE, 0xE000) or position + length > len(data):
            raise BrokenFragments(f"an item of {length} bytes at byte {position - 8}")
        if first:
            table, first = data[position : position + length], False
        else:
            items.append((position, position + length))
        position += length
    raise BrokenFragments("the end of the fragments is missing")
