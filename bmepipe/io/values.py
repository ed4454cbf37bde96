"""The values of DICOM elements: text made safe to print, numbers that are finite or none at all."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from functools import lru_cache

from bmepipe.io.elements import DamagedHeader, Elements
from bmepipe.io.tags import TAG, VR

_MAX_TEXT = 200
_BINARY = {b"FD": "d", b"FL": "f", b"SL": "i", b"SS": "h", b"UL": "I", b"US": "H"}


class Values:
    """Decoded access to elements by name, first match of several element sets."""

    __slots__ = ("_big", "_charset", "_sets")

    def __init__(
        self, *sets: Mapping[int, tuple[bytes, bytes | list[Elements]]], big: bool, charset: str
    ) -> None:
        self._sets, self._big, self._charset = sets, big, charset

    def raw(self, name: str) -> tuple[bytes, bytes]:
        """Return VR and bytes; empty bytes if no set holds the element."""
        tag = TAG[name]
        for elements in self._sets:
            found = elements.get(tag)
            if found is not None and isinstance(found[1], bytes):
                return found[0] or VR[tag], found[1]
        return VR[tag], b""

    def text(self, name: str) -> str:
        """Return one line of printable text of at most 200 characters."""
        value = self.raw(name)[1]
        return _text(value, self._charset) if value else ""

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the values of a multi-valued text in upper case, spaces stripped."""
        text = self.text(name)
        return tuple(part.strip() for part in text.upper().split("\\")) if text else ()

    def numbers(self, name: str) -> tuple[float, ...]:
        """Return finite numbers, whether written as text or binary; empty if any cannot be read."""
        vr, value = self.raw(name)
        if not value:
            return ()
        code = _BINARY.get(VR[TAG[name]] if vr == b"UN" else vr)
        return _numbers(value, code and (">" if self._big else "<") + code)

    def number(self, name: str) -> float | None:
        """Return the first number, or None."""
        found = self.numbers(name)
        return found[0] if found else None

    def integer(self, name: str, otherwise: int = 0) -> int:
        """Return the first number as an integer; `otherwise` if there is none."""
        found = self.number(name)
        return int(found) if found is not None else otherwise

    def sure(self, name: str, otherwise: float) -> float:
        """Return the first number; `otherwise` if the element is absent.

        Raises
        ------
        DamagedHeader
            If the element is there and cannot be read: for these, no value may be assumed.
        """
        found = self.number(name)
        if found is None and self.raw(name)[1].strip(b"\0 "):
            raise DamagedHeader(f"{name} cannot be read as a number")
        return otherwise if found is None else found


# The files of a series say mostly the same: reading a value once is most of the speed.
@lru_cache(maxsize=8192)
def _text(value: bytes, charset: str) -> str:
    """Return one line of printable text."""
    value = value.strip(b"\0 ")
    text = value.decode("ascii") if value.isascii() else _decode(value, charset)
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return text.strip()[:_MAX_TEXT]


@lru_cache(maxsize=8192)
def _numbers(value: bytes, code: str | None) -> tuple[float, ...]:
    """Return finite numbers from text, or from binary of a `struct` code; empty if unreadable."""
    try:
        if code:
            count = len(value) // struct.calcsize(code)
            found = struct.unpack_from(f"{code[0]}{count}{code[1]}", value)
        else:
            found = tuple(_number(part) for part in value.strip(b"\0 ").split(b"\\") if part)
    except (ValueError, struct.error):
        return ()
    return found if all(map(math.isfinite, found)) else ()


def _number(text: bytes) -> float:
    """Read one number; a decimal comma, which the standard forbids but some write, is a point."""
    if len(text) > 64 or b"_" in text:
        raise ValueError("not a number")
    return float(text.replace(b",", b".") if b"." not in text else text)


def _decode(value: bytes, charset: str) -> str:
    from pydicom.charset import convert_encodings, decode_bytes

    try:
        return decode_bytes(value, convert_encodings(charset.split("\\")), {0x5C})
    except (LookupError, ValueError, UnicodeError):
        return value.decode("latin-1")
