"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from ..base.bounds import LAST_SEED

Dataset = Annotated[Path, Option(help="Folder of the dataset, results/data/<dataset>.")]
Card = Annotated[Path, Option(help="Card of the dataset, datasets/<dataset>.yaml.")]
Protocol = Annotated[
    str,
    Option(
        help="How the parts are made: clean, official, random, sequential, paper, or one with -<list> or -<share>pct."
    ),
]
SplitSeed = Annotated[int, Option(help="Seed of the split.", min=0, max=LAST_SEED)]

Method = Annotated[Path, Option(help="Folder of the method, models/<method>.")]
Classes = Annotated[int, Option(help="Number of classes.", min=1, max=10_000)]
Train = Annotated[Path, Option(help="Pack of the training part.", dir_okay=False)]
Val = Annotated[Path, Option(help="Pack of the validation part.", dir_okay=False)]
Weights = Annotated[
    Path,
    Option(help="weights.safetensors of a training, the record of it beside them.", dir_okay=False),
]
Folder = Annotated[Path, Option("--out", help="Folder to write to.")]
File = Annotated[Path, Option("--out", help="File to write.")]

Model = Annotated[Path, Option(help="Model file, model.onnx.")]
Annotations = Annotated[
    Path, Option(help="annotations.json of the dataset or of a split of `paper`.")
]
Images = Annotated[Path, Option(help="List of the part that is scored, one file name a line.")]
Groups = Annotated[Path, Option(help="groups.csv of the dataset.")]

Forms = Annotated[
    list[str] | None,
    Option(
        "--form",
        help="Engine and precision, such as openvino-int8; repeat it for more. onnxruntime by default.",
    ),
]
Settings = Annotated[
    str | None,
    Option(
        metavar="JSON|FILE",
        help="Settings of the step: a JSON object, or a JSON or YAML file of one.",
    ),
]
Change = Annotated[
    list[str] | None,
    Option(
        "--set",
        metavar="FIELD=VALUE",
        help="One field of the settings, such as epochs=3 or recipe.optimizer.lr=0.002; repeat it for more.",
    ),
]
