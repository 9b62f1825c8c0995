import cv2
import numpy as np
import pytest
from small_sets import texture, write_dataset
from test_overlap import crop

from defectbench.data.certificate import shown
from defectbench.data.overlap import find_overlaps
from defectbench.data.surface_index import find_candidates
from defectbench.data.turned import proven


def looked_at(strip, turn=0.0, zoom=1.0, mirrored=False, at=(330, 300), side=200):
    """A view of the strip, uint8 [side, side], and the map [2, 3] from its points to the strip's."""
    cos, sin = zoom * np.cos(np.radians(turn)), zoom * np.sin(np.radians(turn))
    to_strip = np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1 if mirrored else 1, 1])
    origin = np.array(at) - to_strip @ [side / 2, side / 2]
    whole = np.column_stack([to_strip, origin])
    seen = cv2.warpAffine(strip, whole, (side, side), flags=cv2.WARP_INVERSE_MAP | cv2.INTER_CUBIC)
    return seen, whole


def smooth_strip(seed):
    return cv2.GaussianBlur(texture(seed, 600, 600), (0, 0), 1.2)


WAYS = [
    {"turn": 90.0},
    {"turn": 180.0, "at": (290, 350)},
    {"turn": 17.0},
    {"turn": 133.0, "mirrored": True},
    {"mirrored": True},
    {"zoom": 0.6, "at": (310, 310)},
    {"zoom": 1.5},
    {"zoom": 1.4, "turn": -40.0, "mirrored": True},
]


@pytest.mark.parametrize("way", WAYS)
def test_a_turned_mirrored_or_rescaled_view_is_found_where_it_is(way):
    strip = smooth_strip(1)
    first = crop(strip, 200, 200)
    second, to_strip = looked_at(strip, **way)
    (view,) = find_candidates([first, second], 200).views
    found = proven(view, first, second)
    assert found is not None
    assert found.correlation > 0.8
    assert found.mirrored == way.get("mirrored", False)
    assert found.rescaled == ("zoom" in way)
    assert found.zoom == pytest.approx(way.get("zoom", 1.0), abs=0.02)
    apart = (found.turn - way.get("turn", 0.0) + 180) % 360 - 180
    assert abs(apart) < 1
    assert (found.dx, found.dy) == pytest.approx(tuple(to_strip[:, 2] - 200), abs=2)


def test_unlike_textures_are_no_views_of_each_other():
    images = [smooth_strip(seed)[:200, :200] for seed in range(20, 36)]
    views = find_candidates(images, 200).views
    assert [view for view in views if proven(view, images[view.i], images[view.j])] == []


def test_crossing_lines_do_not_make_one_surface():
    rng = np.random.default_rng(0)
    images = []
    for angle in (10, 35, 60):
        image = texture(50 + angle).astype(np.float32)
        for at in rng.integers(40, 160, 2):
            away = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))]) * 300
            ends = [tuple(int(x) for x in np.array([100, at]) + side * away) for side in (-1, 1)]
            cv2.line(image, ends[0], ends[1], 250.0, 3)
        images.append(image.clip(0, 255).astype(np.uint8))
    views = find_candidates(images, 200).views
    assert [view for view in views if proven(view, images[view.i], images[view.j])] == []


def test_the_table_names_the_kind_and_the_way(tmp_path):
    strip, other = smooth_strip(2), smooth_strip(3)
    images = {
        "a.png": crop(strip, 200, 200),
        "b.png": looked_at(strip, turn=90.0)[0],
        "c.png": crop(other, 200, 200),
        "d.png": looked_at(other, zoom=1.5)[0],
    }
    turned, rescaled = find_overlaps(write_dataset(tmp_path / "set", images))
    assert (turned.names, turned.kind) == (("a.png", "b.png"), "turned")
    assert (rescaled.names, rescaled.kind) == (("c.png", "d.png"), "rescaled")
    assert turned.turn == pytest.approx(90, abs=1)
    assert rescaled.zoom == pytest.approx(1.5, abs=0.02)


def test_a_certificate_knows_which_part_a_turned_view_shows(tmp_path):
    strip = smooth_strip(4)
    images = {
        "a.png": crop(strip, 200, 200),
        "b.png": looked_at(strip, turn=90.0, at=(400, 300))[0],
    }
    (pair,) = find_overlaps(write_dataset(tmp_path / "set", images))
    seen = shown(pair, "a.png", (200, 200), (200, 200))
    assert seen[:, 26:].all()
    assert not seen[:, :24].any()
    there = shown(pair, "b.png", (200, 200), (200, 200))  # its lower half, before it was turned
    assert there.mean() == pytest.approx(0.5, abs=0.05)
    assert there[26:].all()
