"""A vertebral body that only a second look shows counts between two that are seen."""

from __future__ import annotations

import numpy as np

from bmepipe.analysis.column import CERVICAL
from bmepipe.analysis.hidden_bodies import hidden_bodies

SHAPE = (30, 26, 80)
SPACING_MM = 1.5


def bodies(count: int = 5) -> np.ndarray:
    """Bodies of 15 x 18 x 9 mm, 18 mm apart, numbered from below."""
    labels = np.zeros(SHAPE, np.int32)
    for n in range(count):
        labels[10:20, 6:18, 8 + 12 * n : 14 + 12 * n] = n + 1
    return labels


def bright_in(body: np.ndarray) -> np.ndarray:
    return body & (np.arange(SHAPE[1]) >= 14)[:, None]


def test_a_lost_body_is_found_between_two() -> None:
    second = bodies()
    lost = second == 3
    first = np.where(lost, 0, second)
    found = hidden_bodies(first, second, bright_in(lost), SPACING_MM, CERVICAL)
    assert (found == lost).all()


def test_a_body_that_hangs_on_the_next_is_found() -> None:
    second = bodies()
    lost = second == 3
    first = np.where(lost, 0, second)
    first[10:20, 6:10, 32:48] = 4  # what is left of it, and what joins it to the next
    found = hidden_bodies(first, second, bright_in(lost), SPACING_MM, CERVICAL)
    assert (found == lost).all()


def test_beyond_the_last_nothing_is_found() -> None:
    second = bodies()
    first = np.where(second == 5, 0, second)
    assert not hidden_bodies(first, second, bright_in(second == 5), SPACING_MM, CERVICAL).any()


def test_what_was_not_dimmed_is_not_lost() -> None:
    second = bodies()
    first = np.where(second == 3, 0, second)
    nothing = np.zeros(SHAPE, bool)
    assert not hidden_bodies(first, second, nothing, SPACING_MM, CERVICAL).any()


def test_a_disc_is_no_body() -> None:
    first = bodies()
    second = first.copy()
    second[10:20, 6:18, 34:42] = 6  # half way between the third and the fourth, 9 mm from each
    assert not hidden_bodies(first, second, second == 6, SPACING_MM, CERVICAL).any()
    second = first.copy()
    second[second == 3] = 0
    second[13:17, 8:14, 33:37] = 3  # far smaller than the others
    lost = np.where(first == 3, 0, first)
    assert not hidden_bodies(lost, second, second == 3, SPACING_MM, CERVICAL).any()


def test_two_bodies_alone_tell_nothing() -> None:
    second = bodies(2)
    assert not hidden_bodies(second * 0, second, second > 0, SPACING_MM, CERVICAL).any()
