"""What is known of a body site: its bones and the values of the contrast rule."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import resources
from types import MappingProxyType
from typing import Any

from bmepipe.errors import BadSettings, unknown_choice

# What is added to the label of a bone where a scan shows both sides.
SIDES: Mapping[str, int] = MappingProxyType({"right": 10, "left": 20})


@dataclass(frozen=True)
class Bone:
    """A bone of a site: its value in label maps, its name and its SNOMED CT concept.

    `snomed_code` is the concept's identifier in SNOMED CT; where the standard's context groups have
    none for the very bone it is that of "Bone" and the name says which.
    """

    label: int
    name: str
    snomed_code: str
    snomed_meaning: str


@dataclass(frozen=True)
class ContrastRule:
    """Values of the signal-contrast rule for one class of fat-suppressed sequence.

    Parameters
    ----------
    seed_sd, grow_sd : float
        A lesion holds at least one voxel above `seed_sd` and grows down to `grow_sd`, both in
        robust standard deviations above the normal marrow of its bone (hysteresis).
    seed_ratio, grow_ratio : float
        The same as a ratio to the centre of the normal marrow: both must be passed, so that a very
        even marrow does not turn its own texture into lesions.
    min_lesion_mm3 : float
        Candidates smaller than this are specks.
    source : str
        Where the values come from.
    quiet_share : float
        Share of the contrast (ratio above 1) that is still asked for in the quietest marrow of
        scans with a T1; see `analysis.contrast.quietness`. 1 asks for all of it everywhere.
    fluid_ratio : float, optional
        Peak over normal marrow that only fluid reaches: 1.3 times intense edema's. None where it is
        not known.
    """

    seed_sd: float
    grow_sd: float
    seed_ratio: float
    grow_ratio: float
    min_lesion_mm3: float
    source: str
    quiet_share: float = 1.0
    fluid_ratio: float | None = None


@dataclass(frozen=True)
class Site:
    """A body site.

    Parameters
    ----------
    name, title : str
        Key, and heading for readers.
    snomed_code, snomed_meaning : str
        The region examined, for DICOM.
    bones : tuple of Bone
    planes : tuple of str
        Planes in the order in which readers prefer them for this site.
    marrow_margin_mm : float
        Cortex and partial volume: voxels of a bone nearer than this to its surface are no marrow.
    rules : mapping of str to ContrastRule
        By sequence class: "PD-FS", "T2-FS", "STIR".
    model : str
        Name of the bone model's folder; empty where none exists yet.
    words : tuple of str
        Lower-case words that name the site in DICOM headers.
    shown_ml : mapping of str to float
        Kinds of bone that every scan of the site shows, and how much of each at least; by these the
        site is told from images.
    beside : tuple of str
        Other sites that one scan may show as well.
    paired : bool
        Whether the body has two of it, which one scan may show together (`both_sides`).
    joint_reach_mm : float, optional
        For a site that is a joint between two bones: candidates farther than this from its line are
        not edema of this joint and are rejected with that reason. None: no such rule.
    joint_between : tuple of tuple of str
        The bones on either side of that joint, where labels tell them apart.
    """

    name: str
    title: str
    snomed_code: str
    snomed_meaning: str
    bones: tuple[Bone, ...]
    planes: tuple[str, ...]
    marrow_margin_mm: float
    rules: Mapping[str, ContrastRule]
    model: str = ""
    words: tuple[str, ...] = ()
    joint_reach_mm: float | None = None
    shown_ml: Mapping[str, float] = field(default_factory=dict)
    joint_between: tuple[tuple[str, ...], ...] = ()
    beside: tuple[str, ...] = ()
    paired: bool = False

    def bone(self, label: int) -> Bone:
        """Return the bone with this label; KeyError if the site has none."""
        for bone in self.bones:
            if bone.label == label:
                return bone
        raise KeyError(f"{self.name} has no bone with label {label}")

    @property
    def labels(self) -> tuple[int, ...]:
        """The labels of the bones, in order."""
        return tuple(bone.label for bone in self.bones)


def both_sides(site: Site) -> Site:
    """Return a paired site as a scan of both sides shows it; any other as it is.

    Every bone is there twice: `femur_right` under the label of the femur and 10, `femur_left` under
    that and 20.

    Examples
    --------
    >>> [f"{bone.label} {bone.name}" for bone in both_sides(load_site("knee")).bones][:5]
    ['11 femur_right', '12 tibia_right', '13 patella_right', '14 fibula_right', '21 femur_left']
    """
    if not site.paired:
        return site
    bones = [
        replace(bone, label=bone.label + added, name=f"{bone.name}_{side}")
        for side, added in SIDES.items()
        for bone in site.bones
    ]
    return replace(site, bones=tuple(bones), paired=False)


def site_names() -> list[str]:
    """Return the names of the known sites, sorted."""
    folder = resources.files("bmepipe") / "sites"
    return sorted(f.name[: -len(".toml")] for f in folder.iterdir() if f.name.endswith(".toml"))


def load_site(name: str) -> Site:
    """Return the site called `name`.

    Raises
    ------
    UnknownChoice
        Listing the known sites.

    Examples
    --------
    >>> [bone.name for bone in load_site("knee").bones]
    ['femur', 'tibia', 'patella', 'fibula']
    """
    if name not in site_names():
        raise unknown_choice("site", name, site_names())
    text = (resources.files("bmepipe") / "sites" / f"{name}.toml").read_text(encoding="utf-8")
    return parse_site(name, tomllib.loads(text))


def parse_site(name: str, table: dict[str, Any]) -> Site:
    """Return the site that a parsed TOML table describes.

    Raises
    ------
    BadSettings
        Naming the missing or unknown key, or a label that is used twice.
    """
    bones = tuple(_build(Bone, row, f"{name}: bone") for row in table.pop("bones", []))
    if len({bone.label for bone in bones}) != len(bones):
        raise BadSettings(f"{name}: one label per bone", "a label used twice", "renumber the bones")
    rules = {
        key: _build(ContrastRule, row, f"{name}: rules.{key}")
        for key, row in table.pop("rules", {}).items()
    }
    row = {**table, "name": name, "bones": bones, "rules": MappingProxyType(rules)}
    row["shown_ml"] = MappingProxyType(dict(row.get("shown_ml", {})))
    row["planes"], row["words"] = tuple(row.get("planes", ())), tuple(row.get("words", ()))
    row["joint_between"] = tuple(map(tuple, row.get("joint_between", ())))
    row["beside"] = tuple(row.get("beside", ()))
    return _build(Site, row, name)


def _build(kind: type, row: dict[str, Any], where: str) -> Any:
    known = {f.name for f in fields(kind)}
    if set(row) - known:
        raise BadSettings(
            f"{where}: keys among {', '.join(sorted(known))}",
            ", ".join(sorted(set(row) - known)),
            "correct the site file",
        )
    try:
        return kind(**row)
    except TypeError as error:
        raise BadSettings(f"{where}: every key", str(error), "complete the site file") from error
