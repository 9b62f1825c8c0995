"""Packs of tiles: cut after the split, mapped from disk, flat in memory."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open
from small_sets import texture, write_dataset, write_overlaps

from defectbench.base.errors import LeakageError, PackError
from defectbench.base.tiling import Tiling
from defectbench.cli import main
from defectbench.data.certificate import certify
from defectbench.data.groups import group_images
from defectbench.data.mapped import file_checksum, write_streamed
from defectbench.data.pack import checksum, load_arrays, load_pack, tiling_of_pack
from defectbench.data.tile_pack import pack_tiles

TILING = Tiling(side=64, overlap=16)
# pit_0 lies across four tiles, pit_1 has none, pit_2 is smaller than a tile
BOXES = {
    "pit_0.png": [(1, [30.0, 30.0, 60.0, 50.0]), (0, [0.0, 0.0, 10.0, 10.0])],
    "pit_1.png": [],
    "pit_2.png": [(0, [5.0, 6.0, 20.0, 10.0])],
}
BOXES |= {f"pit_{k + 3}.png": BOXES[f"pit_{k}.png"] for k in range(3)}  # the training part is alike


@pytest.fixture
def folder(tmp_path):
    sides = {0: (100, 140), 2: (40, 50)}
    images = {f"pit_{k}.png": texture(k, *sides.get(k % 3, (100, 100))) for k in range(7)}
    folder = write_dataset(tmp_path / "set", images, BOXES)
    write_overlaps(folder, [])
    group_images(folder)
    parts = folder / "random" / "split0"
    parts.mkdir(parents=True)
    for part, numbers in {"train": (3, 4, 5), "val": (6,), "test": (0, 1, 2)}.items():
        (parts / f"{part}.txt").write_text("".join(f"pit_{k}.png\n" for k in numbers))
    certify(folder, "random")
    return folder


def made(folder, part="test", size=64, tiling=TILING):
    out = folder / f"{part}@x.safetensors"
    pack_tiles(folder, "random", part, size, out, tiling)
    return out


def test_a_row_is_a_tile_and_the_whole_images_stand_beside(folder):
    pack = load_arrays(made(folder))
    assert pack.whole is not None
    assert (len(pack), pack.n_images, pack.size) == (6 + 4 + 1, 3, 64)
    assert pack.image_ids.tolist() == [1] * 6 + [2] * 4 + [3]
    assert pack.whole.windows[:2].tolist() == [[0, 0, 64, 64], [38, 0, 102, 64]]
    assert pack.whole.ids.tolist() == [1, 2, 3]
    assert pack.whole.size.tolist() == [[140, 100], [100, 100], [50, 40]]
    assert pack.whole.boxes[0].tolist() == [[30, 30, 90, 80], [0, 0, 10, 10]]
    assert pack.whole.labels.tolist() == [[1, 0], [-1, -1], [0, -1]]
    assert pack.whole.tiling == TILING.model_dump() == tiling_of_pack(pack.path)
    assert pack.original_size.tolist() == [[64, 64]] * 11
    assert (pack.scale.tolist(), pack.pad.any()) == ([1.0] * 11, False)


def test_pixels_are_those_of_the_image_and_grey_beside_a_small_one(folder):
    pack = load_arrays(made(folder))
    assert pack.whole is not None
    whole = cv2.imread(str(folder / "images" / "pit_0.png"), cv2.IMREAD_COLOR_RGB)
    for row in range(6):
        x0, y0, x1, y1 = pack.whole.windows[row]
        assert np.array_equal(pack.images[row], whole[y0:y1, x0:x1].transpose(2, 0, 1))
    small = cv2.imread(str(folder / "images" / "pit_2.png"), cv2.IMREAD_COLOR_RGB)
    assert np.array_equal(pack.images[10][:, :40, :50], small.transpose(2, 0, 1))
    assert (pack.images[10][:, 40:] == 114).all()
    assert (pack.images[10][:, :, 50:] == 114).all()


def test_boxes_are_cut_at_the_tile_and_scaled_to_its_input(folder):
    pack = load_arrays(made(folder, size=32))
    assert pack.scale.tolist() == [0.5] * 11
    assert pack.images.shape == (11, 3, 32, 32)
    assert pack.labels[:2].tolist() == [[0], [1]]  # the first tile shows a third of the other
    assert pack.boxes[0, 0].tolist() == [0, 0, 5, 5]
    assert pack.boxes[1, 0].tolist() == [0, 15, 26, 32]
    assert pack.boxes[10, 0].tolist() == [2.5, 3, 12.5, 8]
    assert not pack.boxes[pack.labels < 0].any()


def test_tensors_of_torch_hold_the_same(folder):
    path = made(folder)
    arrays, tensors = load_arrays(path), load_pack(path)
    for name in ("images", "boxes", "labels", "image_ids", "scale", "pad"):
        assert np.array_equal(getattr(arrays, name), getattr(tensors, name).numpy()), name
    assert tensors.images.dtype == torch.uint8
    assert tensors.whole is not None


def test_training_keeps_a_share_of_the_tiles_without_a_defect(folder):
    counts = {}
    for share in (0.0, 0.5, 1.0):
        tiling = TILING.model_copy(update={"free_share": share})
        pack = load_arrays(made(folder, "train", tiling=tiling))
        defective = (pack.labels >= 0).any(axis=1)
        counts[share] = (int(defective.sum()), int((~defective).sum()))
    with_boxes, free = counts[1.0]
    assert counts == {
        0.0: (with_boxes, 0),
        0.5: (with_boxes, round(0.5 * free)),
        1.0: (with_boxes, free),
    }
    assert free == 4  # those of pit_4: every other tile shows a part of a box at least


def test_tiles_that_show_less_of_a_defect_than_counts_are_left_out_of_training_alone(folder):
    whole_only = TILING.model_copy(update={"least_visible": 1.0, "free_share": 0.0})
    train = load_arrays(made(folder, "train", tiling=whole_only))
    assert (train.labels >= 0).any(axis=1).all()
    assert train.image_ids.tolist() == [4, 4, 6]
    assert train.n_images == 3  # of the list; one of them has no tile
    test = load_arrays(made(folder, "test", tiling=whole_only))
    assert len(test) == 11


def test_a_pack_of_tiles_is_as_good_as_its_checksum(folder):
    path = made(folder)
    first = path.read_bytes()
    assert made(folder).read_bytes() == first
    with safe_open(path, "np") as handle:
        tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
        stated = handle.metadata()["sha256"]
    assert checksum(tensors) == file_checksum(path) == stated
    data = bytearray(first)
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(PackError, match="sha256"):
        load_pack(path)
    assert len(load_pack(path, verify=False)) == 11
    path.write_bytes(first[:-100])
    with pytest.raises(PackError, match="content"):
        load_pack(path)


def test_a_pack_of_whole_images_is_of_no_tiling(folder):
    assert (
        main(
            [
                "pack",
                "--dataset",
                str(folder),
                "--protocol",
                "random",
                "--size",
                "64",
                "--part",
                "val",
            ]
        )
        == 0
    )
    path = folder / "random" / "split0" / "val@64.safetensors"
    assert tiling_of_pack(path) is None
    assert load_arrays(path).whole is None
    with pytest.raises(PackError, match="content"):
        tiling_of_pack(folder / "none.safetensors")


def test_the_verb_names_packs_by_their_tiling(folder, capsys):
    asked = ["pack", "--dataset", str(folder), "--protocol", "random", "--size", "32"]
    assert main([*asked, "--tiles", '{"side": 64, "overlap": 16}']) == 0
    names = sorted(p.name for p in (folder / "random" / "split0").glob("*.safetensors"))
    assert names == [
        f"{part}@32.s64-o16-v0.5-f1.0.safetensors" for part in ("test", "train", "val")
    ]
    assert main([*asked, "--tiles", '{"side": 64, "overlap": 60}']) == 2
    assert "at most 48, three quarters of the side" in capsys.readouterr().err


def test_a_list_changed_after_its_certificate_is_refused(folder):
    (folder / "random" / "split0" / "test.txt").write_text("pit_0.png\npit_5.png\n")
    with pytest.raises(LeakageError, match=r"test\.txt: sha256"):
        made(folder)
    assert not list(folder.glob("*.safetensors"))


def test_what_cannot_be_cut_is_named(folder, monkeypatch):
    with pytest.raises(PackError, match="size: got 0"):
        made(folder, size=0)
    with monkeypatch.context() as patch:
        patch.setattr("defectbench.data.tile_pack.MOST_TILES", 5)
        with pytest.raises(PackError, match=r"pit_0\.png: tiles: got 6; cut it into 5 at most"):
            made(folder)
    (folder / "images" / "pit_1.png").write_bytes(b"")
    with pytest.raises(PackError, match=r"pit_1\.png: image"):
        made(folder)
    assert not list(folder.glob("*.safetensors"))
    content = json.loads((folder / "annotations.json").read_text())
    content["annotations"] = []
    (folder / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(PackError, match="tiles: got 0; no image shows a defect"):
        made(folder, "train", tiling=TILING.model_copy(update={"free_share": 0.0}))
    content["info"] = {"task": "classification"}
    (folder / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(PackError, match="task: got 'classification'; its images are scored whole"):
        made(folder)


@pytest.mark.parametrize("rows", [1, 3])
def test_rows_that_were_not_announced_are_named(tmp_path, rows):
    blocks = (np.zeros((2, 2), np.uint8) for _ in range(rows))
    with pytest.raises(PackError, match="announced"):
        write_streamed(tmp_path / "x", {}, "images", (2, 2, 2), blocks, {})
    assert not list(tmp_path.iterdir())


MEMORY = """
import sys
from pathlib import Path
import torch
from defectbench.base.tiling import Tiling
from defectbench.data.pack import load_pack
from defectbench.data.tile_pack import pack_tiles
from defectbench.training.batches import PackBatches

def held():
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem")))

folder, out = Path(sys.argv[1]), Path(sys.argv[2])
tiling = Tiling(side=48, overlap=16)
pack_tiles(folder, "random", "val", 48, out, tiling)  # a first call loads what all need
PackBatches(load_pack(out), 1, 0).rows(torch.tensor([0]))
before = held()
pack_tiles(folder, "random", "train", 48, out, tiling)
batches = PackBatches(load_pack(out), 16, 0)
most = held()
order = batches.order(0)
for position in range(batches.steps_per_epoch):
    batches.take(order, position)
    most = max(most, held())
print(out.stat().st_size // 1024, most - before)
"""


def test_memory_stays_flat_over_2000_images(tmp_path):
    image = texture(0, 64, 64)
    entries = [
        {"id": n, "file_name": f"pit_{n}.png", "width": 64, "height": 64} for n in range(2002)
    ]
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    code = cv2.imencode(".png", image)[1].tobytes()
    for entry in entries:
        (folder / "images" / entry["file_name"]).write_bytes(code)
    boxes = [
        {
            "id": n + 1,
            "image_id": n,
            "category_id": 0,
            "bbox": [5, 5, 30, 30],
            "area": 900,
            "iscrowd": 0,
        }
        for n in range(2002)
    ]
    classes = [{"id": 0, "name": "pit"}]
    content = {"images": entries, "annotations": boxes, "categories": classes}
    (folder / "annotations.json").write_text(json.dumps(content))
    write_overlaps(folder, [])
    (folder / "groups.csv").write_text("image_id,file_name,group\n")
    parts = folder / "random" / "split0"
    parts.mkdir(parents=True)
    names = [entry["file_name"] for entry in entries]
    for part, some in {
        "train": names[:2000],
        "val": names[2000:2001],
        "test": names[2001:],
    }.items():
        (parts / f"{part}.txt").write_text("".join(f"{name}\n" for name in some))
    certify(folder, "random")
    run = subprocess.run(
        [sys.executable, "-c", MEMORY, str(folder), str(tmp_path / "x.safetensors")],
        capture_output=True,
        text=True,
        check=True,
    )
    on_disk, grown = map(int, run.stdout.split())
    assert on_disk > 40_000  # KiB: 2,000 images, three tiles of each
    assert grown < 0.15 * on_disk, (on_disk, grown)
