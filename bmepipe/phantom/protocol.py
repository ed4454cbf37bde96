"""How a phantom is scanned: contrasts, matrix, slices, plane, noise. One table per site."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, TypeVar

from bmepipe.errors import BadSettings, unknown_choice
from bmepipe.phantom.slices import Slices
from bmepipe.phantom.tissue import Sequence, Technique
from bmepipe.phantom.values import bad_value, require_number

Cut = TypeVar("Cut", bound=Slices)


@dataclass(frozen=True, kw_only=True)
class Protocol(Slices):
    """A T1-weighted and a fat-suppressed series, in the same slices unless told otherwise.

    Parameters
    ----------
    name, site : str
    t1, t2fs : Sequence
    t1_slices : Slices, optional
        Where T1 is cut otherwise than the fat-suppressed series, to whose slices the rest applies.
    snr : (float, float)
        Range of the signal-to-noise ratio of fat-suppressed yellow marrow; T1 gets five times it.
    shift_px : float
        Displacement of fat against water along the rows.
    """

    name: str
    site: str
    t1: Sequence
    t2fs: Sequence
    t1_slices: Slices | None = None
    snr: tuple[float, float] = (7.0, 18.0)
    shift_px: float = 1.2

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("shift_px", self.shift_px)
        low, high = (require_number("snr", value) for value in self.snr)
        if not 0 < low <= high:
            raise bad_value("snr as (low, high) above 0", self.snr)

    def for_t1(self) -> Slices:
        """Return the slices of the T1-weighted series."""
        return self.t1_slices or self

    def for_side(self, side: str) -> Protocol:
        """Return the protocol for a side: on a left one ("L") the slices are turned in mirror.

        >>> site_protocol("shoulder").for_side("L").tilt_deg
        (-35.0, 0.0)
        """
        if side != "L":
            return self
        return replace(_mirrored(self), t1_slices=self.t1_slices and _mirrored(self.t1_slices))


def _mirrored(slices: Cut) -> Cut:
    about_long, about_across = slices.tilt_deg
    return replace(slices, tilt_deg=(-about_long, about_across)) if about_long else slices


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
                name="knee",
                site="knee",
                plane="sagittal",
                t1=_spin_echo(620, 12),
                t2fs=_fat_sat(3600, 36),
                matrix=384,
                pixel_mm=0.41,
                slices=31,
                thickness_mm=3.0,
                gap_mm=0.3,
            ),
            Protocol(
                name="lumbar",
                site="lumbar",
                plane="sagittal",
                t1=_spin_echo(600, 11),
                t2fs=_stir(4000, 55, 160),
                matrix=384,
                pixel_mm=0.75,
                slices=17,
                thickness_mm=4.0,
                gap_mm=0.4,
                shift_px=0.8,
            ),
            Protocol(
                name="hip",
                site="hip",
                plane="coronal",
                t1=_spin_echo(580, 12),
                t2fs=_stir(4200, 45, 160),
                matrix=384,
                pixel_mm=0.52,
                slices=28,
                thickness_mm=3.2,
                gap_mm=0.3,
            ),
            Protocol(
                name="ankle",
                site="ankle",
                plane="sagittal",
                t1=_spin_echo(600, 12),
                t2fs=_fat_sat(4000, 60),
                matrix=384,
                pixel_mm=0.42,
                slices=24,
                thickness_mm=3.0,
                gap_mm=0.3,
            ),
            Protocol(
                name="cervical",
                site="cervical",
                plane="sagittal",
                t1=_spin_echo(600, 11),
                t2fs=_stir(4000, 55, 160),
                matrix=320,
                pixel_mm=0.72,
                slices=17,
                thickness_mm=3.0,
                gap_mm=0.3,
                shift_px=0.8,
            ),
            Protocol(
                name="sacroiliac",
                site="sacroiliac",
                plane="coronal",
                t1=_spin_echo(560, 11),
                t2fs=_stir(4000, 50, 160),
                matrix=384,
                pixel_mm=0.65,
                slices=24,
                thickness_mm=3.0,
                gap_mm=0.3,
                tilt_deg=(0.0, -20.0),
            ),
            Protocol(
                name="shoulder",
                site="shoulder",
                plane="coronal",
                t1=_spin_echo(600, 12),
                t2fs=_fat_sat(3800, 50),
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
    if "t1_slices" in row:
        row["t1_slices"] = _built(Slices, _paired(_known(Slices, row["t1_slices"])))
    for series in ("t1", "t2fs"):
        inner = _known(Sequence, row.get(series, {}))
        techniques = {technique.name.lower(): technique for technique in Technique}
        came = inner.get("technique", "")
        if came not in techniques:
            raise unknown_choice("technique", came, techniques)
        row[series] = _built(Sequence, {**inner, "technique": techniques[came]})
    return _built(Protocol, _paired(row))


def _paired(row: dict[str, Any]) -> dict[str, Any]:
    for key in {"snr", "tilt_deg"} & set(row):
        if not isinstance(row[key], Sized) or len(row[key]) != 2:
            raise bad_value(f"{key} as two numbers", row[key])
        row[key] = tuple(row[key])
    return row


def _known(kind: type, table: Mapping[str, Any]) -> dict[str, Any]:
    names = [f.name for f in fields(kind)]
    if not isinstance(table, Mapping):
        raise bad_value(f"a table with {', '.join(names)}", table)
    for key in table:
        if key not in names:
            raise unknown_choice("protocol key", key, names)
    return dict(table)


def _built(kind: type, row: dict[str, Any]) -> Any:
    try:
        return kind(**row)
    except TypeError as error:
        raise BadSettings("every key of a protocol", str(error), "complete it") from error
