"""Names of cases: of any script, and never another patient's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bmepipe.batch.case import Case
from bmepipe.batch.cases import find_cases
from bmepipe.batch.names import LONGEST_BYTES, Given, clean_name, named, named_as_before


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Patiënt Müller 1", "Patiënt_Müller_1"),
        ("Patie\u0308nt", "Patiënt"),  # as macOS stores it
        ("日本", "日本"),
        ("हिन्दी", "हिन्दी"),  # vowels are marks
        ('a/b\\c:d*e?f"g<h>i|j\tk', "a_b_c_d_e_f_g_h_i_j_k"),
        ("caf\udce9", "caf"),  # a byte that is no text
        ("../..", "case"),
    ],
)
def test_letters_are_kept_and_what_a_file_name_cannot_hold_is_not(text: str, name: str) -> None:
    assert clean_name(text) == name


def test_a_long_name_is_cut_between_letters() -> None:
    name = clean_name("日本" * 60)
    assert len(name.encode()) <= LONGEST_BYTES
    assert name != clean_name("日本" * 61)


def names_by_source(data: Path, file: Path) -> dict[str, str]:
    return {case.source: case.name for case in named_as_before(find_cases(data), file)}


def test_a_folder_that_is_added_takes_no_name_from_another(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "names.csv"
    (data / "site b").mkdir(parents=True)
    assert names_by_source(data, file) == {"site b": "site_b"}
    (data / "site  b").mkdir()  # before the other one in the alphabet
    added = {"site  b": "site_b-2", "site b": "site_b"}
    assert names_by_source(data, file) == added
    shutil.rmtree(data / "site b")
    (data / "site_b").mkdir()  # the name of one that is gone is not given again
    assert names_by_source(data, file) == {"site  b": "site_b-2", "site_b": "site_b-2-2"}


def test_a_row_that_is_added_takes_no_name_from_another(tmp_path: Path) -> None:
    manifest, file = tmp_path / "m.csv", tmp_path / "names.csv"
    manifest.write_text("case,path\np 1,z\n")
    assert names_by_source(manifest, file) == {"z": "p_1"}
    manifest.write_text("case,path\np/1,a\np 1,z\n")
    assert names_by_source(manifest, file) == {"a": "p_1-2", "z": "p_1"}


def test_a_study_keeps_its_name_when_another_joins_it_and_when_it_is_exported_again() -> None:
    def at(uid: str, *, alone: bool) -> Case:
        return Case("p", "p", None if alone else uid, known_as="p", uid=uid)

    def names(*cases: Case) -> dict[str, str]:
        return {case.uid: case.name for case in named(cases, [Given("p", "p", "1.2")])}

    assert names(at("1.1", alone=False), at("1.2", alone=False)) == {"1.1": "p-2", "1.2": "p"}
    assert names(at("1.9", alone=True)) == {"1.9": "p"}
    assert names(at("1.8", alone=False), at("1.9", alone=False)) == {"1.8": "p-2", "1.9": "p-3"}
