"""Classic and enhanced series to volumes: right, or refused with the reason."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import uid

from bmepipe.errors import IrregularSeries, NoMrSeries, UnreadablePixels
from bmepipe.io.dicom import load, load_folder
from bmepipe.io.scan import scan

LOSSLESS = {
    "implicit": uid.ImplicitVRLittleEndian,
    "explicit": uid.ExplicitVRLittleEndian,
    "big endian": uid.ExplicitVRBigEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
    "RLE": uid.RLELossless,
    "JPEG lossless SV1": uid.JPEGLosslessSV1,
    "JPEG lossless": uid.JPEGLossless,
    "JPEG-LS": uid.JPEGLSLossless,
    "JPEG 2000": uid.JPEG2000Lossless,
}


@pytest.mark.parametrize("syntax", LOSSLESS.values(), ids=LOSSLESS)
def test_lossless_syntaxes_are_exact(series, same, syntax):
    shape = (40, 34, 3)  # JPEG 2000 cannot be smaller
    made = series(syntax=syntax, shape=shape)
    [(found, array, affine)] = load_folder(made.folder)
    assert found == made.uid
    assert array.dtype == np.float32
    assert array.flags.f_contiguous
    same(array, affine, made)


def test_jpeg_baseline_is_read_as_it_was_written(series, same):
    def eight_bits(ds, k):
        values = (np.frombuffer(ds.PixelData, "<u2") // 16).astype(np.uint8)
        ds.set_pixel_data(values.reshape(ds.Rows, ds.Columns), "MONOCHROME2", 8)

    made = series(syntax=uid.JPEGBaseline8Bit, edit=eight_bits, shape=(40, 34, 3))
    [(_, array, affine)] = load_folder(made.folder)
    made.data = made.data // 16
    same(array, affine, made, tolerance=90)  # lossy, on a pattern without smoothness


def test_every_slice_remembers_its_instance(series):
    made = series()
    [found] = scan(made.folder).series
    volume = load(found)
    import pydicom

    for k, source in enumerate(volume.slices):
        [file] = [
            f for f in made.files if pydicom.dcmread(f).SOPInstanceUID == source.sop_instance_uid
        ]
        ds = pydicom.dcmread(file)
        origin = volume.grid.lps_affine @ [0, 0, k, 1]
        np.testing.assert_allclose(origin[:3], ds.ImagePositionPatient, atol=1e-6)
        np.testing.assert_array_equal(volume.data[:, :, k], ds.pixel_array.T)


def test_rescale_per_slice(series, same):
    def edit(ds, k):
        ds.RescaleSlope, ds.RescaleIntercept = 1 + k / 2, -k

    made = series(edit=edit)
    made.data = made.data * (1 + np.arange(7) / 2) - np.arange(7)
    [(_, array, affine)] = load_folder(made.folder)
    same(array, affine, made)


def test_signed_pixels(series, same):
    def edit(ds, k):
        values = np.frombuffer(ds.PixelData, "<u2").astype(np.int32) - 2048
        ds.PixelData, ds.PixelRepresentation = values.astype("<i2").tobytes(), 1

    made = series(edit=edit)
    made.data = made.data - 2048
    [(_, array, affine)] = load_folder(made.folder)
    same(array, affine, made)


def test_overlays_in_spare_bits_are_taken_off(series, same):
    def edit(ds, k):
        values = np.frombuffer(ds.PixelData, "<u2") | np.uint16(0x8000)
        ds.PixelData = values.astype("<u2").tobytes()
        ds.add_new(0x60000102, "US", 15)

    [(_, array, affine)] = load_folder((made := series(edit=edit)).folder)
    same(array, affine, made)


def test_values_above_the_stored_bits_are_refused(series):
    def edit(ds, k):
        ds.PixelData = (np.frombuffer(ds.PixelData, "<u2") | np.uint16(0x4000)).tobytes()

    [found] = scan(series(edit=edit).folder).series
    with pytest.raises(UnreadablePixels, match="12 stored bits"):
        load(found)


@pytest.mark.parametrize("frame_types", [("NONE",), ("WATER", "FAT", "IN_PHASE", "OUT_PHASE")])
@pytest.mark.parametrize("echoes", [(12.0,), (12.0, 90.0)])
def test_enhanced_is_split_by_echo_and_image(enhanced, same, echoes, frame_types):
    made = enhanced(echoes=echoes, frame_types=frame_types, slopes=(1.0, 2.5, 0.5))
    found = load_folder(made[0].folder)
    assert len(found) == len(echoes) * len(frame_types)
    for expected in made:
        matching = [f for f in found if np.abs(f[1][0, 0, :].sum() - expected.data[0, 0].sum()) < 1]
        assert matching
        same(matching[0][1], matching[0][2], expected)


@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.RLELossless, uid.JPEGLSLossless])
def test_enhanced_compressed(enhanced, same, syntax):
    [made] = enhanced(syntax=syntax, shape=(40, 34, 3))
    [(_, array, affine)] = load_folder(made.folder)
    same(array, affine, made)


def test_enhanced_with_too_few_groups_is_refused(enhanced):
    def edit(ds):
        ds.PerFrameFunctionalGroupsSequence = ds.PerFrameFunctionalGroupsSequence[:-1]

    [made] = enhanced(edit=edit)
    assert load_folder(made.folder) == []
    [found] = scan(made.folder).series
    assert "ImagePositionPatient is missing" in found.refusal


def test_a_refused_series_says_why_when_loaded(series):
    [found] = scan(series(skip=(3,)).folder).series
    with pytest.raises(IrregularSeries, match="1 slice is missing"):
        load(found)


def test_files_that_change_after_the_scan_are_noticed(series):
    made = series()
    [found] = scan(made.folder).series
    made.files[2].unlink()
    with pytest.raises(IrregularSeries, match="6 of 7"):
        load(found)


def test_a_folder_without_images(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(NoMrSeries, match="1 file"):
        load_folder(tmp_path)
