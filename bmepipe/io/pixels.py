"""Stored pixels to signal: native and compressed frames, checked against their header first.

Compressed frames are decoded by pydicom with gdcm, pyjpegls, openjpeg and its own RLE, whose
licences all fit Apache-2.0. Before a decoder sees a frame, its own idea of the image's size must be
the header's, so that a forged size allocates nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmepipe.errors import UnreadablePixels, UntrustedFile
from bmepipe.io.codestream import BrokenFragments, coded_frames, coded_size, is_whole
from bmepipe.io.elements import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    DamagedHeader,
    inflate,
    meta_end,
)
from bmepipe.io.frames import FileFacts, Frame

_NATIVE = {IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED}
_JPEG_PROCESSES = {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70)}
_FLOAT, _DOUBLE = 0x7FE00008, 0x7FE00009
# Pixels may be this many times larger than their compressed files, or this many bytes in all.
_MAX_RATIO, _ALWAYS_ALLOWED = 10, 1 << 26


def check_format(file: FileFacts) -> str:
    """Return why a file's pixels cannot be read, from its header alone; empty if they can."""
    if file.samples != 1 or not file.photometric.startswith("MONOCHROME"):
        kind = file.photometric or f"{file.samples} samples a pixel"
        return f"a colour image ({kind}), not a signal"
    if file.mosaic:
        return "a mosaic of many slices in one image"
    if file.pixel_tag in (_FLOAT, _DOUBLE):
        wrong = file.bits_allocated not in (32, 64)
        return "float pixels of unknown size" if wrong else _too_short(file)
    if file.bits_allocated not in (8, 16, 32):
        return f"BitsAllocated is missing or {file.bits_allocated}, not 8, 16 or 32"
    if not 1 <= file.bits_stored <= file.bits_allocated:
        return f"BitsStored is missing or {file.bits_stored}, of {file.bits_allocated} allocated"
    if file.sign not in (0, 1):
        return "PixelRepresentation is missing: signed or unsigned is unknown"
    return _too_short(file)


def _too_short(file: FileFacts) -> str:
    if file.transfer_syntax not in _NATIVE:
        return "" if file.pixel_length < 0 else "compressed pixels that are not in fragments"
    need = file.rows * file.columns * file.frame_count * file.bits_allocated // 8
    if file.pixel_length < need:
        return f"pixels are cut off: {max(file.pixel_length, 0)} of {need} bytes"
    return ""


def read_frames(frames: Sequence[Frame]) -> NDArray[np.float32]:
    """Return the signal of a stack's frames, rescaled frame by frame.

    Parameters
    ----------
    frames : sequence of Frame
        Of one matrix size, in the order of slices.

    Returns
    -------
    ndarray, float32, shape (frames, rows, columns)

    Raises
    ------
    UnreadablePixels
        If a frame cannot be decoded or contradicts its header.
    UntrustedFile
        If a file asks for far more memory than it has bytes.
    """
    first = frames[0].file
    need = len(frames) * first.rows * first.columns * first.bits_allocated // 8
    total = sum({f.file.path: f.file.path.stat().st_size for f in frames}.values())
    if need > max(total * _MAX_RATIO, _ALWAYS_ALLOWED):
        raise UntrustedFile(
            "files that hold their pixels",
            f"{first.path.name} and its like: {need} bytes of pixels from {total}",
            "leave these files out",
        )
    volume = np.empty((len(frames), first.rows, first.columns), np.float32)
    opened = _OpenFile()
    for n, frame in enumerate(frames):
        stored = opened.frame(frame)
        if frame.slope == 1.0 and frame.intercept == 0.0:
            volume[n] = stored
        else:
            volume[n] = stored.astype(np.float64) * frame.slope + frame.intercept
    return volume


class _OpenFile:
    """The bytes of the file that was read last, for multi-frame files."""

    def __init__(self) -> None:
        self.file: FileFacts | None = None
        self.data = b""
        self.code: list[bytes] = []

    def frame(self, frame: Frame) -> NDArray:
        file = frame.file
        if reason := check_format(file):
            raise _refuse(file, reason)
        if file.transfer_syntax in _NATIVE:
            return _checked(file, self._native(frame))
        code = self._coded(file)
        return _checked(file, _compressed(file, code[frame.number - 1]))

    def _native(self, frame: Frame) -> NDArray:
        file = frame.file
        dtype = _dtype(file)
        count = file.rows * file.columns
        start = file.pixel_offset + (frame.number - 1) * count * dtype.itemsize
        if file.transfer_syntax == DEFLATED:
            values = np.frombuffer(self._bytes(file), dtype, count, start)
        else:
            values = np.fromfile(file.path, dtype, count, offset=start)
            if len(values) < count:
                raise _refuse(file, "pixels are cut off")
        return values.reshape(file.rows, file.columns)

    def _bytes(self, file: FileFacts) -> bytes:
        if self.file is not file:
            data = file.path.read_bytes()
            if file.transfer_syntax == DEFLATED:
                data = _inflated(file, data)
            self.file, self.data, self.code = file, data, []
        return self.data

    def _coded(self, file: FileFacts) -> list[bytes]:
        data = self._bytes(file)
        if not self.code:
            try:
                self.code = coded_frames(data, file.pixel_offset, file.frame_count)
            except BrokenFragments as error:
                raise _refuse(file, str(error)) from None
        return self.code


def _dtype(file: FileFacts) -> np.dtype:
    mark = ">" if file.transfer_syntax == EXPLICIT_BIG else "<"
    if file.pixel_tag in (_FLOAT, _DOUBLE):
        return np.dtype(f"{mark}f{file.bits_allocated // 8}")
    return np.dtype(f"{mark}{'i' if file.sign else 'u'}{file.bits_allocated // 8}")


def _inflated(file: FileFacts, data: bytes) -> bytes:
    try:
        return inflate(data, meta_end(data))
    except DamagedHeader as error:
        raise _refuse(file, str(error)) from None


def _compressed(file: FileFacts, code: bytes) -> NDArray:
    """Decode one frame, after its coded size and its end mark have been checked."""
    from pydicom.encaps import encapsulate
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    size = coded_size(code, file.transfer_syntax)
    if size is not None and size != (file.rows, file.columns):
        raise _refuse(file, f"a coded image of {size}, rows and columns {file.rows, file.columns}")
    if not is_whole(code, file.transfer_syntax):
        raise _refuse(file, "a compressed image that is cut off")
    try:
        decoder = get_decoder(UID(file.transfer_syntax))
        array, _ = decoder.as_array(
            encapsulate([code], has_bot=False),
            index=0,
            raw=True,
            decoding_plugin=_plugin(file.transfer_syntax, decoder.available_plugins),
            **_pixel_module(file),
        )
    except Exception as error:  # decoders raise whatever their library raises: all mean the same
        name = UID(file.transfer_syntax).name[:60]
        raise _refuse(file, f"{name} cannot be decoded ({_short(error)})") from None
    if array.shape != (file.rows, file.columns):
        raise _refuse(file, f"decoded pixels of shape {array.shape}")
    return array


def _pixel_module(file: FileFacts) -> dict[str, Any]:
    """Return what pydicom's decoders want to know of one frame."""
    return {
        "rows": file.rows,
        "columns": file.columns,
        "samples_per_pixel": 1,
        "photometric_interpretation": file.photometric,
        "number_of_frames": 1,
        "bits_allocated": file.bits_allocated,
        "bits_stored": file.bits_stored,
        "pixel_representation": file.sign,
        "pixel_keyword": "PixelData",
    }


def _plugin(transfer_syntax: str, available: tuple[str, ...]) -> str:
    """Return the decoder to use; the empty string lets pydicom try what there is.

    gdcm never returns from a JPEG-LS stream that is cut off, so it comes last for all that others
    decode.
    """
    if transfer_syntax in _JPEG_PROCESSES:
        return ""
    return next((name for name in ("pydicom", "pyjpegls", "pylibjpeg") if name in available), "")


def _checked(file: FileFacts, stored: NDArray) -> NDArray:
    """Return pixel values with the bits above BitsStored taken off, if these mean anything else."""
    if stored.dtype.kind == "f" or file.bits_stored == stored.dtype.itemsize * 8:
        return stored
    spare = stored.dtype.itemsize * 8 - file.bits_stored
    signed = (
        np.dtype(f"i{stored.dtype.itemsize}")
        if file.sign
        else np.dtype(f"u{stored.dtype.itemsize}")
    )
    native = stored.astype(signed, copy=False)
    trimmed = (native << spare) >> spare
    if file.overlay_bit >= file.bits_stored or np.array_equal(trimmed, native):
        return trimmed
    if file.sign and native.min() >= 0 and int(native.max()) < 1 << file.bits_stored:
        return trimmed  # negative values whose sign was not carried into the spare bits
    if int(np.abs(native.astype(np.int64)).max()) < 1 << (stored.dtype.itemsize * 8 - 1):
        raise _refuse(file, f"values up to {int(native.max())} in {file.bits_stored} stored bits")
    raise _refuse(file, f"values that need more than the {file.bits_stored} stored bits")


def _refuse(file: FileFacts, came: str) -> UnreadablePixels:
    return UnreadablePixels(
        "pixels that match their header",
        f"{file.path.name}: {came}",
        "export the series again, or leave it out",
    )


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:120]
