"""What the index of the overlap finder costs and misses, beside all pairs, on one set in one run.

    python benchmarks/overlap_index.py results/data/neu-det --every 4 --out index.json

Times are CPU seconds of this process, so that other jobs on the machine stretch both alike.
"""

import argparse
import json
import resource
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from defectbench.base.files import atomic_path
from defectbench.data.overlap import comparable_pictures, find_overlaps, read_overlaps
from defectbench.data.phase import shifted_pairs


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path, help="folder with images/ and annotations.json")
    parser.add_argument("--every", type=int, default=1, help="take each so many-th image by name")
    parser.add_argument("--table", type=Path, help="a stored overlaps.csv in place of all pairs")
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    arguments = parser.parse_args()
    with TemporaryDirectory() as scratch:
        folder = thinned(arguments.dataset, arguments.every, Path(scratch) / "set")
        record = measured(folder, arguments.table)
    record = {"dataset": arguments.dataset.name, "every": arguments.every, **record}
    with atomic_path(arguments.out) as part:
        part.write_text(json.dumps({"figures": record}, indent=2) + "\n")
    print(json.dumps(record, indent=2))


def thinned(dataset: Path, every: int, folder: Path) -> Path:
    """A folder of each so many-th image of a dataset, in order of names, without boxes."""
    content = json.loads((dataset / "annotations.json").read_text())
    images = sorted(content["images"], key=lambda image: image["file_name"])[::every]
    (folder / "images").mkdir(parents=True)
    for image in images:
        name = image["file_name"]
        (folder / "images" / name).symlink_to((dataset / "images" / name).resolve())
    kept = {"images": images, "annotations": [], "categories": content["categories"]}
    (folder / "annotations.json").write_text(json.dumps(kept))
    return folder


def measured(folder: Path, table: Path | None) -> dict[str, object]:
    """Figures of the finder on a dataset folder, beside all pairs or a stored table."""
    start = time.process_time()
    found = find_overlaps(folder)
    index_s = time.process_time() - start
    names = sorted(path.name for path in (folder / "images").iterdir())
    record = {
        "images": len(names),
        "pairs": len(found),
        "kinds": dict(Counter(pair.kind for pair in found)),
        "index_cpu_s": round(index_s, 1),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    if table is not None:
        here = set(names)
        known = {p.names for p in read_overlaps(table.parent) if set(p.names) <= here}
    else:
        start = time.process_time()
        with TemporaryDirectory() as scratch:
            pictures, _ = comparable_pictures([folder / "images" / n for n in names], Path(scratch))
            shifts = shifted_pairs(pictures)
        all_pairs_s = time.process_time() - start
        known = {(names[shift.i], names[shift.j]) for shift in shifts}
        record["all_pairs_cpu_s"] = round(all_pairs_s, 1)
        record["ratio"] = round(all_pairs_s / index_s, 2)
    missed = sorted(known - {pair.names for pair in found})
    record["known_pairs"] = len(known)
    record["recall"] = round(1 - len(missed) / len(known), 4) if known else None
    record["missed"] = [list(names) for names in missed]
    return record


if __name__ == "__main__":
    main()
