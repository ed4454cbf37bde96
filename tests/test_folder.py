"""Output folders: whole or not at all, and never over something else."""

import pytest

from bmepipe.errors import OutputExists, WriterFailed
from bmepipe.folder import whole_or_not_at_all


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_result_appears_when_the_block_ends(tmp_path):
    out = tmp_path / "deep" / "out"
    with whole_or_not_at_all(out) as folder:
        (folder / "a.txt").write_text("1")
        assert not out.exists()
    assert names(out) == [".bmepipe", "a.txt"]
    assert names(out.parent) == ["out"]


def test_an_earlier_result_is_replaced_whole(tmp_path):
    out = tmp_path / "out"
    for name in ("old.txt", "new.txt"):
        with whole_or_not_at_all(out) as folder:
            (folder / name).write_text("1")
    assert names(out) == [".bmepipe", "new.txt"]
    assert names(tmp_path) == ["out"]


def test_nothing_is_left_after_a_failure_and_the_old_result_stays(tmp_path):
    out = tmp_path / "out"
    with whole_or_not_at_all(out) as folder:
        (folder / "old.txt").write_text("1")
    with pytest.raises(KeyboardInterrupt), whole_or_not_at_all(out) as folder:
        (folder / "half.txt").write_text("1")
        raise KeyboardInterrupt
    assert names(out) == [".bmepipe", "old.txt"]
    assert names(tmp_path) == ["out"]


def test_a_failed_writer_keeps_what_the_others_wrote(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(WriterFailed), whole_or_not_at_all(out) as folder:
        (folder / "good.txt").write_text("1")
        raise WriterFailed("all outputs", "no sr", "see above")
    assert names(out) == [".bmepipe", "good.txt"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_something_else_is_never_overwritten(tmp_path, kind):
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("thesis")
    else:
        out.mkdir()
        (out / "thesis.txt").write_text("thesis")
    with pytest.raises(OutputExists, match="give another folder"), whole_or_not_at_all(out):
        pass
    assert names(tmp_path) == ["out"]


def test_an_empty_folder_may_be_used(tmp_path):
    with whole_or_not_at_all(tmp_path / "out"):
        pass
    (tmp_path / "empty").mkdir()
    with whole_or_not_at_all(tmp_path / "empty") as folder:
        (folder / "a").write_text("1")
    assert names(tmp_path / "empty") == [".bmepipe", "a"]
