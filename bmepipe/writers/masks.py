"""Masks and maps as NIfTI on the grid of the fat-suppressed series."""

from __future__ import annotations

import zlib
from pathlib import Path
from struct import pack

import numpy as np
from numpy.typing import DTypeLike

from bmepipe.result import EdemaResult
from bmepipe.volume import Volume

_SCANNER = 1  # NIfTI code: the scanner's coordinates
_FAST = 1  # zlib level: label maps shrink to a hundredth anyway, noise to nothing at any level


def write(result: EdemaResult, folder: Path) -> list[Path]:
    """Write the edema mask, its probability, the numbered lesions and the bones.

    Parameters
    ----------
    result : EdemaResult
    folder : Path
        Existing folder.

    Returns
    -------
    list of Path
        ``edema_mask`` (uint8, 0 or 1), ``edema_probability`` (float32, 0 to 1), ``lesions``
        (uint16, lesion numbers) and ``bones`` (uint8, labels of the site), each ``.nii.gz``; of two
        detectors also ``edema_disagreement`` (uint8, 1 where they differ).
    """
    maps: list[tuple[str, Volume, DTypeLike]] = [
        ("edema_mask", result.edema, np.uint8),
        ("edema_probability", result.probability, np.float32),
        ("lesions", result.lesion_map, np.uint16),
        ("bones", result.bones, np.uint8),
    ]
    if result.disagreement is not None:
        maps.append(("edema_disagreement", result.disagreement, np.uint8))
    return [save(volume, dtype, folder / f"{name}.nii.gz") for name, volume, dtype in maps]


def save(volume: Volume, dtype: DTypeLike, path: Path) -> Path:
    """Write one volume as gzipped NIfTI-1, sform and qform set, lengths in millimetres.

    The bytes depend on voxels and grid alone: no file name, no time.
    """
    import nibabel as nib

    image = nib.Nifti1Image(np.asarray(volume.data, dtype=dtype), volume.grid.affine)
    image.set_sform(volume.grid.affine, code=_SCANNER)
    image.set_qform(volume.grid.affine, code=_SCANNER)
    image.header.set_xyzt_units(xyz="mm")
    path.write_bytes(gzipped(image.to_bytes()))
    return path


def gzipped(content: bytes) -> bytes:
    """Return `content` as one gzip member (RFC 1952) without name and time."""
    packer = zlib.compressobj(_FAST, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = b"\x1f\x8b\x08\x00" + b"\x00" * 4 + b"\x04\xff"
    tail = pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF)
    return head + packer.compress(content) + packer.flush() + tail
