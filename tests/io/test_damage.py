"""Damaged files give a refusal or the right volume; the long run is scripts/fuzz_dicom.py."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread, uid

from bmepipe.errors import BmepipeError
from bmepipe.io.dicom import load_folder
from bmepipe.io.elements import DamagedHeader, NotDicom, read_header

_spec = importlib.util.spec_from_file_location("damage", Path(__file__).with_name("damage.py"))
damage = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(damage)


@pytest.fixture(scope="module")
def originals(tmp_path_factory, request):
    """A series of five slices in three encodings, as bytes, with what reading them gives."""
    spec = importlib.util.spec_from_file_location("made", Path(__file__).with_name("conftest.py"))
    make = importlib.util.module_from_spec(spec)
    sys.modules["made"] = make
    spec.loader.exec_module(make)
    found = []
    for syntax in (uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.JPEGLSLossless):
        folder = tmp_path_factory.mktemp("seed")
        make.write_series(folder, syntax=syntax, shape=(11, 9, 5))
        found.append((sorted(p.read_bytes() for p in folder.iterdir()), load_folder(folder)))
    return found


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    which=st.integers(0, 2),
    victim=st.integers(0, 4),
    kind=st.sampled_from(damage.DAMAGES),
    seed=st.integers(0, 2**31),
)
def test_a_damaged_file_is_refused_or_read_right(originals, tmp_path, which, victim, kind, seed):
    files, [(_, data, affine)] = originals[which]
    for n, content in enumerate(files):
        damaged = kind(content, np.random.default_rng(seed)) if n == victim else content
        (tmp_path / str(n)).write_bytes(damaged)
    try:
        found = load_folder(tmp_path)
    except BmepipeError:
        return
    for _, array, place in found:
        if array.shape[2] < 3:
            continue
        index = np.linalg.solve(affine, place)
        assert np.abs(index[:3, :3] - np.eye(3)).max() < 0.03
        first = round(index[2, 3])
        right = [np.array_equal(array[..., k], data[..., first + k]) for k in range(array.shape[2])]
        assert right.count(False) <= 1


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=400))
def test_any_bytes_are_no_header(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes"
    for head in (b"", b"\0" * 128 + b"DICM", b"\x08\x00\x05\x00"):
        path.write_bytes(head + content)
        with contextlib.suppress(NotDicom, DamagedHeader):
            read_header(path)


TAGS = [name for name in damage._TYPE_1 if "Functional" not in name and name != "NumberOfFrames"]


@pytest.mark.parametrize("everywhere", [False, True], ids=["one slice", "all slices"])
@pytest.mark.parametrize("name", TAGS)
def test_without_a_tag_it_is_refused_or_read_right(series, same, name, everywhere):
    made = series()
    for file in made.files if everywhere else made.files[3:4]:
        ds = dcmread(file)
        delattr(ds, name)
        ds.save_as(file)
    try:
        found = load_folder(made.folder)
    except BmepipeError:
        return
    for _, array, affine in found:
        if array.shape[2] > 2:
            same(array, affine, made)


def test_deep_nesting_is_refused(originals, tmp_path):
    content = originals[0][0][0]
    for seed in range(4):
        (tmp_path / "deep").write_bytes(damage.nested(content, np.random.default_rng(seed)))
        with pytest.raises(DamagedHeader, match=r"nested|claims|would end"):
            read_header(tmp_path / "deep")
