"""The frames of one DICOM series sorted into stacks: one for each volume that the series holds.

Facts that always mean another image (matrix, orientation, echo time, magnitude or phase, Dixon
image) split at once. Others (acquisition, temporal position, ...) may vary within one volume, so
they split only where images would otherwise lie on top of each other or leave gaps.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from bmepipe.io.dixon import dixon_image
from bmepipe.io.frames import Frame
from bmepipe.io.geometry import SAME_COSINE, Geometry, place
from bmepipe.io.pixels import check_format

_NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}
_HASHED = 1 << 26


@dataclass(frozen=True, eq=False)
class Stack:
    """Frames in the order of k with their geometry; `geometry.grid` is None if it is refused."""

    frames: tuple[Frame, ...]
    geometry: Geometry
    notes: tuple[str, ...] = ()

    @property
    def refusal(self) -> str:
        """Why the stack is no volume; empty if it is one."""
        return self.geometry.refusal


def split(frames: Sequence[Frame]) -> list[Stack]:
    """Return the stacks of one series, in the order of their first instance.

    Parameters
    ----------
    frames : sequence of Frame
        All frames of one SeriesInstanceUID, in any order.
    """
    kept, notes = drop_duplicates(frames)
    stacks: list[Stack] = []
    for orientation_group in _by_orientation(kept):
        for group in _grouped(orientation_group, _always):
            stacks += _resolve(group)
    stacks.sort(key=lambda stack: min(_rank(frame) for frame in stack.frames))
    return [Stack(s.frames, s.geometry, s.notes + s.geometry.notes + notes) for s in stacks]


def drop_duplicates(frames: Sequence[Frame]) -> tuple[list[Frame], tuple[str, ...]]:
    """Return each image once, preferring uncompressed copies, and a note on how many were dropped.

    A copy has the same SOPInstanceUID and frame number, lies at the same place with the same times
    and, in the same encoding, has the same bytes; images that share a UID but not these are kept
    apart, for anonymisers blank UIDs.
    """
    best: dict[Hashable, list[Frame]] = {}
    for frame in sorted(frames, key=lambda f: (f.file.transfer_syntax not in _NATIVE, _rank(f))):
        uid = frame.file.sop_instance_uid or str(frame.file.path)
        best.setdefault((uid, frame.number, *_place(frame), *_times(frame)), []).append(frame)
    kept = [frame for copies in best.values() for frame in _different(copies)]
    dropped = len(frames) - len(kept)
    notes = (f"{dropped} duplicate images passed over",) if dropped else ()
    return kept, notes


def _different(copies: list[Frame]) -> list[Frame]:
    """Return the first of some copies, and any in the same encoding whose pixels differ from it."""
    first, *others = copies
    syntax = first.file.transfer_syntax
    alike = [f for f in others if f.file.transfer_syntax == syntax]
    if not alike:
        return [first]
    stored = {_glance(f): f for f in reversed([first, *alike])}
    return list(stored.values())


def _resolve(frames: list[Frame]) -> list[Stack]:
    """Split a group that always-splitting facts hold together until every part is regular."""
    geometry = place(frames)
    if geometry.grid is not None or not (geometry.repeated or len(frames) > 1):
        return [_stack(frames, geometry)]
    if geometry.repeated and len(same := _without_copies(frames)) < len(frames):
        copies = len(frames) - len(same)
        note = f"{copies} images with the same place and the same pixels passed over"
        return _noted(_resolve(same), note)
    for name, key in _IF_NEEDED:
        parts = _grouped(frames, key)
        if len(parts) > 1 and (resolved := _accept(parts, geometry)):
            return [
                Stack(s.frames, s.geometry, (*s.notes, f"told apart by {name}")) for s in resolved
            ]
    if geometry.repeated and (parts := _by_instance(frames, geometry)):
        note = "volumes told apart by the order of instance numbers"
        return _noted(_resolve_all(parts), note)
    return [_stack(frames, geometry)]


def _noted(stacks: list[Stack], note: str) -> list[Stack]:
    return [Stack(s.frames, s.geometry, (*s.notes, note)) for s in stacks]


def _accept(parts: list[list[Frame]], before: Geometry) -> list[Stack]:
    """Return the parts' stacks if splitting helped: every one, or nearly every one, is regular."""
    stacks = _resolve_all(parts)
    regular = [s for s in stacks if s.geometry.grid is not None]
    if before.repeated:
        if len(regular) * 2 < len(stacks) or not regular:
            return []
        return _refuse_incomplete(stacks)
    whole = all(s.geometry.grid is not None and len(s.frames) > 2 for s in stacks)
    return stacks if whole else []


def _resolve_all(parts: list[list[Frame]]) -> list[Stack]:
    return [stack for part in parts for stack in _resolve(part)]


def _refuse_incomplete(stacks: list[Stack]) -> list[Stack]:
    """Refuse volumes of a time series that lack slices which another volume has."""
    most = max(stacks, key=lambda s: len(s.frames) if s.geometry.grid is not None else 0)
    reference = {_place(frame) for frame in most.frames}
    kept = []
    for stack in stacks:
        places = {_place(frame) for frame in stack.frames}
        if places < reference:
            reason = f"incomplete: {len(places)} of the {len(reference)} slices of its siblings"
            stack = Stack(stack.frames, Geometry(stack.geometry.order, None, reason), stack.notes)
        kept.append(stack)
    return kept


def _stack(frames: list[Frame], geometry: Geometry) -> Stack:
    for frame in frames:
        if reason := check_format(frame.file):
            geometry = Geometry(geometry.order, None, reason)
            break
    return Stack(tuple(frames[n] for n in geometry.order), geometry)


def _by_orientation(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Group frames whose cosines differ by less than a tolerance; headers round them."""
    groups: list[tuple[np.ndarray | None, list[Frame]]] = []
    seen: dict[tuple[float, ...] | None, int] = {}
    for frame in frames:
        if (known := seen.get(frame.orientation)) is not None:
            groups[known][1].append(frame)
            continue
        cosines = None if frame.orientation is None else np.array(frame.orientation)
        for n, (other, members) in enumerate(groups):
            if (cosines is None and other is None) or (
                cosines is not None
                and other is not None
                and float(np.abs(cosines - other).max()) < SAME_COSINE
            ):
                members.append(frame)
                seen[frame.orientation] = n
                break
        else:
            seen[frame.orientation] = len(groups)
            groups.append((cosines, [frame]))
    return [members for _, members in groups]


def _grouped(frames: Sequence[Frame], key: Callable[[Frame], Hashable]) -> list[list[Frame]]:
    groups: dict[Hashable, list[Frame]] = {}
    for frame in frames:
        groups.setdefault(key(frame), []).append(frame)
    return list(groups.values())


def _always(frame: Frame) -> Hashable:
    file = frame.file
    spacing = tuple(round(s, 3) for s in frame.spacing) if frame.spacing else None
    echo = None if frame.te_ms is None else round(frame.te_ms, 2)
    dixon = dixon_image(frame.image_type, file.series_description)
    # One SeriesInstanceUID over several series is what careless anonymisers leave.
    series = file.series_number, file.series_description, file.frame_of_reference_uid
    return file.rows, file.columns, file.samples, spacing, echo, frame.component, dixon, *series


def _by_instance(frames: list[Frame], geometry: Geometry) -> list[list[Frame]]:
    """Tell volumes apart by instance numbers, if these visit every position once per volume.

    Either all positions of the first volume come first, then those of the second, and so on; or all
    volumes of the first position come first. Anything else proves nothing.
    """
    if any(frame.instance is None for frame in frames):
        return []
    ordered = sorted(frames, key=_rank)
    if len({_rank(frame)[:2] for frame in ordered}) < len(ordered):
        return []
    places = [_place(frame) for frame in ordered]
    count = len(set(places))
    if len(places) % count:
        return []
    blocks = [ordered[n : n + count] for n in range(0, len(ordered), count)]
    if all(len({_place(frame) for frame in block}) == count for block in blocks):
        return blocks
    volumes = len(places) // count
    runs = [ordered[n : n + volumes] for n in range(0, len(ordered), volumes)]
    if all(len({_place(frame) for frame in run}) == 1 for run in runs):
        return [[run[n] for run in runs] for n in range(volumes)]
    return []


def _without_copies(frames: list[Frame]) -> list[Frame]:
    """Return the frames without those that repeat another's place, times and pixels."""
    kept: dict[Hashable, Frame] = {}
    for group in _grouped(frames, lambda f: (_place(f), f.image_type, f.acquisition_time)):
        for frame in group:
            kept.setdefault((_place(frame), _pixels(frame) if len(group) > 1 else id(frame)), frame)
    return list(kept.values())


def _pixels(frame: Frame) -> Hashable:
    """Return a digest of the stored pixels of a frame's file, which copies have in common."""
    file = frame.file
    with open(file.path, "rb") as stream:
        stream.seek(file.pixel_offset)
        stored = hashlib.sha256(stream.read(_HASHED)).digest()
    return file.transfer_syntax, frame.number, stored


def _glance(frame: Frame) -> Hashable:
    """Return bytes from all over a file's pixels: enough for copies that share UID and times."""
    file = frame.file
    with open(file.path, "rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        step = max(1, (size - file.pixel_offset) // 4)
        places = range(file.pixel_offset + step // 2, size, step)
        parts = [os.pread(stream.fileno(), 4096, place) for place in places]
    return size - file.pixel_offset, b"".join(parts)


def _rank(frame: Frame) -> tuple[float, int, str]:
    instance = frame.instance if frame.instance is not None else 0.0
    return instance, frame.number, str(frame.file.path)


def _place(frame: Frame) -> tuple[float, ...]:
    return tuple(round(p, 2) for p in frame.position) if frame.position else ()


def _times(frame: Frame) -> tuple[Hashable, ...]:
    return (frame.te_ms, frame.instance, frame.temporal, frame.acquisition, frame.content_time)


# In this order: the surest sign first. The names appear in the stacks' notes.
_IF_NEEDED: tuple[tuple[str, Callable[[Frame], Hashable]], ...] = (
    ("image type", lambda f: f.image_type),
    ("stack", lambda f: f.stack),
    ("temporal position", lambda f: f.temporal),
    ("acquisition number", lambda f: f.acquisition),
    ("inversion time", lambda f: f.ti_ms),
    ("diffusion weighting", lambda f: (f.b_value, f.b_direction)),
    ("trigger time", lambda f: f.trigger_ms),
    ("echo number", lambda f: f.echo_number),
    ("flip angle", lambda f: f.flip_deg),
    ("repetition time", lambda f: f.tr_ms),
    ("acquisition time", lambda f: f.acquisition_time),
    ("file", lambda f: f.file.path if f.file.frame_count > 1 else None),
)
