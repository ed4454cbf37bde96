"""Make the phantoms that the edema network is trained on.

    python scripts/prepare_edema.py CACHE [--people 112] [--first-seed 2000]

CACHE is a folder outside the repository. Each person, some 10 s, is rendered with two kinds of
fat-suppressed sequence; what is there already is kept. Seeds below 1000 are refused: tests and
tables use them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from bmepipe.training.edema_phantoms import SITES, make_cache


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--people", type=int, default=112)
    parser.add_argument("--first-seed", type=int, default=2000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for number in range(arguments.people):
        site, seed = SITES[number % len(SITES)], arguments.first_seed + number
        for path in make_cache(arguments.cache, [site], [seed]):
            print(path.name, flush=True)


if __name__ == "__main__":
    main()
