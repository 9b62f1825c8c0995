"""How large images are cut into tiles: what a study says of it, and how the packs of tiles are named by it."""

from __future__ import annotations

from pydantic import Field, model_validator

from .bounds import LARGEST_SIDE
from .strict import Side, Strict

LEAST_OVERLAP = 8  # pixels: what two tiles both see tells which of their boxes belong together
MOST_OVERLAP = 0.75  # of the side: more shows each pixel dozens of times
MOST_TILES = 1000  # of one image


class Tiling(Strict):
    """How an image is cut into tiles. A tile is a square of the original image; a smaller image is padded with grey.

    Attributes:
        side: Side of a tile, pixels of the original image; a multiple of 32. The network sees it at ``size``.
        overlap: Least overlap of neighbouring tiles, pixels; at most three quarters of the side. As large as most
            defects, so that each is whole in one tile.
        least_visible: Share of the most that a tile can show of a box, from which on the tile's truth has the box, cut
            at the tile. Where no tile shows so much, the one that shows most of the box has it.
        free_share: Share of the training tiles without any defect that is kept, drawn by the seed of the split.
    """

    side: Side = Field(multiple_of=8)
    overlap: int = Field(ge=LEAST_OVERLAP, lt=LARGEST_SIDE)
    least_visible: float = Field(default=0.5, gt=0, le=1)
    free_share: float = Field(default=1.0, ge=0, le=1)

    @model_validator(mode="after")
    def _tiles_go_on(self) -> Tiling:
        most = int(MOST_OVERLAP * self.side)
        if self.overlap > most:
            fix = f"the overlap is {self.overlap}: give at most {most}, three quarters of the side"
            raise ValueError(fix)
        return self

    @property
    def key(self) -> str:
        """Part of the name of a pack of such tiles: two ways of cutting never share a pack.

        Example:
            >>> Tiling(side=640, overlap=128).key
            's640-o128-v0.5-f1.0'
        """
        return f"s{self.side}-o{self.overlap}-v{self.least_visible!r}-f{self.free_share!r}"


def pack_name(part: str, size: int, tiling: Tiling | None = None) -> str:
    """File name of the pack of a part.

    Args:
        part: ``train``, ``val`` or ``test``.
        size: Side of the network's input, pixels.
        tiling: How its images are cut into tiles, if they are.

    Example:
        >>> pack_name("test", 96), pack_name("test", 96, Tiling(side=640, overlap=128))
        ('test@96.safetensors', 'test@96.s640-o128-v0.5-f1.0.safetensors')
    """
    ending = f".{tiling.key}" if tiling is not None else ""
    return f"{part}@{size}{ending}.safetensors"
