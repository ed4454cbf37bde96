"""Names of labels: from a CSV, or from a NIfTI file's own table."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from bmepipe.errors import BadSettings, StudyNotFound
from bmepipe.io.label_names import names_of_csv, names_of_nifti


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("heading", ["", "label,name\n", "\ufeffLabel, Name\n"])
def test_a_csv_gives_names_with_and_without_a_heading(tmp_path: Path, heading: str) -> None:
    path = written(tmp_path / "names.csv", heading + "1,femur\n\n 5 , tibia ,more\n")
    assert names_of_csv(path) == {1: "femur", 5: "tibia"}


@pytest.mark.parametrize(
    ("text", "told"),
    [("1,femur\nfemur,2\n", "line 2"), ("1\n", "line 1"), ("1,a\n1,b\n", "1 twice"),
     ("-1,femur\n", "line 1")],
)  # fmt: skip
def test_what_is_no_label_and_name_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(BadSettings, match=told):
        names_of_csv(written(tmp_path / "names.csv", text))


@pytest.mark.parametrize("text", ["", "\n\n", "label,name\n"])
def test_a_csv_without_a_name_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadSettings, match=r"lines of label,name in names\.csv; got none"):
        names_of_csv(written(tmp_path / "names.csv", text))


def test_a_missing_csv_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyNotFound, match="no such file"):
        names_of_csv(tmp_path / "names.csv")


def test_a_table_in_the_file_is_read(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.ones((2, 3, 4), np.uint8), np.eye(4))
    table = (
        '<?xml version="1.0"?><CaretExtension><LabelTable>'
        '<Label Key="2" Red="1.0" Green="0" Blue="0" Alpha="1"><![CDATA[femur_left]]></Label>\n'
        '<Label Key="0" Red="0"><![CDATA[???]]></Label></LabelTable></CaretExtension>'
    )
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, table.encode()))
    nibabel.save(image, tmp_path / "labels.nii.gz")
    assert names_of_nifti(tmp_path / "labels.nii.gz") == {2: "femur_left"}


def test_a_file_without_a_table_has_no_names(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.ones((2, 3, 4), np.uint8), np.eye(4)), tmp_path / "a.nii")
    assert names_of_nifti(tmp_path / "a.nii") == {}
