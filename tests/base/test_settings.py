"""Settings of a training are one JSON object, and nothing in it goes unread."""

import pytest
from pydantic import ValidationError

from defectbench.base.settings import TrainingSettings


def test_settings_survive_their_way_through_json():
    settings = TrainingSettings(seed=3, epochs=2, recipe={"optimizer.lr": 0.1}, role="teacher")
    assert TrainingSettings.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize("field", [{"epoch": 3}, {"epochs": 0}, {"device": "tpu"}, {"role": "x"}])
def test_a_field_that_cannot_have_an_effect_is_refused(field):
    with pytest.raises(ValidationError, match=next(iter(field))):
        TrainingSettings.model_validate(field)
