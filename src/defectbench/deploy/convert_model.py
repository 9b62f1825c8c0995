"""An artifact in the files of an engine of its own, with a record; or a record of what stopped it."""

from __future__ import annotations

import importlib
import time
from dataclasses import asdict
from pathlib import Path

from ..base.engines import CONVERTED, Form
from ..base.errors import ConfigError, UnsupportedError
from ..base.files import atomic_directory
from ..base.records import ABSENT, write_record
from ..base.strict import name_one_of
from .checked import open_checked
from .engines import require_engine
from .engines.files import inputs_of, mib_of


def convert_model(
    model: str | Path, form: Form, folder: str | Path, method: Path | None = None
) -> None:
    """Make the files of an engine, and ``conversion.json`` beside their folder.

    Where the engine lacks an operator the folder stays empty and the record names the operator: that is a fact about
    method and engine, which tables state.

    Args:
        model: The artifact, or the file in eight bits of a form in eight bits.
        form: Engine and precision.
        folder: The folder to make, ``engines/<form>/model``.
        method: Folder of the method, where the engine runs the trained network itself.

    Raises:
        ConfigError: The engine runs the artifact itself or the files of another one, or cannot be used here.
        ArtifactError: The artifact breaks its signature.
        ProgramError: The converter failed.
    """
    start = time.perf_counter()
    if form.maker != form:
        runs = "the artifact itself" if form.maker is None else f"the files of {form.maker.name}"
        fix = f"{form.engine} runs {runs}; {name_one_of(form.engine, dict.fromkeys(CONVERTED.values()))}"
        raise ConfigError("--form", "engine", form.engine, fix)
    state = require_engine(form.engine)
    open_checked(model)
    module = importlib.import_module(f"{__package__}.engines.{form.engine}")
    out = Path(folder)
    figures: dict[str, object] = {"precision": form.precision}
    given = {"method": method} if form.is_network else {}
    try:
        module.convert(model, out, form.precision, **given)
        figures |= {"model_mib": mib_of(out)}
    except UnsupportedError as error:
        with atomic_directory(out):
            pass
        figures |= {ABSENT: f"{error.field}: {error.value}"}
    inputs = {"source": Path(model), **inputs_of(out)}
    seconds = time.perf_counter() - start
    where = {"gpu": asdict(state.gpu)} if state.gpu else {}
    extra = {"engine": {"name": state.name, "versions": state.versions, **where}}
    write_record(out.with_name("conversion.json"), "conversion", figures, inputs, seconds, extra)
