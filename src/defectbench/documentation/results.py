"""Pages of results: prose whose figures are read from the reference records, and the tables of these records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template

from .facts import DASH, Facts, number, percent, percent_interval, points_interval
from .figure import PROTOCOLS
from .markdown import NOTICE, Page, table
from .records import CONTROLS, KeptGroup, KeptMethod, hardware_of, kept_groups

INVALID = "‡"
TOO_NARROW = "paired bootstrap over groups and seeds"  # how pairs of several seeds were decided until version 0.2.0
Cell = Callable[[KeptMethod], str]
_SCORES: dict[str, list[tuple[str, str]]] = {
    "detection": [("mAP50, %", "map50"), ("mAP50-95, %", "map50_95")],
    "classification": [("accuracy, %", "accuracy"), ("balanced accuracy, %", "balanced_accuracy")],
}


def results_pages(
    reference_dir: str | Path, templates_dir: str | Path, models_dir: str | Path = "models"
) -> list[Page]:
    """One page for each template of a folder; a template is named as the reference folder that it is about.

    Args:
        reference_dir: ``results/reference``.
        templates_dir: Holds ``<folder>.md.j2``.
        models_dir: Where method cards lie, for titles.

    Raises:
        ReportError: A template asks for a figure that no record has.
    """
    facts = Facts(Path(reference_dir))
    pages = []
    for path in sorted(Path(templates_dir).glob("*.md.j2")):
        name = path.name.removesuffix(".md.j2")
        text = page_template(path.read_text(), facts, models_dir).render(folder=name)
        pages.append(Page(f"results/{name}.md", f"{NOTICE}\n{text.strip()}\n"))
    return pages


def page_template(text: str, facts: Facts, models_dir: str | Path = "models") -> Template:
    """A template that knows the facts, how figures are written, and ``tables(folder)``."""
    environment = Environment(  # noqa: S701 - Markdown for a generator that is run by hand
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"percent": percent, "number": number}
    for name in ("value", "count", "score", "row", "rows", "pair", "stage", "difference_of_seeds"):
        environment.globals[name] = getattr(facts, name)
    environment.globals["tables"] = lambda folder: folder_tables(facts.root / folder, models_dir)
    environment.globals["leak_table"] = lambda folder: leak_table(facts.root / folder, models_dir)
    return environment.from_string(text)


def folder_tables(reference: str | Path, models_dir: str | Path = "models") -> str:
    """All tables of a reference folder: scores, compression, pairs, claims of each group of cells in it."""
    folder = Path(reference)
    return "\n".join(_group_tables(group, folder) for group in kept_groups(folder, models_dir))


def _group_tables(group: KeptGroup, reference: Path) -> str:
    name = group.folder.relative_to(reference).as_posix()
    parts = [f"## Tables: {name}\n", scores_table(group), *score_notes(group)]
    if group.rows("compression"):
        parts += ["### Compression\n", compression_table(group.rows("compression")), ""]
    for kept, heading in (("pairs", "mAP"), ("classification_pairs", "accuracy")):
        if group.rows(kept):
            rows = [row for row in group.rows(kept) if row["figure"] != "balanced_accuracy"]
            parts.append(
                _folded(f"Compared in pairs by {heading}", pairs_table(rows) + _dated(rows))
            )
    if group.rows("claims"):
        parts += ["### Claims of papers\n", claims_table(group.rows("claims")), ""]
    return "\n".join(parts)


def _dated(rows: Sequence[dict[str, str]]) -> str:
    """What is known today of a test that pairs were decided by when they were kept."""
    if not any(row.get("test", "").startswith(TOO_NARROW) for row in rows):
        return ""
    return (
        "\n\nIntervals of pairs with several seeds are by a bootstrap over groups and seeds here, and too narrow, the "
        "more so the more seeds differ ([Coverage of intervals](interval-coverage.md))."
    )


def _folded(summary: str, text: str) -> str:
    """Text that is shown on a click, in GitHub's Markdown and on the site."""
    return f'<details markdown="1">\n<summary>{summary}</summary>\n\n{text}\n\n</details>\n'


def scores_table(group: KeptGroup, columns: Sequence[str] = ()) -> str:
    """Scores, counts and time of all methods of a group; controls below.

    Args:
        group: The methods.
        columns: Headings that are wanted; all that any method has a figure for by default.
    """
    shown = _columns(group.task)
    filled = [
        (heading, cell)
        for heading, cell in shown
        if (heading in columns if columns else any(cell(m) != DASH for m in group.methods))
    ]
    rows = [
        [f"*{m.title}*" if m.is_control else m.title, *(cell(m) for _, cell in filled)]
        for m in group.methods
    ]
    return table(["method", *(heading for heading, _ in filled)], rows, "lr")


def _columns(task: str) -> list[tuple[str, Cell]]:
    scores = [(heading, _score(figure)) for heading, figure in _SCORES[task]]
    escapes = [("escapes at 5 % overkill, %", _escapes)] if task == "detection" else []
    return [
        ("size, px", _figure("train", "size_px", "{:.0f}")),
        ("epochs", _figure("train", "epochs", "{:.0f}")),
        *scores,
        ("seeds", lambda m: str(len(m.cells)) if len(m.cells) > 1 else DASH),
        *escapes,
        ("params, M", _figure("complexity", "params_m")),
        ("MACs, G", _figure("complexity", "macs_g")),
        ("file, MiB", _figure("complexity", "size_mib")),
        ("time / reference model", _ratio),
        ("p50, ms", _latency),
        ("training, s", _figure("train", "train_s", "{:,.0f}")),
    ]


def _score(figure: str) -> Cell:
    def show(method: KeptMethod) -> str:
        score = method.score(figure)
        return percent_interval(score) if score else DASH

    return show


def _figure(record: str, key: str, form: str = "") -> Cell:
    def show(method: KeptMethod) -> str:
        values = [cell.figures(record).get(key) for cell in method.cells]
        numbers = [value for value in values if value is not None]
        if not numbers:
            return DASH
        mean = sum(numbers) / len(numbers)
        return form.format(mean) if form else number(mean)

    return show


def _escapes(method: KeptMethod) -> str:
    rates = [cell.accuracy.get("escape", {}).get("escape_rate_images") for cell in method.cells]
    numbers = [rate for rate in rates if rate is not None]
    return percent(sum(numbers) / len(numbers)) if numbers and not method.is_control else DASH


def _ratio(method: KeptMethod) -> str:
    return _timed(method, "ratio_to_reference")


def _latency(method: KeptMethod) -> str:
    return _timed(method, "latency_ms_p50")


def _timed(method: KeptMethod, key: str) -> str:
    figures = method.cells[0].latency
    if key not in figures:
        return DASH
    mark = "" if figures["valid"] else f" {INVALID}"
    ends = [figures.get(f"{key}{end}") for end in ("_low", "_high")]
    width = f" [{number(ends[0])}, {number(ends[1])}]" if None not in ends else ""
    return f"{number(figures[key])}{width}{mark}"


def score_notes(group: KeptGroup) -> list[str]:
    """What the figures of a group are of, and what its marks mean."""
    first = group.methods[0].cells[0].accuracy
    cells = [cell for method in group.methods for cell in method.cells]
    over = "seeds and groups of images (Student) where there are several seeds, else over groups (bootstrap)"
    lines = [
        f"{first['n_images']:,} test images in {first['n_groups']:,} groups. 95 % intervals over {over}.",
        f"Measured on {'; '.join(hardware_of(cells))}. Where there are several seeds the time is that of the first.",
    ]
    reasons = {m.title: m.cells[0].latency.get("invalid_because", []) for m in group.methods}
    wrong = [f"{title}: {', '.join(why)}" for title, why in reasons.items() if why]
    if wrong:
        lines.append(
            f"{INVALID} timing that was marked invalid when it was measured ({'; '.join(wrong)})."
        )
    return ["", *(f"- {line}" for line in lines), ""]


def compression_table(rows: Sequence[dict[str, str]]) -> str:
    """The stages of compressed methods; what several share stands once."""
    cells = dict.fromkeys(tuple(_compression_row(row)) for row in rows)
    headings = ["method", "stage", "seed", "score, %", "minus the base's, points", "stored, MiB"]
    headings += ["MACs, G", "time / base", "epochs", "training, s"]
    return table(headings, cells, "llr")


def _compression_row(row: dict[str, str]) -> list[str]:
    ends = [row[f"score{end}"] for end in ("", "_low", "_high")]
    title = (
        row["title"].partition(",")[0]
        if row["stage"] in ("base", "sparse", "control")
        else row["title"]
    )
    difference = [row[f"difference{end}"] for end in ("", "_low", "_high")]
    ratio = [row[f"ratio_to_base{end}"] for end in ("", "_low", "_high")]
    mark = f" {INVALID}" if row["ratio_to_base"] and row["latency_valid"] == "False" else ""
    return [
        row["method"] if row["stage"] == "control" else title,
        row["stage"],
        row["seed"],
        f"{percent(ends[0])} [{percent(ends[1])}, {percent(ends[2])}]",
        points_interval(*map(float, difference)) if difference[0] else DASH,
        number(row["stored_mib"]),
        number(row["macs_g"]),
        f"{number(ratio[0])} [{number(ratio[1])}, {number(ratio[2])}]{mark}" if ratio[1] else DASH,
        row["epochs"],
        f"{float(row['train_s']):,.0f}" if row["train_s"] else DASH,
    ]


def pairs_table(rows: Sequence[dict[str, str]]) -> str:
    """Methods compared in pairs."""
    cells = [
        [
            row["figure"],
            f"`{row['first']}`",
            f"`{row['second']}`",
            points_interval(*(float(row[end]) for end in ("difference", "low", "high"))),
            "not distinguishable" if row["verdict"] == "not distinguishable" else "first is better",
        ]
        for row in rows
    ]
    headings = ["in", "first", "second", "difference, points", "verdict"]
    return table(headings, cells, "lllrl")


def claims_table(rows: Sequence[dict[str, str]]) -> str:
    """Numbers printed in papers beside ours."""
    cells = [
        [
            f"`{row['method']}`",
            row["metric"],
            row["claimed"],
            row["ours"],
            row["verdict"],
            row["reason"],
        ]
        for row in rows
    ]
    return table(["method", "figure", "printed", "ours", "verdict", "why"], cells, "llrrl")


def leak_table(reference: str | Path, models_dir: str | Path = "models") -> str:
    """What programs that learn nothing score under each protocol of a reference folder."""
    rows = []
    for group in sorted(kept_groups(reference, models_dir), key=_order):
        controls = {m.name: m for m in group.methods if m.is_control}
        if not controls:
            continue
        certificate = Facts(group.folder)
        shared = certificate.value("certificate.json", "shared_images.train-test")
        images = certificate.value("certificate.json", "images.test")
        scores = [_score("map50")(controls[name]) if name in controls else DASH for name in _SHOWN]
        rows.append(
            [f"`{group.folder.name}`", f"{images:,}", f"{percent(shared / images)} %", *scores]
        )
    headings = ["protocol", "test images", "of them show steel seen in training"]
    return table([*headings, *(CONTROLS[name] for name in _SHOWN)], rows, "lr")


def _order(group: KeptGroup) -> tuple[int, str]:
    name = group.folder.name
    return (list(PROTOCOLS).index(name) if name in PROTOCOLS else len(PROTOCOLS)), name


_SHOWN = ("control_memoriser", "control_class_prior", "control_oracle")
