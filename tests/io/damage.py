"""Ways to damage a DICOM file; each takes bytes and a random generator and returns bytes."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pydicom

Random = np.random.Generator
Damage = Callable[[bytes, Random], bytes]

_HUGE = (0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF, 0x10000000, 0x00FFFFFF, 0xFFFF)
# fmt: off
_TYPE_1 = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality",
    "Manufacturer", "ImageType", "ScanningSequence", "ScanOptions", "RepetitionTime",
    "EchoTime", "SliceThickness", "SeriesNumber", "InstanceNumber", "AcquisitionNumber",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "FrameOfReferenceUID",
    "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "PixelData", "SeriesDescription",
    "PatientID", "StudyDate", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "NumberOfFrames",
)

_NUMBERS = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "EchoTime",
    "SliceThickness",
)
# fmt: on


def cut(data: bytes, rng: Random) -> bytes:
    return data[: int(rng.integers(0, len(data)))]


def cut_the_header(data: bytes, rng: Random) -> bytes:
    return data[: int(rng.integers(0, min(2000, len(data))))]


def flip_bytes(data: bytes, rng: Random) -> bytes:
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 20))):
        out[int(rng.integers(len(out)))] = int(rng.integers(256))
    return bytes(out)


def flip_header_bytes(data: bytes, rng: Random) -> bytes:
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        out[int(rng.integers(128, min(len(out), 1800)))] = int(rng.integers(256))
    return bytes(out)


def flip_one_bit(data: bytes, rng: Random) -> bytes:
    out = bytearray(data)
    out[int(rng.integers(128, len(out)))] ^= 1 << int(rng.integers(8))
    return bytes(out)


def forge_length(data: bytes, rng: Random) -> bytes:
    """Overwrite the length of a random element, as far as elements can be found by their VR."""
    places = [
        n + 4
        for n in range(132, min(len(data) - 8, 4000))
        if data[n + 4 : n + 6].isalpha() and data[n + 4 : n + 6].isupper() and data[n + 1] < 0x80
    ]
    if not places:
        return flip_bytes(data, rng)
    out = bytearray(data)
    place = int(rng.choice(places))
    if data[place : place + 2] in (b"OW", b"OB", b"SQ", b"UN", b"UT"):
        struct.pack_into("<I", out, place + 4, int(rng.choice(_HUGE)))
    else:
        struct.pack_into("<H", out, place + 2, int(rng.choice((0xFFFF, 0x8000, 0, 1, 3, 999))))
    return bytes(out)


def huge_image(data: bytes, rng: Random) -> bytes:
    def edit(ds: pydicom.Dataset) -> None:
        names = [n for n in ("Rows", "Columns", "NumberOfFrames", "BitsAllocated") if n in ds]
        for name in rng.choice(names, int(rng.integers(1, len(names) + 1)), replace=False):
            setattr(ds, str(name), 65535 if name != "NumberOfFrames" else 2**31 - 1)

    return _edited(data, edit)


def without_a_tag(data: bytes, rng: Random) -> bytes:
    def edit(ds: pydicom.Dataset) -> None:
        names = [n for n in _TYPE_1 if n in ds]
        delattr(ds, names[int(rng.integers(len(names)))])

    return _edited(data, edit)


def comma_numbers(data: bytes, rng: Random) -> bytes:
    """Decimal commas, thousands separators and words where a number should be, of equal length."""
    out = bytearray(data)
    digits = [n for n in range(300, min(len(out), 2500)) if out[n : n + 1] == b"."]
    for n in rng.choice(digits, min(len(digits), 3)) if digits else []:
        out[int(n)] = int(rng.choice(list(b",-xe \\")))
    return bytes(out)


def nested(data: bytes, rng: Random) -> bytes:
    """Put 500 nested sequences of undefined or defined length before the pixels."""
    inner = b""
    undefined = bool(rng.integers(2))
    for _ in range(500):
        if undefined:
            inner = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + inner + b"\xfe\xff\x0d\xe0\0\0\0\0"
            inner = b"\x40\x00\x55\x05SQ\0\0\xff\xff\xff\xff" + inner + b"\xfe\xff\xdd\xe0\0\0\0\0"
        else:
            inner = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(inner)) + inner
            inner = b"\x00\x52\x29\x92SQ\0\0" + struct.pack("<I", len(inner)) + inner
    at = data.rfind(b"\xe0\x7f\x10\x00")
    return data[:at] + inner + data[at:] if at > 0 else data + inner


def swap_values(data: bytes, rng: Random) -> bytes:
    def edit(ds: pydicom.Dataset) -> None:
        name = str(rng.choice([n for n in _NUMBERS if n in ds] or ["StudyDate"]))
        wild = ["1e400", "nan", "-0", "9" * 16, "1.2.3", "", "abc"]
        ds[name]._value = str(rng.choice(wild))

    return _edited(data, edit)


def not_dicom(data: bytes, rng: Random) -> bytes:
    return rng.integers(0, 256, int(rng.integers(0, 3000)), np.uint8).tobytes()


def mark_only(data: bytes, rng: Random) -> bytes:
    return b"\0" * 128 + b"DICM" + not_dicom(data, rng)[: int(rng.integers(0, 200))]


def _edited(data: bytes, edit: Callable[[pydicom.Dataset], None]) -> bytes:
    ds = pydicom.dcmread(io.BytesIO(data), force=True)
    out = io.BytesIO()
    try:
        edit(ds)
        ds.save_as(out)
    except Exception:  # what pydicom refuses to write is no file that could reach a reader
        return data[: len(data) // 2]
    return out.getvalue()


DAMAGES: tuple[Damage, ...] = (
    cut,
    cut_the_header,
    flip_bytes,
    flip_header_bytes,
    flip_one_bit,
    forge_length,
    huge_image,
    without_a_tag,
    comma_numbers,
    nested,
    swap_values,
    not_dicom,
    mark_only,
)
