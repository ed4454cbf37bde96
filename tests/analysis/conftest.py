"""Two bones with known edema on a grid that is lopsided, anisotropic and turned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from bmepipe.site import Site, load_site
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume

MARROW, MUSCLE, EDEMA = 100.0, 330.0, 360.0
CORTEX = 20.0
MARROW_T1, MUSCLE_T1, EDEMA_T1 = 500.0, 170.0, 350.0


@dataclass(frozen=True, eq=False)
class Scene:
    """A pair, its bones, and where edema truly is."""

    pair: Pair
    bones: Volume
    edema: NDArray[np.bool_]


def turned_grid(shape: tuple[int, int, int] = (64, 56, 14)) -> Grid:
    """0.8 x 0.7 x 3.0 mm, turned by 20 degrees about two axes, mirrored, off the origin."""
    c, s = np.cos(np.radians(20)), np.sin(np.radians(20))
    about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x @ np.diag([-0.8, 0.7, 3.0])
    affine[:3, 3] = [31, -12, 7]
    return Grid(shape, affine)


def ball(grid: Grid, centre: tuple[float, float, float], radius_mm: float) -> NDArray[np.bool_]:
    """Voxels within `radius_mm` of the voxel index `centre`."""
    index = np.indices(grid.shape).reshape(3, -1).T
    away = grid.to_world(index) - grid.to_world([centre])
    return (np.linalg.norm(away, axis=1) <= radius_mm).reshape(grid.shape)


def make_scene(
    lesions: tuple[tuple[tuple[float, float, float], float], ...] = (((20, 28, 7), 6.0),),
    noise: float = 8.0,
    shading: float = 0.0,
    with_t1: bool = True,
    level: float = EDEMA,
    t1_level: float = EDEMA_T1,
    cortex: bool = False,
) -> Scene:
    """Femur (label 1) and tibia (2) as balls of 15 and 9 mm in muscle, with balls of edema.

    A dark shell of 1 mm around the bones is there only where a test asks for it.
    """
    grid = turned_grid()
    bones = np.zeros(grid.shape, np.uint8)
    bones[ball(grid, (22, 28, 7), 15.0)] = 1
    bones[ball(grid, (48, 28, 7), 9.0)] = 2
    edema = np.zeros(grid.shape, bool)
    for centre, radius_mm in lesions:
        edema |= ball(grid, centre, radius_mm)
    edema &= bones > 0
    t2fs = np.where(edema, level, np.where(bones > 0, MARROW, MUSCLE))
    t1 = np.where(edema, t1_level, np.where(bones > 0, MARROW_T1, MUSCLE_T1))
    if cortex:
        shell = (ball(grid, (22, 28, 7), 16.0) | ball(grid, (48, 28, 7), 10.0)) & (bones == 0)
        t2fs[shell], t1[shell] = CORTEX, CORTEX
    rng = np.random.default_rng(3)
    slope = np.exp(shading * np.linspace(-1, 1, grid.shape[0]))[:, None, None]
    images = [
        np.asfortranarray(np.maximum(x * slope + rng.normal(0, noise, x.shape), 1), np.float32)
        for x in (t2fs, t1)
    ]
    pair = Pair(
        Volume(images[0], grid), Volume(images[1], grid) if with_t1 else None, SequenceClass.PD_FS
    )
    return Scene(pair, Volume(np.asfortranarray(bones), grid), edema)


@pytest.fixture
def scene() -> Callable[..., Scene]:
    return make_scene


@pytest.fixture
def grid() -> Grid:
    return turned_grid()


@pytest.fixture
def knee() -> Site:
    return load_site("knee")
