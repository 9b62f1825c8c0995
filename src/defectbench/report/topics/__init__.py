"""Topics of a report: each module or folder here returns tables and pictures.

A topic has a function ``parts(study)``, which yields ``Table`` and ``Picture`` in the order of the page, and may have
an ``ORDER`` among the topics. A new one is a new module: it is found by its place.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from ..records.study import StudyRecords
from ..table import Picture, Table

LAST = 100


def find_topics() -> list[ModuleType]:
    """All topics, in the order of the page."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    topics = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return sorted(topics, key=lambda topic: getattr(topic, "ORDER", LAST))


def parts_of(study: StudyRecords) -> list[Table | Picture]:
    """What all topics say of a study.

    Raises:
        ReportError: Records do not belong together.
    """
    return [part for topic in find_topics() for part in topic.parts(study)]
