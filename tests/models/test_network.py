"""The network: blocks of voxels as channels, and back."""

from __future__ import annotations

import torch

from bmepipe.models.network import fold_voxels, unfold_voxels


def test_folding_keeps_every_voxel_in_its_block() -> None:
    image = torch.arange(2 * 3 * 4 * 6 * 8.0).reshape(2, 3, 4, 6, 8)
    folded = fold_voxels(image)
    assert folded.shape == (2, 24, 2, 3, 4)
    assert torch.equal(unfold_voxels(folded), image)
    block = image[1, 2, 2:4, 4:6, 6:8].flatten().tolist()
    assert folded[1, 16:24, 1, 2, 3].tolist() == block
