"""The order in which files of tests are handed out."""

from pathlib import Path

# folders whose files take minutes; one that is handed out last keeps a single worker busy at the end
SLOW = ("programs", "contract", "compression", "e2e")


def pytest_collection_modifyitems(items):
    """Put the slow folders first; within and behind them the order stays."""
    here = Path(__file__).parent

    def rank(item):
        folder = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        return SLOW.index(folder) if folder in SLOW else len(SLOW)

    items.sort(key=rank)
