"""Tasks are told apart by what they are, and a card that names none is refused."""

import pytest

from defectbench.base.cards import load_dataset_card
from defectbench.base.errors import ConfigError
from defectbench.base.methods import load_card, method_names
from defectbench.base.tasks import ANOMALY, CLASSIFICATION, DETECTION, TASKS, task_named


def test_every_task_is_found_by_its_name_and_no_other_is():
    assert [task_named(name) for name in TASKS] == [DETECTION, CLASSIFICATION, ANOMALY]
    with pytest.raises(ConfigError, match="name one of detection, classification, anomaly"):
        task_named("segmentation")


def test_two_tasks_share_no_output_and_no_score():
    for field in ("name", "validation_key", "headline_figure", "outputs"):
        values = [getattr(task, field) for task in TASKS.values()]
        assert len(set(values)) == len(TASKS), field


def test_every_card_names_a_task(request, monkeypatch):
    monkeypatch.chdir(request.config.rootpath)
    assert {load_card(f"models/{name}").task for name in method_names()} == set(TASKS)


def test_a_card_of_an_unknown_task_is_refused(tmp_path, request):
    text = (request.config.rootpath / "datasets" / "x-sdd.yaml").read_text()
    card = tmp_path / "x-sdd.yaml"
    card.write_text(text.replace("task: classification", "task: segmentation"))
    with pytest.raises(ConfigError, match=r"task: got 'segmentation'.*name one of"):
        load_dataset_card(card)
