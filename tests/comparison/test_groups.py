"""Values are kept by task, and intervals are over groups of images."""

import json
from dataclasses import replace

from protoxai.comparison import compare
from protoxai.metrics.base.wilson import wilson_interval
from tests.comparison.toys import Scripted, quiet, red, red_corner


def test_classes_of_an_image_are_tasks_of_their_own_and_one_group() -> None:
    first, second = red_corner(4), red_corner(4, class_index=2)
    tasks = [
        replace(task, index=number, image_index=image, group=None)
        for number, (task, image) in enumerate(((first, 4), (second, 4), (red_corner(9), 9)))
    ]
    table = compare([Scripted("red", red)], tasks, metrics=["relevance_mass"], log=quiet)
    assert table.results[0].indices == (0, 1, 2)
    # The truth is the red corner, whatever the class.
    one, other, last = table.results[0].values("relevance_mass").values()
    assert one == other != last
    value = table["red", "relevance_mass"]
    assert (value.tasks, value.groups) == (3, 2)
    assert table.tasks == tuple(task.name for task in tasks)
    assert json.loads(table.to_json())["tasks"][1] == {
        "task": 1,
        "image": 4,
        "class_index": 2,
        "group": 4,
    }


def test_few_groups_have_no_interval_and_it_is_said() -> None:
    tasks = [replace(red_corner(number), group="abc"[number % 3]) for number in range(6)]
    options = {"metrics": ["sparseness", "pointing_game"], "group_noun": "videos", "log": quiet}
    three = compare([Scripted("red", red)], tasks, **options)
    assert "\n3 videos: no interval\n" in three.to_text()
    assert not three["red", "sparseness"].has_interval
    six = compare([Scripted("red", red)], [replace(t, group=t.index) for t in tasks], **options)
    assert "\n6 videos: a rough interval\n" in six.to_text()
    # A share has Wilson's interval.
    assert six.results[1].shares == ("pointing_game",)
    low, high = wilson_interval(1.0, 6)
    assert six["red", "pointing_game"][:3] == (1.0, low, high)
