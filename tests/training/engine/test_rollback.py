"""The list of rollbacks."""

import json

from dcgan.training.engine.rollback import append_rollback


def test_an_entry_takes_the_place_of_one_that_a_killed_process_wrote(tmp_path):
    for number, step in ((1, 10), (2, 30), (2, 20)):
        append_rollback(tmp_path / "detours.json", {"detour": number, "from_step": step})
    assert [
        entry["from_step"] for entry in json.loads((tmp_path / "detours.json").read_text())
    ] == [10, 20]
