"""DICOM headers from bytes that nobody vouches for.

A general DICOM reader keeps every element of a file; to choose series, some sixty matter. This one
walks a file's elements once, keeps those and trusts no length: an element that would end behind the
file, or sequences nested deeper than any scanner writes, are an error and not an allocation. Pixels
are located here and decoded in `bmepipe.io.pixels`.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bmepipe.io.tags import DESCENDED, WANTED

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"

MAX_DEPTH = 32  # real files nest sequences less than ten deep
_FIRST_READ = 1 << 15
_INFLATED_FLOOR = 1 << 24
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXELS = {0x7FE00010, 0x7FE00008, 0x7FE00009}
_TRANSFER_SYNTAX = 0x00020010
_LONG_VR = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT"}
_SHORT_VR = {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT"}
_SHORT_VR |= {b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}

Elements = dict[int, tuple[bytes, "bytes | list[Elements]"]]


class NotDicom(ValueError):
    """The bytes are not a DICOM file."""


class DamagedHeader(ValueError):
    """The bytes are a DICOM file whose header cannot be followed to its end."""


class _NeedMore(Exception):
    """The walk needs the file's bytes up to `end`."""

    def __init__(self, end: int) -> None:
        super().__init__(end)
        self.end = end


@dataclass(frozen=True, slots=True)
class RawHeader:
    """The wanted elements of one file and where its pixels lie.

    `pixel_offset` is -1 if the file has no pixels; `pixel_length` counts the bytes that are there
    and is -1 if they are encapsulated in fragments; both refer to the inflated bytes if the
    transfer syntax is deflated.
    """

    elements: Mapping[int, tuple[bytes, bytes | list[Elements]]]
    transfer_syntax: str
    pixel_offset: int = -1
    pixel_length: int = 0
    pixel_tag: int = 0


def read_header(path: Path) -> RawHeader:
    """Return the wanted elements of a DICOM file.

    Raises
    ------
    NotDicom
        If the file does not begin like one.
    DamagedHeader
        If lengths or sequences cannot be followed.
    OSError
        If the file cannot be read.
    """
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        buffer = file.read(min(size, _FIRST_READ)) or b""
        walk = _Walk(size)
        while True:
            try:
                return walk.run(buffer)
            except _NeedMore as more:
                if more.end > size:
                    raise DamagedHeader(
                        f"an element would end at byte {more.end} of {size}"
                    ) from None
                wanted = max(more.end, min(size, 4 * len(buffer))) - len(buffer)
                got = file.read(wanted)
                if not got:
                    raise DamagedHeader("the file ended while it was read") from None
                buffer += got


def inflate(data: bytes, start: int) -> bytes:
    """Return a deflated file inflated: the bytes before `start`, then the data set.

    Raises
    ------
    DamagedHeader
        If the stream is broken or grows to more than ten times its size (and 16 MiB).
    """
    limit = max(10 * len(data), _INFLATED_FLOOR)
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        body = stream.decompress(memoryview(data)[start:], limit)
    except zlib.error as error:
        raise DamagedHeader(f"the deflated data set is broken ({error})") from None
    if not stream.eof and not stream.unconsumed_tail:
        raise DamagedHeader("the deflated data set is cut off")
    if stream.unconsumed_tail:
        raise DamagedHeader(f"the deflated data set grows to more than {limit} bytes")
    return data[:start] + body


def meta_end(data: bytes) -> int:
    """Return where the data set begins, behind preamble and file meta group."""
    walk = _Walk(len(data))
    walk.position = walk._begin(data)
    walk._read_meta(data)
    return walk.position


class _Walk:
    """One walk over a file's top level that can go on when more bytes are there."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.position = -1
        self.elements: Elements = {}
        self.syntax = ""
        self.order = _Order(explicit=True, big=False)

    def run(self, buffer: bytes) -> RawHeader:
        if self.position < 0:
            self.position = self._begin(buffer)
            self._read_meta(buffer)
            if self.syntax == DEFLATED:
                if len(buffer) < self.size:
                    raise _NeedMore(self.size)
                buffer = inflate(buffer, self.position)
                self.size = len(buffer)
            self._choose_order(buffer)
        return self._read_body(buffer)

    def _begin(self, buffer: bytes) -> int:
        if buffer[128:132] == b"DICM":
            return 132
        head = buffer[:8]
        group, element = struct.unpack_from("<HH", head.ljust(8, b"\0"))
        if len(head) < 8 or group not in (0x0002, 0x0008, 0x0800) or element > 0x1000:
            raise NotDicom("no DICM mark and no DICOM element at the start")
        return 0

    def _read_meta(self, buffer: bytes) -> None:
        position, order = self.position, _Order(explicit=True, big=False)
        while position + 8 <= len(buffer) and buffer[position : position + 2] == b"\x02\x00":
            tag, _, start, length = order.element(buffer, position)
            if length == _UNDEFINED:
                raise DamagedHeader("an element of the file meta group has no length")
            if start + length > len(buffer):
                raise _NeedMore(start + length)
            if tag == _TRANSFER_SYNTAX:
                self.syntax = buffer[start : start + length].rstrip(b"\0 ").decode("latin-1")
            position = start + length
        self.position = position

    def _choose_order(self, buffer: bytes) -> None:
        """Believe the first element more than the transfer syntax, which some writers get wrong."""
        head = buffer[self.position : self.position + 6]
        if len(head) < 6:
            if self.position + 6 > self.size:
                raise DamagedHeader("the file holds no data set")
            raise _NeedMore(self.position + 6)
        big = head[0] == 0 and head[1] != 0
        explicit = head[4:6] in _LONG_VR or head[4:6] in _SHORT_VR
        self.order = _Order(explicit, big)
        if not self.syntax:
            self.syntax = EXPLICIT_BIG if big else EXPLICIT_LITTLE if explicit else IMPLICIT_LITTLE

    def _read_body(self, buffer: bytes) -> RawHeader:
        order, elements, wanted, end = self.order, self.elements, WANTED, self.size
        position = self.position
        while position + 8 <= end:
            self.position = position
            tag, vr, start, length = order.element(buffer, position)
            if tag in _PIXELS:
                found = -1 if length == _UNDEFINED else min(length, end - start)
                return RawHeader(elements, self.syntax, start, found, tag)
            if tag >> 16 > 0x7FE0:
                break
            if length == _UNDEFINED:
                items, position = order.items(buffer, start, _UNDEFINED, 1, tag in DESCENDED, vr)
                if tag in DESCENDED:
                    elements[tag] = (b"SQ", items)
                continue
            position = start + length
            if position > end:
                raise DamagedHeader(f"element {tag:08x} claims {length} bytes; {end} are there")
            if tag in wanted:
                if position > len(buffer):
                    raise _NeedMore(position)
                if tag in DESCENDED:
                    items, _ = order.items(buffer, start, length, 1, True, vr)
                    elements[tag] = (b"SQ", items)
                else:
                    elements[tag] = (vr, buffer[start:position])
        return RawHeader(elements, self.syntax)


class _Order:
    """How elements are written: with or without VR, little or big endian."""

    __slots__ = ("big", "explicit", "head", "long", "short")

    def __init__(self, explicit: bool, big: bool) -> None:
        mark = ">" if big else "<"
        self.explicit, self.big = explicit, big
        self.head = struct.Struct(mark + ("HH2sH" if explicit else "HHI")).unpack_from
        self.long = struct.Struct(mark + "I").unpack_from
        self.short = struct.Struct(mark + "HHI").unpack_from

    def element(self, buffer: bytes, position: int) -> tuple[int, bytes, int, int]:
        """Return tag, VR, where the value starts and its length."""
        try:
            if not self.explicit:
                group, element, length = self.head(buffer, position)
                return group << 16 | element, b"", position + 8, length
            group, element, vr, length = self.head(buffer, position)
            if vr in _LONG_VR:
                return group << 16 | element, vr, position + 12, self.long(buffer, position + 8)[0]
            if vr in _SHORT_VR:
                return group << 16 | element, vr, position + 8, length
            if vr.isalpha() and vr.isupper():  # PS3.5 7.1.2: a VR of tomorrow has a long length
                return group << 16 | element, vr, position + 12, self.long(buffer, position + 8)[0]
            group, element, length = self.short(buffer, position)
        except struct.error:
            raise _NeedMore(position + 12) from None
        return group << 16 | element, b"", position + 8, length

    def items(
        self, buffer: bytes, start: int, length: int, depth: int, keep: bool, vr: bytes
    ) -> tuple[list[Elements], int]:
        """Return the items of a sequence (empty unless `keep`) and where it ends."""
        if depth > MAX_DEPTH:
            raise DamagedHeader(f"sequences nested more than {MAX_DEPTH} deep")
        # PS3.5 6.2.2: a sequence of VR UN and undefined length is written in implicit VR.
        order = _Order(False, False) if vr == b"UN" and self.explicit else self
        found: list[Elements] = []
        position = start
        stop = _UNDEFINED if length == _UNDEFINED else start + length
        while position < stop:
            if position + 8 > len(buffer):
                raise _NeedMore(position + 8)
            group, element, size = order.short(buffer, position)
            tag = group << 16 | element
            position += 8
            if tag == _SEQUENCE_END:
                return found, position
            if tag != _ITEM:
                raise DamagedHeader(f"a sequence holds {tag:08x} where an item should begin")
            if size != _UNDEFINED and not keep:
                position += size
                continue
            item, position = order.item(buffer, position, size, depth, keep)
            found.append(item)
        return found, position

    def item(
        self, buffer: bytes, start: int, length: int, depth: int, keep: bool
    ) -> tuple[Elements, int]:
        """Return the wanted elements of one item and where it ends."""
        elements: Elements = {}
        position = start
        stop = _UNDEFINED if length == _UNDEFINED else start + length
        if stop != _UNDEFINED and stop > len(buffer):
            raise _NeedMore(stop)
        while position < stop:
            tag, vr, begin, size = self.element(buffer, position)
            if tag == _ITEM_END:
                return elements, position + 8
            descend = keep and tag in DESCENDED
            if size == _UNDEFINED or descend:
                items, position = self.items(buffer, begin, size, depth + 1, descend, vr)
                if descend:
                    elements[tag] = (b"SQ", items)
                continue
            position = begin + size
            if position > len(buffer):
                raise _NeedMore(position)
            if keep and tag in WANTED:
                elements[tag] = (vr, buffer[begin:position])
        return elements, position
