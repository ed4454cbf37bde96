"""A finished training as a model folder that `bmepipe.models.bundle` loads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bmepipe import RESEARCH_ONLY
from bmepipe.errors import BadSettings
from bmepipe.training.model_folder import half_precision, last_scores, write_model


@dataclass(frozen=True)
class Card:
    """What a model card says that the training itself does not know.

    Parameters
    ----------
    name : str
        Of the model folder.
    labels : tuple of (name, SNOMED CT code, meaning)
        What each output channel after the background is.
    trained_on : tuple of str
        Every source of shape, with its origin and licence.
    smallest_ml : tuple of float
        One per bone, in the order of the labels: a bone found smaller is taken for a false one.
    least_confidence : float
        Mean probability inside the bones below which nothing is believed.
    coronal_within_deg : float
        Up to which angle slices that lean between coronal and axial are shown as coronal.
    likeness : bool
        Whether the network's doubt is settled by the signal of the certain bone.
    border_probability : float
        Where a bone's coarse border lies.
    beside : tuple of str
        What the output channels after those are: no bone, but told from it by name, so that it is
        not taken for bone.
    measured : tuple of str
        Sentences with what was measured, and how.
    """

    name: str
    labels: tuple[tuple[str, str, str], ...]
    trained_on: tuple[str, ...]
    smallest_ml: tuple[float, ...]
    least_confidence: float = 0.6
    coronal_within_deg: float = 45.0
    likeness: bool = False
    border_probability: float = 0.5
    beside: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()

    @property
    def channels(self) -> list[str]:
        """What each output channel after the background is."""
        return [*(name for name, _, _ in self.labels), *self.beside]


def export_bundle(checkpoint: Path, card: Card, root: Path) -> Path:
    """Write ``root/NAME`` in MONAI bundle shape with half-precision weights; return that folder.

    Parameters
    ----------
    checkpoint : Path
        Of `training.train`; the running mean of its weights is what is shipped.
    card : Card
    root : Path

    Raises
    ------
    BadSettings
        If the network has another number of labels than the card.
    """
    stored = torch.load(checkpoint, map_location="cpu", weights_only=True)
    count = stored["network"]["out_channels"] - 1 - len(card.beside)
    if not count == len(card.labels) == len(card.smallest_ml):
        raise BadSettings(
            f"{count} labels, as the network has",
            f"{len(card.labels)} in labels, {len(card.smallest_ml)} in smallest_ml",
            "correct the training settings",
        )
    folder = root / card.name
    labels = [
        {"label": number, "name": name, "snomed_code": code, "meaning": meaning}
        for number, (name, code, meaning) in enumerate(card.labels, start=1)
    ]
    minutes = stored["trained_s"] / 60
    metadata = {
        "task": "bones in MR images of any contrast",
        "network_data_format": _data_format(card.channels),
        "labels": labels,
    }
    multiple = 1
    for stride in stored["network"]["strides"]:
        multiple *= stride
    inference = {
        "network": stored["network"],
        "spacing_mm": stored["spacing_mm"],
        "flatten": stored["flatten"],
        "multiple": multiple,
        "smallest_ml": dict(enumerate(card.smallest_ml, start=1)),
        "least_confidence": card.least_confidence,
        "coronal_within_deg": card.coronal_within_deg,
        "likeness": card.likeness,
        "border_probability": card.border_probability,
    }
    scores = last_scores(checkpoint.parent)
    dice = {key: value for key, value in scores.items() if key.startswith("dice_")}
    text = card_text(card, stored["iteration"], minutes, dice)
    write_model(folder, half_precision(stored["ema"]), metadata, inference, text)
    return folder


def card_text(card: Card, iterations: int, minutes: float, dice: dict[str, float]) -> str:
    """Return the model card."""
    scores = ", ".join(
        f"{card.channels[int(key.rpartition('_')[2]) - 1]} {value:.2f}"
        for key, value in dice.items()
        if not math.isnan(value)  # no held-out sample shows it
    )
    lines = [
        f"# {card.name}",
        "",
        f"Finds {', '.join(row[0] for row in card.labels)} on MR images of any one contrast, in any"
        " plane. Where a study has a T1 and a fat-suppressed series, both are shown to the network"
        " and their probabilities joined.",
        "",
        f"> {RESEARCH_ONLY}",
        "",
        "## Training",
        "",
        f"{iterations} iterations in {minutes:.0f} minutes, on synthetic images alone: label maps"
        " are bent, turned, given random greys, cut to random fields of view and sliced anew for"
        " every sample (`bmepipe/training/synthesis.py`). No patient's image was used. The shapes:",
        "",
        *(f"- {line}" for line in card.trained_on),
        "",
        "## Measured",
        "",
        f"- Dice on synthetic samples held out from the training: {scores or 'not measured'}.",
        *(f"- {line}" for line in card.measured),
        "",
    ]
    return "\n".join(lines)


def _data_format(names: list[str]) -> dict[str, Any]:
    channels = {str(n): name for n, name in enumerate(["background", *names])}
    image = {
        "type": "image",
        "format": "magnitude",
        "num_channels": 1,
        "dtype": "float32",
        "value_range": [0, 2],
        "channel_def": {"0": "MR signal, its 99th percentile at 1"},
    }
    output = {
        "type": "image",
        "format": "segmentation",
        "num_channels": len(channels),
        "dtype": "float32",
        "channel_def": channels,
    }
    return {"inputs": {"image": image}, "outputs": {"pred": output}}
