"""What the rates of a study make of a network, told before anything is trained."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ...base.errors import CompressionError, ConfigError
from ...base.filter_pruning import FilterCut
from ...base.methods import Method, build_network
from ...base.records import write_record
from ...nn.classifier import Classifier
from .widths import Rates, parameters_at, rates_by_set, sets_pruned, solve, widths_at


def rates_of(settings: FilterCut, method: Method, network: Classifier) -> Rates:
    """Rates of a study: by name from the method's card, or as they stand; scaled to a ratio where one is asked for."""
    rates: Rates = settings.rates
    if isinstance(rates, str):
        rates = method.card.rates.get(rates, rates)
    return rates if settings.ratio is None else solve(network, rates, settings.ratio).rates


def check_rates(method: Method, nc: int, settings: FilterCut, out: str | Path) -> dict[str, Any]:
    """Hold rates against the network that they are for, by its shapes alone.

    Args:
        method: The method with the recipe of its cell, whose options say the width.
        nc: Number of classes.
        settings: Rates, and the ratio that they are scaled to.
        out: Record to write: rates and widths by set, parameters before and after. Widths are those of one cluster
            a set; a cut by clusters can end a little narrower.

    Raises:
        ConfigError: There are too many or too few rates, a set is unknown, the ratio is not to be had, or the
            method has no such option.
    """
    began = time.perf_counter()
    network = build_network(method, nc, method.recipe.options).pruning_form()
    try:
        rates = rates_of(settings, method, network)
        widths = widths_at(network, rates)
    except CompressionError as error:
        field = "ratio" if error.field == "ratio" else "rates"
        on_card = field == "rates" and str(settings.rates) in method.card.rates
        where = method.folder / "card.yaml" if on_card else f"compress: method {method.card.name}"
        fix = f"{error.field} {error.value!r}: {error.fix}"
        raise ConfigError(where, field, getattr(settings, field), fix) from error
    before, after = parameters_at(network), parameters_at(network, widths)
    figures = {
        "params_before": before,
        "params": after,
        "params_ratio": before / after,
        "sets": len(widths),
        "sets_pruned": len(sets_pruned(network, rates)),
    }
    extra = {
        "method": method.card.name,
        "nc": nc,
        "settings": {"rates": settings.rates, "ratio": settings.ratio},
        "rates": rates_by_set(network, rates),
        "widths": {name: [full, widths[name]] for name, full in network.widths.items()},
    }
    inputs = {name: method.folder / name for name in ("card.yaml", "recipe.yaml")}
    seconds = time.perf_counter() - began
    return write_record(out, "rates", figures, inputs, seconds, extra)
