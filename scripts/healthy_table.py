"""Print how much edema is found in real scans of people without any, changed a little.

    python scripts/healthy_table.py [--shared ../shared] [--cases "knee 4,spine"] [--ways noisy]

Every fat-suppressed series of the knee and the spine with the T1 of the study, in whatever plane
that is, and without it; the water images alone. Nothing may be found. Changes are those of
`perturbed_bones.py`. Local data, never part of the project; without it the script says so and
stops. Some 8 s a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from perturbed_bones import LEAST_SLICES, MORE, arguments_of
from perturbed_table import WAYS

from bmepipe.analysis.align import align
from bmepipe.errors import BmepipeError
from bmepipe.io.nifti import load
from bmepipe.io.studies import load as load_series
from bmepipe.io.studies import open_study
from bmepipe.pipeline import analyse
from bmepipe.site import Site, load_site
from bmepipe.study import Pair, Role, SequenceClass

CHANGES = {**WAYS, **MORE}
STUDIES = (
    ("knee_dicom", "knee", SequenceClass.PD_FS),
    ("spine_dicom", "lumbar", SequenceClass.STIR),
)


def pairs(real: Path) -> Iterator[tuple[str, Pair, Site]]:
    """Yield each pair's name, its images and its site."""
    for folder, name, sequence_class in STUDIES:
        stacks = [s for s in open_study(real / folder).series if len(s.files) > LEAST_SLICES]
        t1 = load_series(next(s for s in stacks if s.role is Role.T1))
        for series in stacks:
            if series.role is Role.T2FS and not series.refusal:
                t2fs = load_series(series)
                words = f"{folder.split('_')[0]} {series.number} {series.description}"
                aligned, _ = align(t1, t2fs, same_frame=True)
                yield words, Pair(t2fs, aligned, sequence_class), load_site(name)
                yield f"{words}, no T1", Pair(t2fs, None, sequence_class), load_site(name)
    for path in sorted((real / "lumbar_nifti").glob("dixon_water_0?.nii.gz")):
        alone = Pair(load(path), None, SequenceClass.T2_FS)
        yield path.name.split(".")[0], alone, load_site("lumbar")


def line(pair: Pair, way: str, site: Site) -> str:
    """Return the mL found, all and by bone, or the refusal."""
    images = (pair.t2fs, pair.t1)
    t2fs, t1 = (None if v is None else CHANGES[way](v, n) for n, v in enumerate(images))
    assert t2fs is not None
    try:
        found = analyse(Pair(t2fs, t1, pair.sequence_class), site)
    except BmepipeError as refusal:
        return f"refused: {refusal}"
    bones = {row.bone: row.edema_ml for row in found.measurements if row.edema_ml}
    each = ", ".join(f"{bone} {ml:.2f}" for bone, ml in bones.items())
    return f"{sum(bones.values()):.2f} | {each}"


def main() -> None:
    arguments = arguments_of(__doc__, CHANGES)
    if arguments is None:
        return
    print("| scan | change | mL | by bone |\n|---|---|---|---|")
    for name, pair, site in pairs(arguments.shared / "real"):
        if name.startswith(tuple(arguments.cases.split(","))):
            for way in arguments.ways.split(","):
                print(f"| {name} | {way} | {line(pair, way, site)} |", flush=True)


if __name__ == "__main__":
    main()
