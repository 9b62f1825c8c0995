"""How the overlap finder's time and memory grow with the number of images, on drawn steel whose overlaps are known.

Strips of ten crops are drawn as the embedded set is, at the size of NEU-DET's images. For each number of images the
finder runs in a process of its own, so that its peak of memory is its own.

    python benchmarks/overlap_scale.py --images 1000 5000 20000 --out results/reference/overlaps/scale.json

A number that the record holds already is left out. Times are CPU seconds of the process and its wall time; the finder
uses all cores.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from defectbench.base.files import atomic_path, read_json
from defectbench.base.records import hardware_card
from defectbench.data.overlap import find_overlaps
from defectbench.data.synthetic_defects import DRAWERS
from defectbench.data.synthetic_strip import draw_strip

SIDE, CROPS = 200, 10  # pixels; crops of a strip
KINDS = (*DRAWERS, None)  # None: bare steel
PLAIN = 0.3  # overlaps of at least this share of an image are expected to be found


def shared(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Share of a crop that another of the same strip shows as well, 0..1, from their first rows and columns."""
    rows, columns = (max(SIDE - abs(a - b), 0) for a, b in zip(first, second, strict=True))
    return rows * columns / SIDE**2


def drawn_set(folder: Path, count: int) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Write a dataset folder of drawn crops; its pairs that overlap plainly, and all that overlap at all."""
    (folder / "images").mkdir(parents=True)
    images, plain, any_share = [], set(), set()
    for number, start in enumerate(range(0, count, CROPS)):
        rng = np.random.default_rng((number, 20))
        strip = draw_strip(rng, KINDS[number % len(KINDS)], min(CROPS, count - start), SIDE)
        names = [f"s{number:05d}_{place:02d}.png" for place in range(len(strip.windows))]
        for name, (row, column) in zip(names, strip.windows, strict=True):
            pixels = strip.pixels[row : row + SIDE, column : column + SIDE]
            Image.fromarray(pixels).save(folder / "images" / name, compress_level=1)
            entry = {"id": len(images), "file_name": name, "width": SIDE, "height": SIDE}
            images.append(entry)
        for one, other in combinations(range(len(names)), 2):
            share = shared(strip.windows[one], strip.windows[other])
            if share > 0:
                any_share.add((names[one], names[other]))
            if share >= PLAIN:
                plain.add((names[one], names[other]))
    content = {"images": images, "annotations": [], "categories": [{"id": 0, "name": "defect"}]}
    (folder / "annotations.json").write_text(json.dumps(content))
    return plain, any_share


def figures_of(count: int) -> dict[str, float]:
    """What the finder costs and finds on so many images."""
    with TemporaryDirectory() as scratch:
        plain, any_share = drawn_set(Path(scratch) / "set", count)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start, cpu = time.perf_counter(), time.process_time()
        found = {pair.names for pair in find_overlaps(Path(scratch) / "set")}
        cpu_s, wall_s = time.process_time() - cpu, time.perf_counter() - start
    return {
        "images": count,
        "cpu_s": round(cpu_s, 1),
        "wall_s": round(wall_s, 1),
        "memory_before_mib": round(before / 1024),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "pairs": len(found),
        "plain_pairs": len(plain),
        "plain_found": len(plain & found),
        "across_strips": len(found - any_share),
    }


def main() -> None:
    """Measure what the record lacks, one number of images a process."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--images", type=int, nargs="+", required=True, help="numbers of images")
    parser.add_argument("--out", type=Path, help="JSON to write, or to go on with")
    arguments = parser.parse_args()
    if arguments.out is None:  # in a process of its own
        print(json.dumps([figures_of(count) for count in arguments.images]))
        return
    record = read_json(arguments.out) if arguments.out.is_file() else {"figures": {"sets": []}}
    sets = record["figures"]["sets"]
    for count in arguments.images:
        if any(row["images"] == count for row in sets):
            continue
        command = [sys.executable, __file__, "--images", str(count)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        row = {**json.loads(done.stdout)[0], "hardware": hardware_card()}
        print(json.dumps(row), flush=True)
        sets.append(row)
        sets.sort(key=lambda one: one["images"])
        with atomic_path(arguments.out) as part:
            part.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
