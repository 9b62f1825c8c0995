"""Input functions of the report."""

from importlib.util import find_spec
from pathlib import Path


include: "edge.smk"


def topic_files():
    """The modules that say which tables there are: a new one renders the report anew."""
    package = find_spec("defectbench.report.topics")
    folders = package.submodule_search_locations if package else []
    return sorted(
        os.path.relpath(path)
        for folder in folders
        for path in Path(folder).rglob("*.py")
    )


def printed_tables():
    """Tables that papers print, which claims are held against."""
    return sorted(
        path.as_posix() for path in Path("models/printed_tables").glob("*.yaml")
    )


def formats_option():
    """Formats of tables beside the usual ones, as options of `report`."""
    return "--parquet" if STUDY.parquet else ""


def report_options():
    """What `report` is told of the study: its name, formats, what is left out of it, and where its cells lie."""
    notes = [f"--note {quote(line)}" for line in PLAN.left_out.values()]
    cells = [quote(f"{RUNS}/{folder}") for folder in PLAN.cells]
    name = f"--study {quote(STUDY.study)}"
    return " ".join(filter(None, [name, formats_option(), *notes, *cells]))
