"""A finished edema training as a model folder: calibrated, with its reliability in the card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from bmepipe import RESEARCH_ONLY
from bmepipe.errors import BadSettings
from bmepipe.models.detectors import EDEMA_MODEL
from bmepipe.models.edema import logits_of
from bmepipe.models.edema_input import PIXEL_MM
from bmepipe.models.edema_network import CHANNELS, SLICES, build_edema_network
from bmepipe.models.stored import full_precision
from bmepipe.training.edema_phantoms import Example, load_example
from bmepipe.training.edema_samples import wrong_outline
from bmepipe.training.edema_train import EdemaConfig, files_of
from bmepipe.training.model_folder import half_precision, last_scores, write_model

BINS = 10
FITTED_VOXELS = 200_000


@dataclass(frozen=True)
class EdemaCard:
    """What the model card says that the training itself does not know.

    Parameters
    ----------
    trained_on, measured : tuple of str
        Sentences.
    """

    trained_on: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()


@dataclass(frozen=True)
class Calibration:
    """Slope and offset of the logit, and the reliability after it.

    `reliability` holds, per bin of predicted probability, its mean, the share of edema seen and the
    number of voxels.
    """

    slope: float
    offset: float
    reliability: tuple[tuple[float, float, int], ...]


def export_edema(checkpoint: Path, config: EdemaConfig, card: EdemaCard, root: Path) -> Path:
    """Write ``root/edema`` in MONAI bundle shape, calibrated on held-out phantoms.

    Parameters
    ----------
    checkpoint : Path
        Of `edema_train.train_edema`; the running mean of its weights is what is shipped.
    config : EdemaConfig
    card : EdemaCard
    root : Path

    Returns
    -------
    Path
        The model folder.
    """
    stored = torch.load(checkpoint, map_location="cpu", weights_only=True)
    folder = root / EDEMA_MODEL
    half = half_precision(stored["ema"])
    network = build_edema_network(stored["network"])
    network.load_state_dict({key: full_precision(value) for key, value in half.items()})
    network = network.eval()
    held_out = [load_example(path) for path in files_of(config.held_out)]
    calibration = calibrate(*seen_logits(network, held_out, config.multiple))
    inference = {
        "network": stored["network"],
        "multiple": config.multiple,
        "pixel_mm": PIXEL_MM,
        "slices": SLICES,
        "calibration": {"slope": calibration.slope, "offset": calibration.offset},
    }
    minutes = stored["trained_s"] / 60
    text = card_text(card, stored["iteration"], minutes, _last(checkpoint.parent), calibration)
    write_model(folder, half, _metadata(), inference, text)
    return folder


def seen_logits(
    network: torch.nn.Module, examples: Sequence[Example], multiple: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return logits and shares of edema of the bone voxels of held-out examples.

    With and without the T1, and with an outline that is wrong as at run time.
    """
    rng = np.random.default_rng(5)
    logits, shares = [], []
    for example in examples:
        bones = wrong_outline(example.scene.bones, rng)
        scene = replace(example.scene, bones=bones)
        for seen in (scene, replace(scene, t1=None, t2fs=example.t2fs_alone)):
            used = bones & ~example.failed
            logits.append(logits_of(network, seen, multiple)[used])
            shares.append(example.edema[used])
    if not logits:
        raise BadSettings("held-out phantoms to calibrate on", "none", "make more phantoms")
    return np.concatenate(logits), np.concatenate(shares)


def calibrate(logits: NDArray[np.float32], shares: NDArray[np.float32]) -> Calibration:
    """Return the logistic fit (Platt scaling) of the share of edema on the logit.

    Platt 1999, Probabilistic outputs for support vector machines.

    Parameters
    ----------
    logits, shares : ndarray, shape (n,)

    Examples
    --------
    >>> logits = np.linspace(-6, 6, 2001).astype(np.float32)
    >>> found = calibrate(logits, 1 / (1 + np.exp(-(0.5 * logits - 1))))
    >>> round(found.slope, 2), round(found.offset, 2)
    (0.5, -1.0)
    """
    x, y = logits.astype(np.float64), shares.astype(np.float64)
    step = max(1, len(x) // FITTED_VOXELS)

    def loss(weights: NDArray[np.float64]) -> float:
        z = weights[0] * x[::step] + weights[1]
        return float(np.mean(np.logaddexp(0, z) - y[::step] * z))

    slope, offset = (float(v) for v in minimize(loss, [1.0, 0.0], method="Nelder-Mead").x)
    return Calibration(slope, offset, reliability(1 / (1 + np.exp(-(slope * x + offset))), y))


def reliability(
    probability: NDArray[np.float64], share: NDArray[np.float64]
) -> tuple[tuple[float, float, int], ...]:
    """Return, per tenth of probability: mean probability, mean share of edema, voxels.

    >>> reliability(np.array([0.11, 0.19]), np.array([0.0, 1.0]))
    ((0.15, 0.5, 2),)
    """
    number = np.minimum((probability * BINS).astype(int), BINS - 1)
    rows = []
    for bin_ in range(BINS):
        own = number == bin_
        if own.any():
            mean, seen = float(probability[own].mean()), float(share[own].mean())
            rows.append((round(mean, 4), round(seen, 4), int(own.sum())))
    return tuple(rows)


def card_text(
    card: EdemaCard,
    iterations: int,
    minutes: float,
    last: dict[str, float],
    calibration: Calibration,
) -> str:
    """Return the model card."""
    scores = ", ".join(f"{key} {value:.3f}" for key, value in last.items())
    lines = [
        "# edema",
        "",
        "Says how likely each voxel of bone is marrow edema, at every site, from a fat-suppressed"
        f" series and, where there is one, a T1. It sees {SLICES} slices at {PIXEL_MM} mm a pixel:"
        " both signals in units of the bone's own normal marrow, the distance to the bones'"
        " outline, and the class of the sequence.",
        "",
        f"> {RESEARCH_ONLY}",
        "",
        "## Training",
        "",
        f"{iterations} iterations in {minutes:.0f} minutes of a shared processor, on phantoms alone"
        " (`bmepipe/training/edema_phantoms.py`), no patient's image. The signals were varied in"
        " gain, shading, texture, lesion contrast, blur and noise, the outlines moved, leaking or"
        " drawn as one region; in 3 of 10 samples there was no T1.",
        "",
        *(f"- {line}" for line in card.trained_on),
        "",
        "## Measured",
        "",
        f"- On phantoms held out, when last validated, where the bare logit passes 0: {scores}.",
        *(f"- {line}" for line in card.measured),
        "",
        "## Reliability",
        "",
        "Bone voxels of the held-out phantoms, half of them without T1, outlines wrong as at run"
        " time, after calibration by a logistic fit on the same voxels:",
        "",
        "| predicted | edema | voxels |",
        "|---|---|---|",
        *(f"| {p:.2f} | {s:.2f} | {n} |" for p, s, n in calibration.reliability),
        "",
    ]
    return "\n".join(lines)


def _metadata() -> dict[str, Any]:
    names = [f"{what}, slice {n - SLICES // 2:+d}" for what in ("FS", "T1", "depth")
             for n in range(SLICES)]  # fmt: skip
    channels = {str(n): name for n, name in enumerate([*names, "class of the sequence"])}
    image = {"type": "image", "format": "magnitude", "num_channels": CHANNELS, "dtype": "float32",
             "channel_def": channels}  # fmt: skip
    output = {"type": "image", "format": "probabilities", "num_channels": 1, "dtype": "float32",
              "channel_def": {"0": "logit of edema"}}  # fmt: skip
    return {
        "task": "bone marrow edema in MR images",
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": output}},
    }


def _last(folder: Path) -> dict[str, float]:
    last = last_scores(folder)
    names = {"dice": "Dice", "false_voxels": "false voxels in a healthy one"}
    return {name: last[key] for key, name in names.items()} if last else {}
