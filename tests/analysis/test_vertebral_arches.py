"""Arches: each hangs on its own body, and its marrow is measured for itself."""

from __future__ import annotations

import numpy as np

from bmepipe.analysis.vertebral_arches import ARCH, arches_apart, arches_of
from bmepipe.site import load_site
from bmepipe.volume import Grid, Volume

SPACING_MM = 1.2


def neck() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return two bodies under labels 4 and 5, whose sloping arches touch: bodies, arches, owners
    of the arches, and a certainty that is lower where the arches touch.

    Indexed along right, front, up. Each arch runs backwards and down, beside the next one's.
    """
    shape = (20, 40, 44)
    x, y, z = np.indices(shape)
    bodies, owners = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for label, height in ((4, 31), (5, 16)):
        bodies[4:16, 26:38, height - 5 : height + 6] = label
        slope = np.abs(z - (height - (26 - y) * 0.6)) <= 7
        owners[slope & (y < 26) & (y >= 6) & (np.abs(x - 10) <= 5)] = label
    owners[(owners == 5) & (z > 31 - 8 - (26 - y) * 0.6)] = 4
    certainty = np.full(shape, 0.95, np.float32)
    border = np.zeros(shape, bool)
    border[:, :, 1:] = (owners[:, :, 1:] > 0) & (owners[:, :, :-1] > 0)
    border[:, :, 1:] &= owners[:, :, 1:] != owners[:, :, :-1]
    certainty[border] = 0.55
    return bodies, owners > 0, owners, certainty


def test_touching_arches_go_to_their_own_bodies() -> None:
    bodies, arches, owners, certainty = neck()
    found = arches_of(bodies, np.zeros(bodies.shape, bool), arches, certainty, SPACING_MM)
    assert not found[bodies > 0].any()
    for label in (4, 5):
        both = (found == label) & (owners == label)
        assert 2 * both.sum() / ((found == label).sum() + (owners == label).sum()) > 0.9


def test_the_arch_of_a_body_without_a_name_is_not_given_to_its_neighbour() -> None:
    bodies, arches, owners, certainty = neck()
    named = np.where(bodies == 4, bodies, 0).astype(np.uint8)
    found = arches_of(named, bodies == 5, arches, certainty, SPACING_MM)
    assert (found[owners == 4] == 4).mean() > 0.9
    assert (found[owners == 5] > 0).mean() < 0.1


def test_an_arch_that_hangs_on_nothing_belongs_to_nobody() -> None:
    bodies, arches, _, certainty = neck()
    arches[:, 18:, :] = False
    found = arches_of(bodies, np.zeros(bodies.shape, bool), arches, certainty, SPACING_MM)
    assert not found.any()
    nothing = np.zeros_like(bodies)
    assert not arches_of(nothing, nothing > 0, arches, certainty, SPACING_MM).any()


def vertebra(label: int) -> tuple[Volume, np.ndarray]:
    """Return a body of 24 x 16 x 14 mm with two pillars and a process behind it; and its arch."""
    grid = Grid((16, 60, 40), np.diag([3.0, 0.8, 0.7, 1.0]))
    x, y, z = (n * s for n, s in zip(np.indices(grid.shape), grid.spacing_mm, strict=True))
    body = (np.abs(x - 24) < 12) & (np.abs(y - 36) < 8) & (np.abs(z - 14) < 7)
    pillars = (np.abs(np.abs(x - 24) - 13) < 5) & (np.abs(y - 20) < 6) & (np.abs(z - 12) < 7)
    pedicles = (np.abs(np.abs(x - 24) - 10) < 2.5) & (np.abs(y - 27) < 4) & (np.abs(z - 14) < 3)
    process = (np.abs(x - 24) < 12) & (np.abs(y - 13) < 3) & (np.abs(z - 10) < 4)
    data = np.where(body | pillars | pedicles | process, label, 0).astype(np.uint8)
    return Volume(data, grid), (pillars | process) & ~body


def test_an_arch_is_told_from_its_body_by_thickness() -> None:
    bones, arch = vertebra(4)
    apart = arches_apart(bones, load_site("cervical"))
    assert (apart.data[arch] == 4 + ARCH).mean() > 0.9
    assert (apart.data[(bones.data > 0) & ~arch] == 4).mean() > 0.8
    assert np.array_equal(apart.data > 0, bones.data > 0)


def test_bodies_alone_and_other_sites_have_no_arches() -> None:
    bones, arch = vertebra(4)
    alone = np.where(arch, 0, bones.data).astype(np.uint8)
    alone[:, :34] = 0  # the pedicles too
    body = bones.with_data(alone)
    for volume, site in ((body, "cervical"), (bones, "lumbar"), (bones, "knee")):
        assert np.array_equal(arches_apart(volume, load_site(site)).data, volume.data)
