"""How often training waits for the device: at most once between two flushes of the metrics.

A run on a CPU is told that its device is asynchronous, as a GPU is. Everything that would wait for
a GPU is counted: reading a value of a tensor, and copies to the host.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from dcgan.training import host_copy
from dcgan.training.engine.checkpoint_schedule import CheckpointSchedule
from dcgan.training.engine.loop import train
from dcgan.training.engine.signals import StopSignal
from dcgan.training.engine.trainer import Trainer
from dcgan.training.host_copy import HostCopy
from dcgan.training.monitor import metrics_log
from dcgan.training.monitor.progress import Progress
from dcgan.training.monitor.samples import draw_samples, fixed_latents
from dcgan.training.run_folder import RunFolder

INTERVAL = 5

READING_METHODS = {"cpu", "numpy", "item", "tolist", "nonzero", "__array__"}
READING_OPERATORS = {"_local_scalar_dense", "is_nonzero", "nonzero", "equal", "masked_select"}


class CountMethods(TorchFunctionMode):
    """Counts calls of methods that return values to the host."""

    def __init__(self, waits: Counter[str]) -> None:
        super().__init__()
        self.waits = waits

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if name in READING_METHODS:
            self.waits[name] += 1
        return func(*args, **(kwargs or {}))


class CountOperators(TorchDispatchMode):
    """Counts operators that return values to the host, also when C++ code calls them."""

    def __init__(self, waits: Counter[str]) -> None:
        super().__init__()
        self.waits = waits

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in READING_OPERATORS:
            self.waits[name] += 1
        return func(*args, **(kwargs or {}))


@contextmanager
def counted() -> Iterator[Counter[str]]:
    waits: Counter[str] = Counter()
    with CountMethods(waits), CountOperators(waits):
        yield waits


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    monkeypatch.setattr(host_copy, "is_asynchronous", lambda _: True)
    monkeypatch.setattr(metrics_log, "flush_interval", lambda _: INTERVAL)


class WaitsByStep(Progress):
    """Notes after each step how often the run has waited, and how often it has read metrics."""

    def __init__(self, steps: int, waits: Counter[str], reads: list[HostCopy]) -> None:
        super().__init__(steps)
        self._waits = waits
        self._reads = reads
        self.waits: list[int] = []
        self.reads: list[int] = []

    def show(self, step: int, images: int, metrics: dict[str, float]) -> None:
        self.waits.append(self._waits.total())
        self.reads.append(len(self._reads))


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("norm", ["batch", "spectral"])
def test_steps_between_two_flushes_do_not_wait(configure, small, dataset, norm):
    trainer = Trainer(
        configure(
            steps=20,
            ema_half_life=50,
            flip=True,
            augment=("colour", "translation", "cutout"),
            decay_from=0.5,
            discriminator=replace(small.discriminator, norm=norm),
        ),
        dataset,
    )
    with counted() as waits:
        for _ in range(7):
            trainer.train_step()
    assert waits == {}


@pytest.mark.usefixtures("as_on_a_gpu")
def test_sample_grids_do_not_wait(configure, dataset):
    """Estimating the statistics of batch normalization, drawing and copying go on by themselves."""
    trainer = Trainer(configure(ema_half_life=50), dataset)
    trainer.train_step()
    with counted() as waits, trainer.eval_generator() as generator:
        draw_samples(generator, fixed_latents(0, 6))
    assert waits == {}


@pytest.mark.slow
@pytest.mark.usefixtures("as_on_a_gpu")
def test_a_run_reads_the_device_at_most_once_for_an_interval(
    configure, dataset, tmp_path, monkeypatch
):
    reads: list[HostCopy] = []
    numpy = HostCopy.numpy
    monkeypatch.setattr(HostCopy, "numpy", lambda copy: reads.append(copy) or numpy(copy))
    config = configure(steps=40, sample_steps=1000, whole_batches=True, ema_half_life=50)
    config = replace(config, recipe=replace(config.recipe, batch_size=1))  # an epoch has 20 steps
    folder = RunFolder(tmp_path / "run")
    folder.create(config)
    with counted() as waits:
        progress = WaitsByStep(config.steps, waits, reads)
        train(Trainer(config, dataset), folder, progress, StopSignal(), CheckpointSchedule())

    # Steps 1 to 19 lie in one epoch, at whose end weights are checked and saved. In between, the
    # metrics of steps 1 to 5 are read after step 10, and those of steps 6 to 10 after step 15.
    assert progress.reads[:19] == [0] * 9 + [1] * 5 + [2] * 5
    assert progress.waits[18] - progress.waits[0] == 2

    lines = (folder.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 41))
