from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_sets import blank_images, write_dataset, write_overlaps

from defectbench.base.errors import SplitError
from defectbench.data.groups import connected, group_images, read_groups

NODES = st.integers(0, 14)


def test_links_join_through_others():
    assert connected("abcde", [("a", "c"), ("d", "c")]) == {"a": 0, "b": 1, "c": 0, "d": 0, "e": 2}


def test_a_long_chain_is_one_group():
    items = [str(k) for k in range(5000)]
    assert set(connected(items, pairwise(items)).values()) == {0}


@given(st.lists(st.tuples(NODES, NODES), max_size=25))
def test_groups_are_what_reachability_says(links):
    items = [str(k) for k in range(15)]
    groups = connected(items, [(str(a), str(b)) for a, b in links])
    reach = {k: {k} for k in range(15)}
    for _ in range(15):
        for a, b in links:
            reach[a] |= reach[b]
            reach[b] |= reach[a]
        for k in range(15):
            reach[k] = set().union(*(reach[other] for other in reach[k]))
    for a in range(15):
        for b in range(15):
            assert (groups[str(a)] == groups[str(b)]) == (b in reach[a])
    assert sorted(set(groups.values())) == list(range(len(set(groups.values()))))


@given(st.lists(st.tuples(NODES, NODES), max_size=25), st.randoms())
def test_numbers_do_not_depend_on_the_order_of_links(links, random):
    items = [str(k) for k in range(15)]
    named = [(str(a), str(b)) for a, b in links]
    shuffled = random.sample(named, len(named))
    assert connected(items, named) == connected(items, shuffled)


def test_group_images_writes_ids_and_names(tmp_path):
    folder = write_dataset(tmp_path / "set", blank_images(4))
    write_overlaps(folder, [("pit_0.png", "pit_3.png", 1, 0, 0.9)])
    assert group_images(folder) == {"pit_0.png": 0, "pit_1.png": 1, "pit_2.png": 2, "pit_3.png": 0}
    table = pd.read_csv(folder / "groups.csv")
    assert table.columns.tolist() == ["image_id", "file_name", "group"]
    assert table["image_id"].tolist() == [1, 2, 3, 4]
    assert read_groups(folder) == group_images(folder)


def test_overlaps_of_another_dataset_are_named(tmp_path):
    folder = write_dataset(tmp_path / "set", blank_images(2))
    write_overlaps(folder, [("pit_0.png", "other.png", 1, 0, 0.9)])
    with pytest.raises(SplitError, match=r"overlaps\.csv: file name: got 'other\.png'"):
        group_images(folder)


def test_missing_groups_are_named(tmp_path):
    with pytest.raises(SplitError, match=r"groups\.csv: file"):
        read_groups(tmp_path)
