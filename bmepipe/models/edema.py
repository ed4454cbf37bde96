"""The edema detector that is a network: one for all sites, with or without a T1.

The model folder has MONAI bundle shape, as the bones' has; torch is imported when it is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.marrow import Marrow
from bmepipe.models.detectors import EDEMA_MODEL
from bmepipe.models.edema_input import DEPTH_MM, Scene, from_scene, in_plane_depth_mm, make_scene
from bmepipe.models.edema_network import SLICES, build_edema_network, stack_channels
from bmepipe.models.stored import complete_settings, model_folder, read_model
from bmepipe.site import Site
from bmepipe.study import Pair
from bmepipe.volume import Volume

if TYPE_CHECKING:
    import torch

_BATCH = 4


@dataclass(frozen=True, eq=False)
class EdemaModel:
    """A loaded model.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode.
    multiple : int
        Rows and columns shown to it are multiples of this.
    slope, offset : float
        Its logit becomes ``slope * logit + offset``, whose logistic is a calibrated probability.
    sha256 : str
        Of the weights.
    """

    network: torch.nn.Module
    multiple: int
    slope: float
    offset: float
    sha256: str


def detect(pair: Pair, bones: Volume, site: Site, marrow: Marrow | None = None) -> Volume:
    """Return the probability of edema, 0 to 1, float32, by the model of the package.

    Parameters
    ----------
    pair : Pair
    bones : Volume of uint8
    site : Site
    marrow : Marrow, optional
        Where it is known already.

    Raises
    ------
    ModelDamaged
        If the model folder is not what it says.
    """
    return detect_with(_cached(model_folder(EDEMA_MODEL)), pair, bones, site, marrow)


def detect_with(
    model: EdemaModel, pair: Pair, bones: Volume, site: Site, marrow: Marrow | None = None
) -> Volume:
    """Return the probability of edema by a given model; 0 outside the bones."""
    scene, frame = make_scene(pair, bones, site, marrow)
    logits = model.slope * logits_of(model.network, scene, model.multiple) + model.offset
    probability = from_scene(1 / (1 + np.exp(-np.clip(logits, -30, 30))), frame)
    probability[bones.data == 0] = 0
    return Volume(probability, bones.grid)


def logits_of(network: torch.nn.Module, scene: Scene, multiple: int) -> NDArray[np.float32]:
    """Return the network's logit at every voxel of a scene; -20 in slices without bone."""
    import torch

    depth = in_plane_depth_mm(scene.bones)
    logits = np.full(scene.bones.shape, -20, np.float32)
    judged = np.flatnonzero(scene.bones.any(axis=(1, 2)))
    rows, columns = scene.bones.shape[1:]
    padding = (0, -columns % multiple, 0, -rows % multiple)
    with torch.inference_mode():
        for start in range(0, len(judged), _BATCH):
            numbers = judged[start : start + _BATCH]
            batch = torch.stack([channels_at(scene, depth, int(k)) for k in numbers])
            batch = torch.nn.functional.pad(batch, padding)
            found = network(batch.contiguous(memory_format=torch.channels_last))
            logits[numbers] = found[:, 0, :rows, :columns].numpy()
    return logits


def channels_at(scene: Scene, depth_mm: NDArray[np.float32], k: int) -> torch.Tensor:
    """Return the network's input for slice `k`; what lies beyond the volume is shown as nothing."""
    numbers = np.arange(k - SLICES // 2, k + SLICES // 2 + 1)
    there = ((numbers >= 0) & (numbers < len(depth_mm)))[:, None, None]
    numbers = np.clip(numbers, 0, len(depth_mm) - 1)
    return stack_channels(
        np.where(there, scene.t2fs[numbers], 0),
        None if scene.t1 is None else np.where(there, scene.t1[numbers], 0),
        np.where(there, depth_mm[numbers], -DEPTH_MM),
        scene.code,
    )


def load_edema_model(folder: Path) -> EdemaModel:
    """Load a model folder, checking its weights against the stored sha256.

    Raises
    ------
    ModelDamaged
        If a file or setting is missing or the weights are not the ones described.
    """
    stored = read_model(folder)
    settings = stored.settings
    with complete_settings(folder):
        network = build_edema_network(settings["network"])
        network.load_state_dict(stored.weights)
        slope, offset = (float(settings["calibration"][key]) for key in ("slope", "offset"))
        multiple = int(settings["multiple"])
        return EdemaModel(network.eval(), multiple, slope, offset, stored.sha256)


@lru_cache(maxsize=2)
def _cached(folder: Path) -> EdemaModel:
    return load_edema_model(folder)
