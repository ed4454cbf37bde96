"""Print what rule, network and both find, with and without a T1, on phantoms and on real scans.

    python scripts/edema_table.py [--sites knee,hip] [--seeds 5-6] [--healthy 103]
                                  [--matrix 256] [--confounders all] [--bones true]
                                  [--t1 both|with|without] [--cache FOLDER] [--readers [FOLDER]]

Phantoms of seeds below 1000, which no training has seen. Where fat suppression failed nothing can
be counted: edema there is left out of Dice, lesions and volumes; "failed flagged" are the cases in
which the program excludes at least half of that marrow. `--readers` adds the sacroiliac scans that
`sij_table.py` describes, which are local data, in the regions drawn by hand and with the
network's bones. `--cache` keeps the phantoms, some 20 s each, in a
folder outside the repository.
"""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from phantom_table import COUNTED_ML, LARGE, find_bones, numbers, pair_of
from sij_table import FOLDER, case_folders, read_case

from bmepipe.analysis.agreement import dice, lesion_agreement
from bmepipe.analysis.decide import Decision, decide
from bmepipe.analysis.marrow import normal_marrow
from bmepipe.analysis.measurable import unmeasurable
from bmepipe.analysis.measure import measure
from bmepipe.analysis.quality import assess
from bmepipe.analysis.untold import without_parts
from bmepipe.bones import bone_model
from bmepipe.evaluate import evaluate_case, evaluate_cases
from bmepipe.models.detectors import DETECTORS
from bmepipe.phantom.anatomy import phantom_sites
from bmepipe.phantom.protocol import site_protocol
from bmepipe.phantom.study import make_phantom
from bmepipe.result import BoneMeasurement
from bmepipe.site import Site, load_site
from bmepipe.study import Pair
from bmepipe.volume import Volume


@dataclass(frozen=True, eq=False)
class Case:
    """A pair with its bones and the truth: voxels, mL by bone, and where suppression failed."""

    site: str
    pair: Pair
    bones: Volume
    edema: Volume
    truth_ml: dict[str, float]
    failed: Volume

    @property
    def can_be_seen(self) -> Volume:
        """The edema outside the failed region: within it nothing may be called edema."""
        return self.edema.with_data(self.edema.data & ~self.failed.data)


@dataclass
class Tally:
    """What one way of finding did over the cases of one site."""

    dices: list[float] = field(default_factory=list)
    found: int = 0
    large: int = 0
    false: list[int] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    inside: list[bool] = field(default_factory=list)
    healthy_ml: list[float] = field(default_factory=list)
    flagged: list[float] = field(default_factory=list)

    def add(
        self, edema: Volume, rows: tuple[BoneMeasurement, ...], case: Case, assessable: Volume
    ) -> None:
        """Count one case."""
        if case.failed.data.any():
            self.flagged.append(float(np.mean(~assessable.data[case.failed.data])))
        if not case.edema.data.any():
            self.healthy_ml.append(sum(row.edema_ml or 0 for row in rows))
            return
        truth = case.can_be_seen
        overlap = dice(edema.data, truth.data)
        self.dices.append(np.nan if overlap is None else overlap)
        lesions = lesion_agreement(edema.data, truth.data, truth.grid)
        sizes = [lesions.by_size[size] for size in LARGE]
        self.found += sum(size[0] for size in sizes)
        self.large += sum(size[1] for size in sizes)
        self.false.append(lesions.false)
        for row in rows:
            real = case.truth_ml.get(row.bone, 0.0)
            if real > COUNTED_ML and row.edema_ml is not None and _is_whole(row.bone, case):
                self.errors.append(100 * abs(row.edema_ml - real) / real)
                low, high = row.edema_ml_low or 0.0, row.edema_ml_high or 0.0
                self.inside.append(low <= real <= high)

    def line(self) -> str:
        """Return the columns of the table."""
        healthy = f"{max(self.healthy_ml):.2f}" if self.healthy_ml else "-"
        return (
            f"{_mean(self.dices):.2f} | {self.found} of {self.large} | {_mean(self.false):.1f} | "
            f"{_mean(self.errors):.0f} % | {sum(self.inside)} of {len(self.inside)} | {healthy} | "
            f"{sum(share >= 0.5 for share in self.flagged)} of {len(self.flagged)}"
        )


def _is_whole(bone: str, case: Case) -> bool:
    """Say whether a bone's edema lies outside the failed region, but for a twentieth."""
    label = next(b.label for b in load_site(case.site).bones if b.name == bone)
    own = case.edema.data & (case.bones.data == label)
    return bool(np.count_nonzero(own & case.failed.data) <= 0.05 * np.count_nonzero(own))


def _mean(values: list) -> float:
    return float(np.mean(values)) if values else float("nan")


def phantom_case(site: str, seed: int, healthy: bool, arguments: argparse.Namespace) -> Case:
    """Return a phantom as a case, from the cache if it is there."""
    name = f"{site}_{seed}_{healthy}_{arguments.confounders}_{arguments.matrix}.pickle"
    path = arguments.cache / name if arguments.cache else None
    if path is not None and path.exists():
        with path.open("rb") as file:
            return pickle.load(file)  # noqa: S301 (a file of our own)
    protocol = site_protocol(site)
    pixel_mm = protocol.pixel_mm * protocol.matrix / arguments.matrix
    phantom = make_phantom(
        site,
        seed,
        healthy=healthy,
        protocol=replace(protocol, matrix=arguments.matrix, pixel_mm=pixel_mm),
        confounders=[name for name in arguments.confounders.split(",") if name],
    )
    truth = {row.bone: row.edema_ml or 0.0 for row in phantom.measurements}
    bones = find_bones(phantom, arguments.bones)
    case = Case(site, pair_of(phantom), bones, phantom.edema, truth, phantom.not_assessable)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(case))
    return case


def ways(
    pair: Pair, bones: Volume, site: Site, chosen_t1: str = "both"
) -> Iterator[tuple[str, Decision, Volume]]:
    """Yield each way's name, what it finds and what it could judge."""
    for t1, words in ((pair.t1, ""), (None, ", no T1")):
        if chosen_t1 == ("with" if t1 is None else "without"):
            continue
        seen = replace(pair, t1=t1)
        assessable, _ = assess(seen, bones, site)
        both = DETECTORS["both"]
        marrow = normal_marrow(seen, bones, site)
        probabilities = [
            None if detect is None else detect(seen, bones, site, marrow)
            for detect in (both.rule, both.model)
        ]
        for name, chosen in (("rule", (1, 0)), ("network", (0, 1)), ("both", (1, 1))):
            rule, model = (
                probability if used else None
                for probability, used in zip(probabilities, chosen, strict=True)
            )
            decision = decide(rule, model, seen, bones, assessable, site, marrow)
            yield name + words, decision, without_parts(assessable, decision.found.untold)


def print_phantoms(arguments: argparse.Namespace) -> None:
    print(
        "| site | way | Dice | large found | false a case | volume error | in interval | healthy "
        "| failed flagged |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    every: dict[str, Tally] = {}
    for name in arguments.sites.split(","):
        site = load_site(name)
        own: dict[str, Tally] = {}
        sick, healthy = numbers(arguments.seeds), numbers(arguments.healthy)
        for seed in sick + healthy:
            case = phantom_case(name, seed, seed in healthy, arguments)
            for way, decision, assessable in ways(case.pair, case.bones, site, arguments.t1):
                found = decision.found
                reasons = unmeasurable(case.pair, case.bones, assessable, found)
                rows = measure("phantom", case.pair, case.bones, assessable, found, site, reasons)
                for tallies in (own, every):
                    tallies.setdefault(way, Tally()).add(found.edema, rows, case, assessable)
        for way, tally in own.items():
            print(f"| {name} | {way} | {tally.line()} |", flush=True)
    for way, tally in every.items():
        print(f"| all | {way} | {tally.line()} |")


def print_readers(folder: Path, whose: str) -> None:
    """Print agreement with readers, in the region drawn by hand or in the network's bones."""
    site = load_site("sacroiliac")
    found: dict[str, list] = {}
    for case in case_folders(folder):
        pair, bones, readings = read_case(case, site)
        if whose == "network":
            bones = bone_model(pair, site)
        for way, decision, _ in ways(pair, bones, site):
            agreement = evaluate_case(case.name, decision.found.edema, readings)
            found.setdefault(way, []).append(agreement)
    print(f"\nbones: {whose}\n| way | mean Dice | per patient | false lesions |\n|---|---|---|---|")
    for way, cases in found.items():
        mean = evaluate_cases(cases).mean_dice
        each = " ".join(f"{case.voxels.dice or 0:.2f}" for case in cases)
        false = " ".join(str(case.lesions.false) for case in cases)
        print(f"| {way} | {mean or 0:.2f} | {each} | {false} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", default=",".join(phantom_sites()))
    parser.add_argument("--seeds", default="5-6")
    parser.add_argument("--healthy", default="103")
    parser.add_argument("--matrix", type=int, default=256)
    parser.add_argument("--confounders", default="all")
    parser.add_argument("--bones", choices=("true", "grown", "shrunk"), default="true")
    parser.add_argument("--t1", choices=("both", "with", "without"), default="both")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--readers", type=Path, nargs="?", const=FOLDER)
    arguments = parser.parse_args()
    if arguments.sites:
        print_phantoms(arguments)
    if arguments.readers is not None:
        for whose in ("region", "network"):
            print_readers(arguments.readers, whose)


if __name__ == "__main__":
    main()
