"""Bones of one series: our way against MONAI's plain sliding windows in 32 bit.

    scripts/bench_bones.py [--site knee] [--seed 7]

A phantom of clinical resolution, the fat-suppressed series alone, models loaded before. Prints wall
seconds, of several runs the fastest, the largest memory of this process, and Dice of both.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np

from bmepipe.analysis.agreement import dice
from bmepipe.models.bundle import Bundle, bundle_of
from bmepipe.models.network import normalise
from bmepipe.models.regrid import place, to_network
from bmepipe.models.seen import predict
from bmepipe.models.segment import segment_bones
from bmepipe.phantom.study import make_phantom
from bmepipe.site import load_site
from bmepipe.study import Pair, SequenceClass

WINDOW, OVERLAP = 64, 0.5


def fastest_s(work: Callable[[], object], repeats: int = 3) -> float:
    """Return the least wall seconds of several runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def windows(bundle: Bundle, signal: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return labels from overlapping windows, as a MONAI bundle does by default."""
    import torch
    from monai.inferers import sliding_window_inference

    mask = torch.from_numpy(inside)
    image = normalise(torch.from_numpy(signal).clamp(min=0), mask, flatten=bundle.flatten)
    with torch.inference_mode():
        logits = sliding_window_inference(
            image[None, None], (WINDOW,) * 3, 1, bundle.network, overlap=OVERLAP, mode="gaussian"
        )
    return logits.argmax(1)[0].numpy().astype(np.uint8)


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", default="knee")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    site = load_site(arguments.site)
    phantom = make_phantom(site.name, arguments.seed)
    bundle = bundle_of(site)
    pair = Pair(phantom.t2fs, None, SequenceClass.PD_FS)
    placement = place(
        phantom.t2fs.grid, bundle.spacing_mm, bundle.multiple, bundle.coronal_within_deg
    )
    signal, inside = to_network(phantom.t2fs.data, placement)
    whole_s = fastest_s(lambda: predict(bundle, [signal], inside))
    plain_s = fastest_s(lambda: windows(bundle, signal, inside))
    all_s = fastest_s(lambda: segment_bones(pair, site, bundle))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"grid of the network {signal.shape} at {bundle.spacing_mm} mm")
    print(f"network, one pass over the whole volume  {whole_s:6.2f} s")
    print(f"network, windows of {WINDOW} at {OVERLAP:.0%} overlap   {plain_s:6.2f} s "
          f"({plain_s / whole_s:.1f} times as long)")  # fmt: skip
    print(f"bones of one series, outlines included   {all_s:6.2f} s")
    print(f"largest memory of this process, the phantom's making included {peak_mb:6.0f} MB")
    truth, _ = to_network((phantom.bones.data > 0).astype(np.float32), placement)
    for name, labels in (
        ("whole", predict(bundle, [signal], inside)[0].argmax(0).numpy()),
        ("windows", windows(bundle, signal, inside)),
    ):
        print(f"all bones on the network's grid, {name}: Dice {dice(labels > 0, truth > 0.5):.3f}")


if __name__ == "__main__":
    main()
