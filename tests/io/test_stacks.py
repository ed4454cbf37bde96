"""What one DICOM series holds: every volume apart, duplicates once, doubt refused."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from pydicom import dcmread

from bmepipe.io.dicom import load, load_folder
from bmepipe.io.scan import scan

SHARED_UID = "1.2.826.0.1.3680043.8.498.77"


def two(series, same, first=None, second=None, **second_options):
    """Write two volumes of one SeriesInstanceUID at one place and check that both come back."""
    a = series("s", seed=1, series_uid=SHARED_UID, edit=first)
    b = series("s", seed=2, series_uid=SHARED_UID, edit=second, **second_options)
    found = load_folder(a.folder)
    assert len(found) == 2
    for made in (a, b):
        [match] = [f for f in found if abs(float(f[1].sum()) - made.data.sum()) < 1]
        same(match[1], match[2], made)
    return scan(a.folder).series


def setting(**tags):
    def edit(ds, k):
        for name, value in tags.items():
            setattr(ds, name, value(k) if callable(value) else value)

    return edit


TOLD_APART = {
    "echo time": (setting(), setting(EchoTime=90)),
    "phase": (setting(), setting(ImageType=["ORIGINAL", "PRIMARY", "P", "NORM"])),
    "image type": (setting(), setting(ImageType=["ORIGINAL", "PRIMARY", "M", "ND"])),
    "temporal position": (
        setting(TemporalPositionIdentifier=1),
        setting(TemporalPositionIdentifier=2),
    ),
    "acquisition number": (setting(), setting(AcquisitionNumber=2)),
    "inversion time": (setting(InversionTime=100), setting(InversionTime=200)),
    "trigger time": (setting(TriggerTime=0), setting(TriggerTime=2000)),
    "flip angle": (setting(FlipAngle=90), setting(FlipAngle=150)),
    "series number": (setting(), setting(SeriesNumber=4)),
    "frame of reference": (setting(), setting(FrameOfReferenceUID="1.2.3.5")),
    "Dixon image": (
        setting(ImageType=["DERIVED", "PRIMARY", "M", "W"]),
        setting(ImageType=["DERIVED", "PRIMARY", "M", "F"]),
    ),
    "volume after volume": (setting(), setting(InstanceNumber=lambda k: 8 + k)),
    "slice after slice": (
        setting(InstanceNumber=lambda k: 2 * k + 1),
        setting(InstanceNumber=lambda k: 2 * k + 2),
    ),
}


@pytest.mark.parametrize(("first", "second"), TOLD_APART.values(), ids=TOLD_APART)
def test_two_volumes_at_one_place_are_told_apart(series, same, first, second):
    two(series, same, first, second)


def test_matrix_sizes_and_spacings_are_told_apart(series, same):
    two(series, same, shape=(15, 17, 7))


def test_orientations_are_told_apart(series, same):
    parts = two(series, same, orientation=(1, 0, 0, 0, 0, -1))
    assert [s.role for s in parts] == ["localizer", "localizer"]
    assert [s.parts for s in parts] == [2, 2]


def test_images_that_nothing_tells_apart_are_refused(series):
    a = series("s", seed=1, series_uid=SHARED_UID)
    series("s", seed=2, series_uid=SHARED_UID)
    assert load_folder(a.folder) == []
    [found] = scan(a.folder).series
    assert "14 images lie at 7 positions" in found.refusal


def test_a_volume_that_lacks_slices_of_its_siblings_is_refused(series, same):
    a = series("s", seed=1, series_uid=SHARED_UID, edit=setting(TemporalPositionIdentifier=1))
    series(
        "s", seed=2, series_uid=SHARED_UID, edit=setting(TemporalPositionIdentifier=2), skip=(5, 6)
    )
    [(_, array, affine)] = load_folder(a.folder)
    same(array, affine, a)
    assert "incomplete: 5 of the 7" in " ".join(s.refusal for s in scan(a.folder).series)


def test_copies_are_taken_once(series, same):
    made = series()
    for file in made.files[:4]:
        shutil.copy(file, file.with_name("copy" + file.name))
    [(_, array, affine)] = load_folder(made.folder)
    same(array, affine, made)
    [found] = scan(made.folder).series
    assert found.notes == ("4 duplicate images passed over",)


def test_copies_under_a_new_uid_are_taken_once_if_their_pixels_agree(series, same):
    made = series()
    for n, file in enumerate(made.files[:4]):
        ds = dcmread(file)
        ds.SOPInstanceUID = f"1.2.9.{n}"
        ds.save_as(file.with_name("copy" + file.name))
    [(_, array, affine)] = load_folder(made.folder)
    same(array, affine, made)


def test_one_uid_for_all_instances_loses_no_slice(series, same):
    made = series(edit=setting(SOPInstanceUID="1.2.7"))
    [(_, array, affine)] = load_folder(made.folder)
    same(array, affine, made)
    [found] = scan(made.folder).series
    volume = load(found)
    same(volume.data, volume.grid.affine, made)


def test_same_uid_and_other_pixels_is_no_copy(series):
    made = series()
    ds = dcmread(made.files[0])
    ds.PixelData = bytes(np.frombuffer(ds.PixelData, np.uint8)[::-1] & 7)
    ds.save_as(made.folder / "impostor")
    assert load_folder(made.folder) == []


def test_blank_series_uids_fall_back_to_folder_and_number(series):
    a = series("study/a", edit=setting(SeriesInstanceUID=""))
    series("study/b", edit=setting(SeriesInstanceUID="", SeriesNumber=9), seed=4)
    assert len(load_folder(a.folder.parent)) == 2
