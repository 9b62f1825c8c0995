"""An artifact in the files of an engine of its own, with a record; or a record of what stopped it."""

from __future__ import annotations

import importlib
import time
from pathlib import Path

from ..base.engines import CONVERTED, Form
from ..base.errors import ConfigError, UnsupportedError
from ..base.files import atomic_directory
from ..base.records import ABSENT, write_record
from ..base.strict import name_one_of
from .checked import open_checked
from .engines import require_engine
from .engines.files import inputs_of, mib_of


def convert_model(model: str | Path, form: Form, folder: str | Path) -> None:
    """Make the files of an engine, and ``conversion.json`` beside their folder.

    Where the engine lacks an operator the folder stays empty and the record names the operator: that is a fact about
    method and engine, which tables state.

    Args:
        model: The artifact.
        form: Engine and precision.
        folder: The folder to make, ``engines/<form>/model``.

    Raises:
        ConfigError: The engine runs the artifact itself, or is not installed.
        ArtifactError: The artifact breaks its signature.
        ProgramError: The converter failed.
    """
    start = time.perf_counter()
    if form.engine not in CONVERTED:
        fix = f"{form.engine} runs the artifact itself; {name_one_of(form.engine, CONVERTED)}"
        raise ConfigError("--form", "engine", form.engine, fix)
    state = require_engine(form.engine)
    open_checked(model)
    module = importlib.import_module(f"{__package__}.engines.{form.engine}")
    out = Path(folder)
    figures: dict[str, object] = {"precision": form.precision}
    try:
        module.convert(model, out, form.precision)
        figures |= {"model_mib": mib_of(out)}
    except UnsupportedError as error:
        with atomic_directory(out):
            pass
        figures |= {ABSENT: f"{error.field}: {error.value}"}
    inputs = {"source": Path(model), **inputs_of(out)}
    seconds = time.perf_counter() - start
    extra = {"engine": {"name": state.name, "versions": state.versions}}
    write_record(out.with_name("conversion.json"), "conversion", figures, inputs, seconds, extra)
