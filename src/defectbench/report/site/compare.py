"""Data of the view that sets two methods side by side on the same images: a script, so that no server is needed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..table import anchor
from .gallery import Answer, Gallery, Mark, Place
from .standing import Standing

VARIABLE = "COMPARE"


def compare_script(
    galleries: Mapping[Place, Gallery], standings: Sequence[Standing], pages: Mapping[str, str]
) -> str:
    """All shown images, with what each method says of them.

    Args:
        galleries: Images by dataset and protocol.
        standings: Where the methods stand.
        pages: Addresses of the pages of methods.
    """
    places = [
        _place(standing, galleries[standing.place], pages)
        for standing in standings
        if standing.place in galleries
    ]
    text = json.dumps(places, ensure_ascii=False, separators=(",", ":"))
    return f"const {VARIABLE} = {text};\n"


def _place(standing: Standing, gallery: Gallery, pages: Mapping[str, str]) -> dict[str, Any]:
    rows = [row for row in standing.rows if row.method in gallery.answers]
    return {
        "id": anchor(*standing.place),
        "name": ", ".join(standing.place),
        "images": gallery.n_images,
        "methods": [
            {
                "id": row.method,
                "title": row.title,
                "page": pages[row.method],
                "words": f"{standing.heading} {standing.score_of(row)}, {standing.cost_of(row)}",
            }
            for row in rows
        ],
        "shots": [
            {
                "name": shot.name,
                "file": shot.photo.file,
                "size": [shot.photo.width, shot.photo.height],
                "truth": [_mark(mark) for mark in shot.truth],
                "classes": shot.classes,
                "answers": {r.method: _answer(gallery.answers[r.method][key]) for r in rows},
            }
            for key, shot in gallery.shots.items()
        ],
    }


def _answer(answer: Answer) -> list[Any]:
    """Outcome in words, badness, and marks."""
    return [answer.text, round(answer.badness, 3), [_mark(mark) for mark in answer.marks]]


def _mark(mark: Mark) -> list[Any]:
    return [mark.outcome, *(round(value, 1) for value in mark.box), mark.text]
