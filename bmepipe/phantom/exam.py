"""The further series of an exam: other planes, other contrasts, and those that must not be chosen.

A fat-saturated study also holds the same slices without the saturation, a Dixon study its fat and
in-phase images, a study with inversion recovery a T2-weighted series whose fat is bright.
"""

from __future__ import annotations

from collections.abc import Sequence as Sequences
from dataclasses import replace

import numpy as np

from bmepipe.phantom.anatomy import Anatomy
from bmepipe.phantom.protocol import Protocol, coarse
from bmepipe.phantom.sampling import look_through
from bmepipe.phantom.scanner import Content, Faults, fill_voxels, make_image
from bmepipe.phantom.tissue import Sequence, Technique
from bmepipe.volume import Volume

_T2_TR_MS, _T2_TE_MS = 3500.0, 100.0


def t1_faults(faults: Faults) -> Faults:
    """Return the faults of a series in which fat is bright, so that noise is less of it."""
    return replace(faults, snr=faults.snr * 5, ghost=faults.ghost / 2)


def other_series(
    anatomy: Anatomy,
    scan: Protocol,
    content: Content,
    faults: Faults,
    extra_planes: Sequences[str],
    rng: np.random.Generator,
) -> tuple[tuple[Sequence, Volume], ...]:
    """Return the contrast and the image of every further series.

    Parameters
    ----------
    anatomy : Anatomy
    scan : Protocol
    content : Content
        Of the fat-suppressed series, in whose slices most others lie.
    faults : Faults
        Of the fat-suppressed series.
    extra_planes : sequence of str
        Planes in which the fat-suppressed series is made once more.
    rng : numpy.random.Generator
    """
    own, made = scan.t2fs, []
    for plane in extra_planes:
        turned = replace(scan, plane=plane)
        made.append((own, _scanned(anatomy, turned, own, faults, rng)))
    bright, grid = t1_faults(faults), scan.grid(anatomy.centre_mm)
    alike = {
        Technique.FAT_SAT: (Technique.SPIN_ECHO,),
        Technique.DIXON_WATER: (Technique.DIXON_FAT, Technique.IN_PHASE),
    }
    for technique in alike.get(own.technique, ()):
        contrast = replace(own, technique=technique)
        image = make_image(content, grid, contrast, bright, scan.shift_px, rng)
        made.append((contrast, Volume(np.asfortranarray(image), grid)))
    if own.technique is Technique.INVERSION:
        t2 = Sequence(Technique.SPIN_ECHO, _T2_TR_MS, _T2_TE_MS, field_t=own.field_t)
        made.append((t2, _scanned(anatomy, coarse(scan, 2), t2, bright, rng)))
    return tuple(made)


def _scanned(
    anatomy: Anatomy,
    scan: Protocol,
    contrast: Sequence,
    faults: Faults,
    rng: np.random.Generator,
) -> Volume:
    grid = scan.grid(anatomy.centre_mm)
    planes = look_through(anatomy, grid)
    content = fill_voxels(anatomy, planes, contrast, scan.thickness_mm, count_bones=False)
    image = make_image(content, grid, contrast, faults, scan.shift_px, rng)
    return Volume(np.asfortranarray(image), grid)
