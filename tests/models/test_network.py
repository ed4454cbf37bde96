"""What a network is shown of a stack of few slices."""

from __future__ import annotations

import pytest
import torch

from bmepipe.models.network import flattened, normalise


@pytest.mark.parametrize("slices", [4, 8, 16])
def test_a_stack_of_few_slices_is_flattened_as_a_thick_one_is(slices: int) -> None:
    rng = torch.Generator().manual_seed(5)
    texture = 1 + 0.2 * torch.rand((1, 40, 64), generator=rng)
    coil = torch.linspace(0, 2, 64).exp()
    thick = (texture * coil).repeat(64, 1, 1)
    thin = thick[:slices]
    inside = torch.ones_like(thin, dtype=torch.bool)
    shown = normalise(thin, inside, flatten=True)
    assert shown.shape == thin.shape
    assert torch.isfinite(shown).all()
    whole = flattened(thick, torch.ones_like(thick, dtype=torch.bool))
    assert torch.allclose(flattened(thin, inside)[0], whole[32], rtol=0.02)
