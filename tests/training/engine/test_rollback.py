"""The list of rollbacks."""

import json

import pytest

from dcgan.training.engine.rollback import append_rollback
from dcgan.training.errors import TrainingError


def test_an_entry_takes_the_place_of_one_that_a_killed_process_wrote(tmp_path):
    for number, step in ((1, 10), (2, 30), (2, 20)):
        append_rollback(tmp_path / "detours.json", {"detour": number, "from_step": step})
    assert [
        entry["from_step"] for entry in json.loads((tmp_path / "detours.json").read_text())
    ] == [10, 20]


@pytest.mark.hostile("A damaged detours.json in a stranger's run", "named in one sentence")
@pytest.mark.parametrize("text", ["", '{"a": 1}', "[1]", "[{}]", '[{"detour": "x"}]', "[" * 10**5])
def test_a_damaged_list_is_named(tmp_path, text):
    (tmp_path / "detours.json").write_text(text)
    with pytest.raises(TrainingError, match=r"detours\.json is damaged"):
        append_rollback(tmp_path / "detours.json", {"detour": 1})
