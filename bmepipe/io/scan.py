"""A folder, zip or DICOMDIR to a `Study`: headers only, files in any order and of any name."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bmepipe.errors import NoMrSeries, SeveralStudies, StudyNotFound
from bmepipe.io.archive import unpacked
from bmepipe.io.describe import series_of
from bmepipe.io.elements import DamagedHeader, NotDicom, read_header
from bmepipe.io.frames import MR_CLASSES, Frame, frames_of, is_mr_image
from bmepipe.io.stacks import Stack, split
from bmepipe.study import Series, Study

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]

_CHUNK = 32
_TRIED = 4
_THREADS = 8
_MAX_FOLDERS_DEEP = 64


@dataclass(frozen=True)
class Passed:
    """Files that hold no MR image: how many, and the reasons of those that are damaged."""

    other: int = 0
    damaged: tuple[str, ...] = ()

    def __add__(self, more: Passed) -> Passed:
        return Passed(self.other + more.other, self.damaged + more.damaged)


def scan(path: Path, *, study: str | None = None, progress: Progress | None = None) -> Study:
    """Return the study that lies at `path`.

    Parameters
    ----------
    path : Path
        A folder of DICOM files in any disorder, a zip of one, or a DICOMDIR. A zip is unpacked into
        a temporary folder that lasts as long as the process.
    study : str, optional
        Which study, where there are several: its StudyInstanceUID or its number in the list that
        the refusal gives.
    progress : callable, optional
        Called with (files read, files in all) now and then.

    Raises
    ------
    StudyNotFound
        If nothing is there.
    NoMrSeries
        If no file holds an MR image.
    SeveralStudies
        Listing them, if there are several and `study` does not choose one.
    UntrustedFile
        If an archive is unsafe.
    """
    files = find_files(unpacked(path))
    if not files:
        raise StudyNotFound(
            "a folder of DICOM files, a zip or a DICOMDIR",
            f"{path.name} without any file",
            "give the folder that holds the study",
        )
    frames, passed = read_all(files, progress)
    for reason in passed.damaged:
        log.warning("damaged, passed over: %s", reason)
    if not frames:
        damaged = f", {len(passed.damaged)} of them damaged" if passed.damaged else ""
        raise NoMrSeries(
            "at least one MR image in DICOM",
            f"{len(files)} files and no MR image among them{damaged}",
            "check that this is the folder of an MR study",
        )
    return _build(_choose(frames, study), passed)


def find_files(path: Path) -> list[Path]:
    """Return every file at or below `path`, sorted; links that loop or lead out are not followed.

    A DICOMDIR stands for the folder that it lies in.
    """
    if path.is_file():
        if path.name.upper() != "DICOMDIR":
            return [path]
        path = path.parent
    found: list[Path] = []
    for folder, below, names in os.walk(path, followlinks=False):
        if len(Path(folder).relative_to(path).parts) >= _MAX_FOLDERS_DEEP:
            below.clear()
        below.sort()
        found += [Path(folder, name) for name in names if name.upper() != "DICOMDIR"]
    return sorted(file for file in found if file.is_file())


def read_all(files: Sequence[Path], progress: Progress | None = None) -> tuple[list[Frame], Passed]:
    """Return the frames of all MR images among `files`, and what was passed over."""
    chunks = [files[n : n + _CHUNK] for n in range(0, len(files), _CHUNK)]
    frames: list[Frame] = []
    passed, done = Passed(), 0
    for found, without in _in_parallel_if_it_pays(chunks):
        frames += found
        passed += without
        done = min(done + _CHUNK, len(files))
        if progress:
            progress(done, len(files))
    return frames, passed


def _in_parallel_if_it_pays(
    chunks: Sequence[Sequence[Path]],
) -> Iterator[tuple[list[Frame], Passed]]:
    """Yield what is in each chunk of files, in order.

    Threads help where files are waited for (a network, a cold disk). Where they are in memory the
    interpreter lock makes eight threads half as fast as one, so the first chunks decide.
    """
    waited = worked = 0.0
    for chunk in chunks[:_TRIED]:
        start, busy = time.perf_counter(), time.thread_time()
        yield _read_chunk(chunk)
        waited += time.perf_counter() - start
        worked += time.thread_time() - busy
    if waited < 2 * worked:
        yield from map(_read_chunk, chunks[_TRIED:])
        return
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        yield from pool.map(_read_chunk, chunks[_TRIED:])


def _read_chunk(files: Iterable[Path]) -> tuple[list[Frame], Passed]:
    frames: list[Frame] = []
    other, damaged = 0, []
    for file in files:
        try:
            found = frames_of(file, read_header(file))
        except NotDicom:
            other += 1
            continue
        except (DamagedHeader, OSError) as error:
            damaged.append(f"{file.name}: {error}")
            continue
        if is_mr_image(found[0].file):
            frames += found
        elif found[0].file.sop_class_uid in MR_CLASSES:
            damaged.append(f"{file.name}: an MR image without pixels or size")
        else:
            other += 1
    return frames, Passed(other, tuple(damaged))


def by_series(frames: Iterable[Frame]) -> dict[str, list[Frame]]:
    """Group frames by SeriesInstanceUID; where that is blank, by folder and series number."""
    groups: dict[str, list[Frame]] = {}
    for frame in frames:
        file = frame.file
        key = file.series_uid or f"{file.path.parent.name}/{file.series_number}"
        groups.setdefault(key, []).append(frame)
    return groups


def _studies(frames: Iterable[Frame]) -> dict[tuple[str, str], list[Frame]]:
    """Group frames by study and patient; a file that leaves these blank goes with its series."""
    frames = list(frames)
    whole = {
        f.file.series_uid: (f.file.study_uid, f.file.patient)
        for f in frames
        if f.file.series_uid and f.file.study_uid and f.file.patient
    }
    studies: dict[tuple[str, str], list[Frame]] = {}
    for frame in frames:
        key = frame.file.study_uid, frame.file.patient
        if not all(key):
            key = whole.get(frame.file.series_uid, key)
        studies.setdefault(key, []).append(frame)
    return dict(sorted(studies.items(), key=lambda item: (item[1][0].file.acquired, item[0])))


@dataclass(frozen=True)
class StudyPart:
    """What one folder holds of one study; `images` are hashes of SOPInstanceUIDs."""

    folder: Path
    uid: str
    patient: str
    images: frozenset[int]


def study_parts(files: Sequence[Path]) -> Iterator[StudyPart]:
    """Yield what each folder among the files holds of each study; reads headers."""
    frames, _ = read_all(files)
    for (uid, patient), members in _studies(frames).items():
        folders: dict[Path, set[int]] = {}
        for file in (frame.file for frame in members):
            name = file.sop_instance_uid or str(file.path)
            folders.setdefault(file.path.parent, set()).add(hash(name))
        for folder, images in folders.items():
            yield StudyPart(folder, uid, patient, frozenset(images))


def _choose(frames: list[Frame], study: str | None) -> list[Frame]:
    studies = _studies(frames)
    if study is None and len(studies) == 1:
        return frames
    numbered = {str(number): key for number, key in enumerate(studies, 1)}
    found = [key for number, key in numbered.items() if study in (number, key[0])]
    if study is not None and len(found) == 1:
        return studies[found[0]]
    asked = "" if study is None else f"none called {study!r} among "
    if found:
        asked = f"{study}, which {len(found)} patients share, among "
    lines = "; ".join(f"{n}: {_named(key, studies)}" for n, key in numbered.items())
    raise SeveralStudies(
        "one study of one patient",
        f"{asked}{len(studies)} studies ({lines})",
        "choose with --study and the number before it",
    )


def _named(key: tuple[str, str], studies: Mapping[tuple[str, str], list[Frame]]) -> str:
    """Return a study in a phrase; patients of one UID are counted, as nothing may name them."""
    uid, members = key[0], studies[key]
    patients = [other for other in studies if other[0] == uid]
    which = f", patient {patients.index(key) + 1} of {len(patients)}" if len(patients) > 1 else ""
    date = members[0].file.acquired or "no date"
    return f"{uid or 'no UID'}{which} of {date}, {len(by_series(members))} series"


def _build(frames: list[Frame], passed: Passed) -> Study:
    first = frames[0].file
    series: list[Series] = []
    for members in by_series(frames).values():
        series += series_of(split(members))
    series.sort(key=lambda s: (s.number is None, s.number or 0, s.uid, s.part))
    notes = [f"{len(passed.damaged)} damaged files passed over"] if passed.damaged else []
    return Study(
        uid=first.study_uid,
        series=tuple(series),
        patient_id=first.patient,
        acquired=first.acquired,
        description=first.study_description,
        skipped_files=passed.other + len(passed.damaged),
        notes=tuple(notes),
    )


def stacks_of(frames: Iterable[Frame]) -> list[Stack]:
    """Return the stacks of every series among the frames."""
    return [stack for members in by_series(frames).values() for stack in split(members)]
