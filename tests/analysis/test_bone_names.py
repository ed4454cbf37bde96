"""Other tools' label maps: each bone is taken, missing or left out, and said so."""

from __future__ import annotations

import numpy as np
import pytest

from bmepipe.analysis.bone_names import TASKS, own_name, rename_bones, task_names
from bmepipe.errors import UnknownChoice, UnknownLabels
from bmepipe.site import load_site
from bmepipe.volume import Grid, Volume


def labelled(*numbers: int) -> Volume:
    data = np.zeros((len(numbers), 2, 3), np.uint16)
    data[:, 0, 0] = numbers
    return Volume(data, Grid(data.shape, np.diag([0.7, 0.8, 3.0, 1.0])))


@pytest.mark.parametrize(
    ("site", "task", "label", "bone"),
    [
        ("lumbar", "vertebrae_mr", 2, "L5"), ("lumbar", "vertebrae_mr", 7, "T12"),
        ("lumbar", "vertebrae_mr", 1, "sacrum"), ("cervical", "vertebrae_mr", 24, "C2"),
        ("cervical", "vertebrae_mr", 18, "T1"), ("sacroiliac", "total_mr", 38, "ilium_left"),
        ("sacroiliac", "total_mr", 39, "ilium_right"), ("sacroiliac", "vertebrae_mr", 2, "L5"),
        ("hip", "total_mr", 37, "femur"), ("shoulder", "total_mr", 34, "clavicle"),
        ("shoulder", "total_mr", 31, "humerus"), ("knee", "appendicular_bones_mr", 1, "patella"),
        ("ankle", "appendicular_bones_mr", 3, "fibula"), ("knee", "total_mr", 36, "femur"),
    ],
)  # fmt: skip
def test_totalsegmentators_labels_find_their_bone(
    site: str, task: str, label: int, bone: str
) -> None:
    known = load_site(site)
    renamed, report = rename_bones(labelled(label), task_names(task), known)
    (number,) = [b.label for b in known.bones if b.name == bone]
    assert np.unique(renamed.data).tolist() == [0, number]
    assert report[0] == f"label map given: {bone} from {TASKS[task][label]}"


def test_a_half_matching_map_is_reported_bone_by_bone() -> None:
    names = {3: "femur_left", 4: "spleen", 9: "tibia"}
    renamed, report = rename_bones(labelled(3, 4, 9, 12), names, load_site("knee"))
    assert renamed.data[:, 0, 0].tolist() == [1, 0, 2, 0]
    assert report == (
        "label map given: femur from femur_left, tibia from tibia",
        "label map given: without patella, fibula",
        "given label 4 'spleen' is no bone of this site, left out",
        "given label 12 has no name, left out",
    )


def test_both_sides_of_one_bone_are_told_apart() -> None:
    names = task_names("total_mr")
    renamed, report = rename_bones(labelled(36, 37, 38), names, load_site("hip"))
    assert renamed.data[:, 0, 0].tolist() == [21, 11, 0]
    assert "femur_left from femur_left, femur_right from femur_right" in report[0]
    # One side only needs no side in its name; a spine has none at all.
    assert rename_bones(labelled(37), names, load_site("hip"))[0].data.max() == 1
    sacroiliac, _ = rename_bones(labelled(38, 39), names, load_site("sacroiliac"))
    assert np.unique(sacroiliac.data).tolist() == [0, 3, 4]


def test_several_names_that_are_no_bones_stand_in_one_line() -> None:
    _, report = rename_bones(labelled(1, 2, 3), {1: "femur", 2: "foo", 3: "bar"}, load_site("knee"))
    assert report[-1] == "given labels 2 'foo', 3 'bar' are no bones of this site, left out"


@pytest.mark.parametrize("name", ["left ilium", "Left Ilium", "LEFT_ILIUM", "ilium left"])
def test_names_are_taken_as_a_report_shows_them(name: str) -> None:
    assert own_name(name, load_site("sacroiliac")) == "ilium_left"
    renamed, _ = rename_bones(
        labelled(1, 2),
        {1: name.lower().replace("ilium", "femur"), 2: "right femur"},
        load_site("hip"),
    )
    assert renamed.data[:, 0, 0].tolist() == [21, 11]


def test_a_map_without_any_bone_of_the_site_is_refused() -> None:
    with pytest.raises(UnknownLabels, match="without any: given label 18 'sacrum' is no bone"):
        rename_bones(labelled(18), task_names("total_mr"), load_site("knee"))


def test_bones_that_a_site_does_not_tell_apart_are_not_guessed() -> None:
    assert own_name("vertebrae", load_site("lumbar")) is None
    assert own_name("tarsal", load_site("ankle")) is None
    assert own_name("hip_left", load_site("hip")) is None


def test_an_unknown_task_lists_the_known_ones() -> None:
    with pytest.raises(UnknownChoice, match="vertebrae_mr"):
        task_names("total")
