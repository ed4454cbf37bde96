"""How a phantom is scanned: contrasts, matrix, slices, plane, noise. One table per site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from bmepipe.errors import BadSettings, unknown_choice
from bmepipe.phantom.shapes import Floats, f32, rotation
from bmepipe.phantom.tissue import Sequence, Technique
from bmepipe.volume import Grid

# RAS directions of increasing column, row and slice index; in DICOM's usual display a sagittal
# image has anterior on its left, the others the patient's right.
_PLANES: Mapping[str, tuple[tuple[float, ...], ...]] = MappingProxyType(
    {
        "sagittal": ((0, -1, 0), (0, 0, -1), (-1, 0, 0)),
        "coronal": ((-1, 0, 0), (0, 0, -1), (0, -1, 0)),
        "axial": ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
    }
)


@dataclass(frozen=True)
class Protocol:
    """A T1-weighted and a fat-suppressed series of one plane.

    Parameters
    ----------
    name, site : str
    plane : str
        "sagittal", "coronal" or "axial".
    t1, t2fs : Sequence
    matrix : int
        Columns and rows.
    pixel_mm, thickness_mm, gap_mm : float
    slices : int
    snr : (float, float)
        Range of the signal-to-noise ratio of fat-suppressed yellow marrow; T1 gets five times it.
    tilt_deg : (float, float)
        Oblique turn of the slices about the patient's long axis and about the left-right axis,
        as for a right side.
    shift_px : float
        Displacement of fat against water along the rows.
    """

    name: str
    site: str
    plane: str
    t1: Sequence
    t2fs: Sequence
    matrix: int
    pixel_mm: float
    slices: int
    thickness_mm: float
    gap_mm: float
    snr: tuple[float, float] = (7.0, 18.0)
    tilt_deg: tuple[float, float] = (0.0, 0.0)
    shift_px: float = 1.2

    def __post_init__(self) -> None:
        if self.plane not in _PLANES:
            raise unknown_choice("plane", self.plane, _PLANES)
        for name in ("matrix", "pixel_mm", "slices", "thickness_mm"):
            value = getattr(self, name)
            if not value > 0:
                raise BadSettings(f"{name} above 0", f"{value:g}", "correct the protocol")
        if self.gap_mm < 0:
            raise BadSettings("gap_mm of 0 or more", f"{self.gap_mm:g}", "correct the protocol")
        if not 0 < self.snr[0] <= self.snr[1]:
            raise BadSettings("snr as (low, high) above 0", f"{self.snr}", "correct the protocol")

    @property
    def step_mm(self) -> float:
        """Distance between the middles of neighbouring slices."""
        return self.thickness_mm + self.gap_mm

    def directions(self) -> Floats:
        """Return the RAS directions of columns, rows and slices as columns, shape (3, 3)."""
        upright = f32(_PLANES[self.plane]).T
        return f32(rotation(2, self.tilt_deg[0]) @ rotation(0, self.tilt_deg[1]) @ upright)

    def for_side(self, side: str) -> Protocol:
        """Return the protocol for a side: on a left one ("L") the slices are turned in mirror.

        >>> site_protocol("shoulder").for_side("L").tilt_deg
        (-35.0, 0.0)
        """
        if side != "L" or not self.tilt_deg[0]:
            return self
        return replace(self, tilt_deg=(-self.tilt_deg[0], self.tilt_deg[1]))

    def grid(self, centre_mm: Floats) -> Grid:
        """Return the grid of the slices, centred on a RAS point."""
        spacing = np.array([self.pixel_mm, self.pixel_mm, self.step_mm])
        shape = (self.matrix, self.matrix, self.slices)
        affine = np.eye(4)
        affine[:3, :3] = self.directions() * spacing
        affine[:3, 3] = centre_mm - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
        return Grid(shape, affine)


def _spin_echo(tr_ms: float, te_ms: float) -> Sequence:
    return Sequence(Technique.SPIN_ECHO, tr_ms, te_ms)


def _fat_sat(tr_ms: float, te_ms: float) -> Sequence:
    return Sequence(Technique.FAT_SAT, tr_ms, te_ms, residual_fat=0.06)


def _stir(tr_ms: float, te_ms: float, ti_ms: float) -> Sequence:
    return Sequence(Technique.INVERSION, tr_ms, te_ms, ti_ms, residual_fat=1.0)


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        p.name: p
        for p in (
            Protocol(
                "knee",
                "knee",
                "sagittal",
                _spin_echo(620, 12),
                _fat_sat(3600, 36),
                matrix=384,
                pixel_mm=0.41,
                slices=31,
                thickness_mm=3.0,
                gap_mm=0.3,
            ),
            Protocol(
                "lumbar",
                "lumbar",
                "sagittal",
                _spin_echo(600, 11),
                _stir(4000, 55, 160),
                matrix=384,
                pixel_mm=0.75,
                slices=17,
                thickness_mm=4.0,
                gap_mm=0.4,
                shift_px=0.8,
            ),
            Protocol(
                "hip",
                "hip",
                "coronal",
                _spin_echo(580, 12),
                _stir(4200, 45, 160),
                matrix=384,
                pixel_mm=0.52,
                slices=28,
                thickness_mm=3.2,
                gap_mm=0.3,
            ),
            Protocol(
                "ankle",
                "ankle",
                "sagittal",
                _spin_echo(600, 12),
                _fat_sat(4000, 60),
                matrix=384,
                pixel_mm=0.42,
                slices=24,
                thickness_mm=3.0,
                gap_mm=0.3,
            ),
            Protocol(
                "cervical",
                "cervical",
                "sagittal",
                _spin_echo(600, 11),
                _stir(4000, 55, 160),
                matrix=320,
                pixel_mm=0.72,
                slices=17,
                thickness_mm=3.0,
                gap_mm=0.3,
                shift_px=0.8,
            ),
            Protocol(
                "sacroiliac",
                "sacroiliac",
                "coronal",
                _spin_echo(560, 11),
                _stir(4000, 50, 160),
                matrix=384,
                pixel_mm=0.65,
                slices=24,
                thickness_mm=3.0,
                gap_mm=0.3,
                tilt_deg=(0.0, -20.0),
            ),
            Protocol(
                "shoulder",
                "shoulder",
                "coronal",
                _spin_echo(600, 12),
                _fat_sat(3800, 50),
                matrix=384,
                pixel_mm=0.42,
                slices=24,
                thickness_mm=3.2,
                gap_mm=0.3,
                tilt_deg=(35.0, 0.0),
            ),
        )
    }
)


def site_protocol(site: str) -> Protocol:
    """Return the protocol that suits a site.

    >>> site_protocol("knee").step_mm
    3.3
    """
    if site not in PROTOCOLS:
        raise unknown_choice("protocol", site, PROTOCOLS)
    return PROTOCOLS[site]


def coarse(protocol: Protocol, factor: int = 3) -> Protocol:
    """Return the protocol with a `factor` coarser matrix over the same field, for quick tests."""
    return replace(protocol, matrix=protocol.matrix // factor, pixel_mm=protocol.pixel_mm * factor)


def parse_protocol(table: Mapping[str, Any]) -> Protocol:
    """Return the protocol that a parsed TOML table describes.

    Raises
    ------
    BadSettings
        Naming a missing key or an impossible value.
    UnknownChoice
        For an unknown key, plane or technique, listing the known ones.
    """
    row = _known(Protocol, table)
    for series in ("t1", "t2fs"):
        inner = _known(Sequence, row.get(series, {}))
        techniques = {technique.name.lower(): technique for technique in Technique}
        came = inner.get("technique", "")
        if came not in techniques:
            raise unknown_choice("technique", came, techniques)
        row[series] = _built(Sequence, {**inner, "technique": techniques[came]})
    for key in ("snr", "tilt_deg"):
        if key in row:
            row[key] = tuple(row[key])
    return _built(Protocol, row)


def _known(kind: type, table: Mapping[str, Any]) -> dict[str, Any]:
    names = [f.name for f in fields(kind)]
    for key in table:
        if key not in names:
            raise unknown_choice("protocol key", key, names)
    return dict(table)


def _built(kind: type, row: dict[str, Any]) -> Any:
    try:
        return kind(**row)
    except TypeError as error:
        raise BadSettings("every key of a protocol", str(error), "complete it") from error
