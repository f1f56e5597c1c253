"""Batches in several threads."""

import threading

import numpy as np
import torch

from dcgan.core.processors import ProcessorLimits
from dcgan.export.graph.fold import fold
from dcgan.export.verify import threads
from dcgan.export.verify.backends import EagerBackend
from dcgan.export.verify.probes import probe_inputs
from dcgan.export.verify.threads import run_in_threads


def test_results_have_the_order_and_the_bytes_of_one_thread(generator):
    torch.set_num_threads(1)
    backend = EagerBackend(fold(generator), "network")
    inputs = probe_inputs(10)
    for found, expected in zip(run_in_threads(backend, inputs), map(backend, inputs), strict=True):
        assert np.array_equal(found.floats, expected.floats)
        assert np.array_equal(found.images, expected.images)


def test_batches_run_at_the_same_time_in_threads_with_the_callers_setting(monkeypatch):
    monkeypatch.setattr(threads, "processor_limits", lambda: ProcessorLimits(affinity=2))
    torch.set_num_threads(1)
    both = threading.Barrier(2, timeout=60)

    def run(_):
        both.wait()
        return torch.get_num_threads()

    assert run_in_threads(run, probe_inputs(10)[:2]) == [1, 1]
