"""A small joint made of boxes, as a shape source, and the settings of a training of seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from bmepipe.training.samples import SourceGroup
from bmepipe.training.sources import Source, make_source, save_source
from bmepipe.training.tissues import TISSUES
from bmepipe.training.train import TrainConfig


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Give back the threads that a stream of samples takes away from its process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def boxes() -> np.ndarray:
    """Two bones of 48 x 48 mm, cartilage between them, fat and muscle around; 2 mm voxels."""
    labels = np.zeros((40, 40, 56), np.uint8)
    labels[4:36, 4:36] = TISSUES["fat"]
    labels[6:10, 6:34] = TISSUES["muscle_a"]
    labels[12:28, 12:28, :26] = TISSUES["tibia"]
    labels[12:28, 12:28, 26:30] = TISSUES["cartilage"]
    labels[12:28, 12:28, 30:] = TISSUES["femur"]
    return labels


@pytest.fixture(scope="session")
def joint() -> Source:
    return make_source(boxes(), 2.0, pad_mm=12.0)


@pytest.fixture(scope="session")
def joint_file(joint: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sources") / "joint.npz"
    save_source(path, joint)
    return path


@pytest.fixture
def config(joint_file: Path) -> TrainConfig:
    """A network of a few hundred weights, trained without worker processes."""
    return TrainConfig(
        sources=(SourceGroup(str(joint_file)),),
        shapes=((16, 24, 20),),
        out_channels=3,
        channels=(2, 4),
        strides=(2,),
        batch=1,
        workers=0,
        minutes=60.0,
        warmup_iterations=4,
        validation_samples=1,
    )
