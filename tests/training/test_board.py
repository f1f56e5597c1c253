"""What TensorBoard shows of a run."""

import json

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dcgan.training.checkpoint import Cadence
from dcgan.training.loop import train
from dcgan.training.progress import Progress
from dcgan.training.run import RunFolder
from dcgan.training.step import MEASURES
from dcgan.training.stop import Stop
from dcgan.training.trainer import Trainer


def test_the_board_has_the_curves_and_the_grids_of_the_run(tmp_path, configure, dataset):
    config, folder = configure(steps=12, epochs=4), RunFolder(tmp_path / "run")
    folder.create(config)
    train(Trainer(config, dataset), folder, Progress(12), Stop(), Cadence())
    board = EventAccumulator(str(folder.path / "tensorboard"))
    board.Reload()
    rows = [json.loads(line) for line in (folder.path / "metrics.jsonl").read_text().splitlines()]
    for name in MEASURES:
        found = {event.step: event.value for event in board.Scalars(name)}
        assert found.keys() == {3, 6, 9, 12}  # one for each time that the history is written, here after each epoch
        assert abs(found[9] - rows[8][name]) < 1e-5
    images = {name: [event.step for event in board.Images(name)] for name in board.Tags()["images"]}
    assert images == {"real": [0], "step": [4, 8, 12], "epoch": [3, 6, 9, 12]}
    assert board.Images("step")[0].width == 8 * 32
