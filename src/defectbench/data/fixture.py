"""What a set's pictures show at the same place: a lamp, a frame, a fixture. It is no shared surface.

Pictures of one size are laid over each other, each turned or mirrored as it agrees best with their mean,
since sets hold mirrored copies. Where the mean of their fine residuals keeps a part of their energy, they
show one thing. What is left of unlike pictures there is a share of 1/n.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .coco import Grey
from .d4 import symmetries
from .phase import residual

Floats = NDArray[np.float32]
LEAST_PICTURES, MOST_PICTURES = 12, 192  # of one size; a few hundred tell the mean as well as all
LEAST_SHARE, TIMES_CHANCE, TIMES_USUAL, SURE_SHARE = 0.1, 5.0, 4.0, 0.5
BLUR, MARGIN, FILL, MEAN_BLUR, COARSE = 3.0, 4, 8.0, 3.0, 4.0  # proof pixels
LEAST_AREA, MOST_AREA = 0.005, 0.98  # of a picture; more is no fixture but copies of one picture
ROUNDS = 4


@dataclass(frozen=True)
class Fixture:
    """What the pictures of one size share.

    Attributes:
        mean: Mean of the coarse views, float32 [H, W], to tell how a picture was turned.
        ground: Mean of the pictures without their grain, float32 [H, W].
        surface: 1 where the pictures show surfaces of their own, 0 on the fixture, float32 [H, W].
    """

    mean: Floats
    ground: Floats
    surface: Floats

    def taken_out(self, picture: Grey) -> Grey:
        """The picture minus what it shares with the others, uint8 [H, W]."""
        views = _forms(_coarse(picture))
        turn = int(np.argmax([float(np.vdot(view, self.mean)) for view in views]))
        upright = _forms(picture.astype(np.float32))[turn] - self.ground
        weight = cv2.GaussianBlur(self.surface, (0, 0), FILL)
        fill = cv2.GaussianBlur(upright * self.surface, (0, 0), FILL) / np.maximum(weight, 0.02)
        alone = np.where(self.surface > 0, upright, fill)
        return np.clip(np.rint(128 + _turned_back(alone, turn, picture.shape)), 0, 255).astype(
            np.uint8
        )


def find_fixtures(
    pictures: Sequence[Grey], shapes: Sequence[tuple[int, ...]]
) -> dict[tuple[int, ...], Fixture]:
    """The fixtures of a set by the shape of its pictures; most sets have none.

    Args:
        pictures: uint8 [H, W] each.
        shapes: Their shapes.
    """
    of_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for row, shape in enumerate(shapes):
        of_shape[tuple(shape)].append(row)
    fixtures = {}
    for shape, rows in of_shape.items():
        if len(rows) >= LEAST_PICTURES:
            chosen = np.linspace(0, len(rows) - 1, min(len(rows), MOST_PICTURES)).astype(int)
            fixture = _fixture(pictures, [rows[k] for k in chosen])
            if fixture is not None:
                fixtures[shape] = fixture
    return fixtures


def _fixture(pictures: Sequence[Grey], rows: list[int]) -> Fixture | None:
    """What these pictures of one size share, if anything."""
    coarse = [_coarse(pictures[row]) for row in rows]
    turns = _turns(coarse)
    fine = [residual(pictures[row].astype(np.float32)) for row in rows]
    mean = _mean(fine, turns)
    energy = _mean([view**2 for view in fine], turns)
    kept, energy = (cv2.GaussianBlur(each, (0, 0), BLUR) for each in (mean**2, energy))
    share = kept / (energy + 1e-3)
    usual = TIMES_USUAL * float(np.quantile(share, 0.25))
    limit = min(SURE_SHARE, max(LEAST_SHARE, TIMES_CHANCE / len(rows), usual))
    fixed = (share > limit).astype(np.uint8)
    if not LEAST_AREA <= fixed.mean() <= MOST_AREA:
        return None
    fixed = cv2.dilate(fixed, np.ones((2 * MARGIN + 1,) * 2, np.uint8))
    ground = _mean([pictures[row].astype(np.float32) for row in rows], turns)
    ground = np.asarray(cv2.GaussianBlur(ground, (0, 0), MEAN_BLUR), np.float32)
    return Fixture(_mean(coarse, turns), ground, 1 - fixed.astype(np.float32))


def _turns(views: list[Floats]) -> list[int]:
    """Which of its forms agrees best with the mean of all, for each picture."""
    mean, turns = views[0], [0] * len(views)
    for _ in range(ROUNDS):
        forms = [_turned_back(mean, turn, mean.shape).ravel() for turn in range(len(_forms(mean)))]
        turns = [int(np.argmax([view.ravel() @ form for form in forms])) for view in views]
        mean = _mean(views, turns)
    return turns


def _mean(views: list[Floats], turns: list[int]) -> Floats:
    total = np.zeros_like(views[0])
    for view, turn in zip(views, turns, strict=True):
        total += _forms(view)[turn]
    return np.asarray(total / len(views), np.float32)


def _coarse(picture: Grey) -> Floats:
    """The picture without its grain, of mean 0 and length 1: how it lies, whatever moved by a few pixels."""
    view = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), COARSE)
    view = np.asarray(view - view.mean(), np.float32)
    return view / max(float(np.linalg.norm(view)), 1e-6)


def _forms(view: Floats) -> list[Floats]:
    """The symmetries of a picture that keep its shape."""
    return [np.ascontiguousarray(v, np.float32) for v in symmetries(view) if v.shape == view.shape]


def _turned_back(view: Floats, turn: int, shape: tuple[int, ...]) -> Floats:
    """The picture that this form was made of."""
    numbers = np.arange(view.size, dtype=np.float32).reshape(shape)
    back = np.empty(view.size, np.float32)
    back[_forms(numbers)[turn].astype(np.int64).ravel()] = view.ravel()
    return back.reshape(shape)
