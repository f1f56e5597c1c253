"""Batches that are prepared ahead are those of the loader."""

import pytest
import torch

from dcgan.training import host_copy
from dcgan.training.data.loader import BatchLoader, TrainingBatch
from dcgan.training.data.prefetch import Prefetcher

CPU = torch.device("cpu")


class CountingLoader(BatchLoader):
    """Remembers which batches it made."""

    def batch(self, step: int, rollbacks: int = 0) -> TrainingBatch:
        self.__dict__.setdefault("made", []).append((step, rollbacks))
        return super().batch(step, rollbacks)


@pytest.fixture
def loader(small, dataset) -> CountingLoader:
    return CountingLoader(dataset, small, 0, CPU)


def run(loader: CountingLoader, positions: list[tuple[int, int]]) -> list[TrainingBatch]:
    prefetcher = Prefetcher(loader, CPU)
    batches = []
    for step, rollbacks in positions:
        batches.append(prefetcher.batch(step, rollbacks))
        prefetcher.prefetch(step + 1, rollbacks)
    return batches


# Step 2 is repeated after a rollback.
POSITIONS = [(0, 0), (1, 0), (2, 0), (3, 0), (2, 1), (3, 1)]


@pytest.mark.parametrize("ahead", [True, False])
def test_batches_are_those_of_the_loader_also_after_a_rollback(
    small, dataset, loader, monkeypatch, ahead
):
    monkeypatch.setattr(host_copy, "is_asynchronous", lambda _: ahead)
    plain = BatchLoader(dataset, small, 0, CPU)
    for batch, position in zip(run(loader, POSITIONS), POSITIONS, strict=True):
        expected = plain.batch(*position)
        for ours, theirs in zip(batch.tensors(), expected.tensors(), strict=True):
            assert torch.equal(ours, theirs)


def test_where_the_device_goes_on_each_batch_is_made_once_and_ahead(loader, monkeypatch):
    monkeypatch.setattr(host_copy, "is_asynchronous", lambda _: True)
    run(loader, POSITIONS)
    in_vain = (4, 0)
    assert loader.made == [*POSITIONS[:4], in_vain, *POSITIONS[4:], (4, 1)]


def test_on_a_cpu_nothing_is_made_ahead(loader):
    run(loader, POSITIONS)
    assert loader.made == POSITIONS


@pytest.mark.gpu
def test_on_a_gpu_batches_are_those_of_the_loader(small, dataset):
    cuda = torch.device("cuda")
    loader = BatchLoader(dataset, small, 0, cuda)
    prefetcher = Prefetcher(loader, cuda)
    for step in range(12):
        batch = prefetcher.batch(step, 0)
        prefetcher.prefetch(step + 1, 0)
        for ours, theirs in zip(batch.tensors(), loader.batch(step).tensors(), strict=True):
            assert torch.equal(ours, theirs)
