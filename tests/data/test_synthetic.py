import csv
import hashlib
from collections import Counter
from itertools import pairwise, product

import cv2
import numpy as np
import pytest

from defectbench.base.cards import DefectLook
from defectbench.base.errors import ConfigError
from defectbench.base.files import read_json
from defectbench.data import synthetic
from defectbench.data.formats.voc import read_voc
from defectbench.data.synthetic import (
    CLASSES,
    LEAST_BOX_PX,
    SIZE,
    VISIBLE_SHARE,
    Crop,
    draw_crops,
    synthesize,
    true_overlaps,
    visible_boxes,
    voc_label,
)
from defectbench.data.synthetic_defects import DRAWERS, Defect, draw_defect
from defectbench.data.synthetic_sheet import COLOURS, draw_boxes, render_sheet
from defectbench.data.synthetic_strip import Placed, draw_strip
from defectbench.data.synthetic_texture import draw_finish, steel

SMALL = 24


def generator(seed=0):
    return np.random.Generator(np.random.PCG64(seed))


def bytes_of(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def placed(rows, columns, row=0, column=0, name="patches"):
    """A defect whose mask is a full rectangle."""
    mask = np.ones((rows, columns), bool)
    return Placed(Defect(name, mask * -30.0, mask), row, column)


@pytest.fixture(scope="module")
def whole_set():
    return list(draw_crops(seed=0))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "raw"
    synthesize(folder, seed=3, images=SMALL)
    return folder


# The same seed, the same bytes


def test_same_seed_gives_same_bytes(written, tmp_path):
    synthesize(tmp_path / "again", seed=3, images=SMALL)
    assert bytes_of(tmp_path / "again") == bytes_of(written)


def test_other_seed_gives_other_images(written, tmp_path):
    synthesize(tmp_path / "other", seed=4, images=SMALL)
    ours, theirs = bytes_of(written), bytes_of(tmp_path / "other")
    shared = [n for n in ours if n.startswith("IMAGES") and ours[n] == theirs.get(n)]
    assert shared == []


def test_threads_do_not_change_a_pixel():
    before = cv2.getNumThreads()
    digests = []
    for threads in (1, 4):
        cv2.setNumThreads(threads)
        crops = list(draw_crops(seed=5, images=8))
        digests.append(hashlib.sha256(b"".join(c.pixels.tobytes() for c in crops)).hexdigest())
    cv2.setNumThreads(before)
    assert digests[0] == digests[1]


def test_each_strip_has_a_stream_of_its_own():
    longer = {c.file_name: c for c in draw_crops(seed=1, images=12)}
    for crop in list(draw_crops(seed=1, images=6))[:4]:
        assert np.array_equal(crop.pixels, longer[crop.file_name].pixels)


# Boxes


def test_box_is_tight_to_a_mask_wholly_inside():
    mask = np.zeros((30, 40), bool)
    mask[5:20, 7:31] = True
    defect = Placed(Defect("patches", mask * 1.0, mask), row=50, column=60)
    assert visible_boxes([defect], 0, 0, 200) == [("patches", 67, 55, 91, 70)]


def test_box_is_cut_at_the_border_of_the_crop():
    assert visible_boxes([placed(40, 40, 180, -10)], 0, 0, 200) == [("patches", 0, 180, 30, 200)]
    assert visible_boxes([placed(40, 40, 90, 90)], 100, 110, 200) == [("patches", 0, 0, 20, 30)]


def test_cut_box_follows_the_shown_part_of_the_mask():
    mask = np.zeros((40, 40), bool)
    mask[:20, :8] = mask[20:, :] = True
    box = visible_boxes([Placed(Defect("patches", mask * 1.0, mask), 180, 10)], 0, 0, 200)
    assert box == [("patches", 10, 180, 18, 200)]


@pytest.mark.parametrize(("shown", "kept"), [(14, False), (15, True)])
def test_box_goes_where_too_little_of_the_defect_shows(shown, kept):
    assert VISIBLE_SHARE == 0.15
    assert bool(visible_boxes([placed(100, 50, 200 - shown, 0)], 0, 0, 200)) is kept


@pytest.mark.parametrize(("shown", "kept"), [(LEAST_BOX_PX - 1, False), (LEAST_BOX_PX, True)])
def test_box_goes_where_it_is_a_sliver(shown, kept):
    assert bool(visible_boxes([placed(20, 50, 200 - shown, 0)], 0, 0, 200)) is kept


@pytest.mark.parametrize(("row", "column"), [(200, 0), (-40, 0), (0, 200), (0, -40), (300, 300)])
def test_defect_outside_the_crop_has_no_box(row, column):
    assert visible_boxes([placed(40, 40, row, column)], 0, 0, 200) == []


def test_boxes_of_the_set_are_the_hulls_of_the_drawn_masks():
    strip = draw_strip(generator(7), "patches", 3, SIZE)
    for row, column in strip.windows:
        boxes = visible_boxes(strip.defects, row, column, SIZE)
        hulls = []
        for item in strip.defects:
            canvas = np.zeros(strip.pixels.shape, bool)
            height, width = item.defect.mask.shape
            spot = np.s_[item.row : item.row + height, item.column : item.column + width]
            canvas[spot] = item.defect.mask
            y, x = np.nonzero(canvas[row : row + SIZE, column : column + SIZE])
            hull = (x.min(), y.min(), x.max() + 1, y.max() + 1) if x.size else (0, 0, 0, 0)
            is_kept = x.size >= VISIBLE_SHARE * canvas.sum()
            if is_kept and min(hull[2] - hull[0], hull[3] - hull[1]) >= LEAST_BOX_PX:
                hulls.append((item.defect.name, *hull))
        assert boxes == hulls


# Defects


@pytest.mark.parametrize(("name", "seed"), list(product(DRAWERS, range(6))))
def test_mask_fills_its_frame_and_marks_where_the_surface_changes(name, seed):
    defect = draw_defect(generator(seed), name, 40.0)
    mask, change = defect.mask, np.abs(defect.change)
    assert all(edge.any() for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))
    assert change[mask].mean() > 25
    # Flakes have bright rims outside of their mask.
    assert change[mask].mean() > (2 if name == "rolled-in_scale" else 3) * change[~mask].mean()


def test_contrast_follows_strength():
    weak, strong = (draw_defect(generator(2), "inclusion", s) for s in (20.0, 40.0))
    assert np.allclose(strong.change, 2 * weak.change)


def test_scratches_are_bright_and_inclusions_dark():
    for seed in range(4):
        scratch = draw_defect(generator(seed), "scratches", 30.0)
        inclusion = draw_defect(generator(seed), "inclusion", 30.0)
        assert scratch.change[scratch.mask].mean() > 0 > inclusion.change[inclusion.mask].mean()


def test_steel_keeps_to_its_finish():
    finish = draw_finish(generator(1))
    surface = steel(generator(1), (400, 224), finish)
    assert surface.shape == (400, 224)
    assert abs(surface.mean() - finish.level) < 2 * finish.shade + finish.mottle
    assert surface.std() > 2


# The set as a whole


def test_set_has_the_promised_size_and_share_of_bare_images(whole_set):
    assert len(whole_set) == synthetic.IMAGES
    bare = sum(not crop.boxes for crop in whole_set)
    assert abs(bare / len(whole_set) - synthetic.DEFECT_FREE_SHARE) < 0.01


def test_classes_are_balanced(whole_set):
    boxes = Counter(box[0] for crop in whole_set for box in crop.boxes)
    assert set(boxes) == set(CLASSES)
    assert max(boxes.values()) < 1.6 * min(boxes.values())
    leading = Counter(max(CLASSES, key=[b[0] for b in c.boxes].count) for c in whole_set if c.boxes)
    assert max(leading.values()) - min(leading.values()) <= 3


def test_images_show_one_to_six_defects_and_some_mix_classes(whole_set):
    numbers = Counter(len(crop.boxes) for crop in whole_set if crop.boxes)
    assert set(range(1, 6)) <= set(numbers) <= set(range(1, 7))
    mixed = sum(len({box[0] for box in crop.boxes}) > 1 for crop in whole_set)
    assert 0.15 < mixed / len(whole_set) < 0.6


def test_scale_varies_at_least_tenfold(whole_set):
    sides = [np.sqrt((b[3] - b[1]) * (b[4] - b[2])) for crop in whole_set for b in crop.boxes]
    assert max(sides) / min(sides) >= 10
    low, high = np.percentile(sides, [5, 95])
    assert high / low > 4


def test_boxes_lie_inside_their_image(whole_set):
    for crop in whole_set:
        for _, x0, y0, x1, y1 in crop.boxes:
            assert 0 <= x0 < x0 + LEAST_BOX_PX <= x1 <= SIZE
            assert 0 <= y0 < y0 + LEAST_BOX_PX <= y1 <= SIZE


def test_overlapping_crops_show_the_same_pixels_at_the_stated_shift(whole_set):
    pixels = {crop.file_name: crop.pixels for crop in whole_set}
    pairs = true_overlaps(whole_set)
    assert len(pairs) > 100
    for a, b, dx, dy, share in pairs:
        first = pixels[a][max(dy, 0) : SIZE + min(dy, 0), max(dx, 0) : SIZE + min(dx, 0)]
        second = pixels[b][max(-dy, 0) : SIZE - max(dy, 0), max(-dx, 0) : SIZE - max(dx, 0)]
        assert np.array_equal(first, second)
        assert share == pytest.approx(first.size / SIZE**2)


def test_groups_are_small_and_joined_by_overlaps(whole_set):
    sizes = Counter(crop.group for crop in whole_set)
    assert max(sizes.values()) <= 4
    assert sum(n == 1 for n in sizes.values()) > len(sizes) / 2
    strong = {(a, b) for a, b, _, _, share in true_overlaps(whole_set) if share > 0.25}
    neighbours = {(a.file_name, b.file_name) for a, b in pairwise(whole_set) if a.group == b.group}
    assert neighbours <= strong


def test_crops_of_one_strip_share_their_leading_class(whole_set):
    leading = {}
    for crop in whole_set:
        names = [box[0] for box in crop.boxes]
        leading.setdefault(crop.group, set()).add(max(CLASSES, key=names.count) if names else None)
    assert all(len(names) == 1 for names in leading.values())


# Files


def test_labels_say_what_was_drawn(written):
    for crop in draw_crops(seed=3, images=SMALL):
        stem = crop.file_name.removesuffix(".png")
        read = read_voc(written / "ANNOTATIONS" / f"{stem}.xml").boxes
        assert [(b.name, *b.corners) for b in read] == crop.boxes
        image = cv2.imread(str(written / "IMAGES" / crop.file_name), cv2.IMREAD_UNCHANGED)
        assert image.dtype == np.uint8
        assert np.array_equal(image, crop.pixels)


def test_label_corners_are_one_based_and_inclusive():
    crop = Crop("a.png", 0, 0, 0, np.zeros((200, 200), np.uint8), [("patches", 0, 10, 5, 200)])
    text = b"".join(line.strip() for line in voc_label(crop).splitlines())
    assert b"<xmin>1</xmin><ymin>11</ymin><xmax>5</xmax><ymax>200</ymax>" in text


def test_tables_agree_with_the_images(written):
    crops = list(draw_crops(seed=3, images=SMALL))
    with open(written / "groups.csv") as file:
        groups = {row["file_name"]: int(row["group"]) for row in csv.DictReader(file)}
    assert groups == {crop.file_name: crop.group for crop in crops}
    with open(written / "overlaps.csv") as file:
        rows = [
            (r["image_a"], r["image_b"], int(r["dx"]), int(r["dy"])) for r in csv.DictReader(file)
        ]
    assert rows == [pair[:4] for pair in true_overlaps(crops)]
    facts = read_json(written / "synthetic.json")
    assert facts["images"] == SMALL == len(list((written / "IMAGES").iterdir()))
    assert facts["boxes"] == sum(len(crop.boxes) for crop in crops)
    assert facts["seed"] == 3


@pytest.mark.parametrize(("field", "value"), [("images", 0), ("size", 64), ("seed", -1)])
def test_impossible_request_is_refused_and_leaves_nothing(tmp_path, field, value):
    with pytest.raises(ConfigError, match=field):
        synthesize(tmp_path / "raw", **{field: value})
    assert list(tmp_path.iterdir()) == []


def test_other_sizes_of_image(tmp_path):
    for size in (128, 256):
        assert {c.pixels.shape for c in draw_crops(0, 4, size)} == {(size, size)}


# Sheet


def test_boxes_are_drawn_in_the_colour_of_their_class():
    picture = draw_boxes(np.zeros((200, 200), np.uint8), [("scratches", 20, 40, 100, 160)], 100)
    colour = list(COLOURS[CLASSES.index("scratches")])
    assert picture[20, 10].tolist() == picture[79, 49].tolist() == colour
    assert picture[50, 30].tolist() == [0, 0, 0]
    assert not picture[:20].any()
    assert not picture[80:].any()


def test_sheet_is_made(tmp_path):
    render_sheet(tmp_path / "sheet.png", rows=2, tile=64)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape == (2 * 70 + 6 + 30, 6 * 70 + 6, 3)


# --- look -----------------------------------------------------------------------------------------


def smaller_sides(look):
    boxes = [box for crop in draw_crops(5, 40, look=look) for box in crop.boxes]
    sides = sorted(min(x1 - x0, y1 - y0) for _, x0, y0, x1, y1 in boxes)
    return sides[len(sides) // 2]


def test_least_size_makes_small_defects_larger():
    assert smaller_sides(DefectLook(least_size=2)) > 1.15 * smaller_sides(DefectLook())


def test_contrast_is_a_factor_of_what_a_defect_adds():
    plain, strong = (
        draw_defect(generator(2), "inclusion", 20.0, DefectLook(contrast=c)) for c in (1.0, 1.5)
    )
    assert np.allclose(strong.change, 1.5 * plain.change)
    assert np.array_equal(strong.mask, plain.mask)


def test_without_others_a_strip_has_one_class():
    for crop in draw_crops(5, 30, look=DefectLook(others=0)):
        assert len({box[0] for box in crop.boxes}) <= 1
    assert any(len({b[0] for b in c.boxes}) > 1 for c in draw_crops(5, 30))


def test_the_look_of_a_set_stands_in_its_facts(tmp_path):
    look = DefectLook(least_size=1.5, contrast=1.2)
    synthesize(tmp_path / "raw", seed=3, images=2, look=look)
    facts = read_json(tmp_path / "raw" / "synthetic.json")
    assert facts["look"] == {"least_size": 1.5, "contrast": 1.2, "others": 1.0}
