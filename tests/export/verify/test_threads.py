"""Batches in several threads."""

import threading

import numpy as np
import pytest
import torch

from dcgan.core.onnx_session import CPU
from dcgan.core.processors import ProcessorLimits
from dcgan.export.errors import FailedRunError
from dcgan.export.formats.onnx_file import write_onnx
from dcgan.export.graph.fold import fold
from dcgan.export.graph.onnx_graph import build_onnx
from dcgan.export.verify import threads
from dcgan.export.verify.backends import Backend, EagerBackend, OnnxBackend
from dcgan.export.verify.probes import probe_inputs
from dcgan.export.verify.threads import one_torch_thread, run_in_threads


def test_one_thread_of_pytorch_is_used_and_then_as_many_as_before():
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        with pytest.raises(ZeroDivisionError), one_torch_thread():
            assert torch.get_num_threads() == 1
            raise ZeroDivisionError
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("runtime", ["PyTorch", "ONNX Runtime"])
def test_results_have_the_order_and_the_bytes_of_one_thread(
    generator, tmp_path, monkeypatch, runtime
):
    monkeypatch.setattr(threads, "processor_limits", lambda: ProcessorLimits(affinity=4))
    network = fold(generator)
    backend: Backend = EagerBackend(network, "network")
    if runtime == "ONNX Runtime":
        write_onnx(build_onnx(network), tmp_path / "g.onnx")
        backend = OnnxBackend(tmp_path / "g.onnx", "fp32", CPU)
    inputs = probe_inputs(10)
    for found, expected in zip(run_in_threads(backend, inputs), map(backend, inputs), strict=True):
        assert np.array_equal(found.floats, expected.floats)
        assert np.array_equal(found.images, expected.images)


def test_the_first_batch_that_fails_ends_the_run_with_its_error(monkeypatch):
    monkeypatch.setattr(threads, "processor_limits", lambda: ProcessorLimits(affinity=2))
    inputs = probe_inputs(10)

    def run(batch):
        raise FailedRunError(f"fails on a batch of {len(batch.z)}")

    with pytest.raises(FailedRunError, match=f"fails on a batch of {len(inputs[0].z)}$"):
        run_in_threads(run, inputs)


def test_batches_run_at_the_same_time_in_threads_with_the_callers_setting(monkeypatch):
    monkeypatch.setattr(threads, "processor_limits", lambda: ProcessorLimits(affinity=2))
    torch.set_num_threads(1)
    both = threading.Barrier(2, timeout=60)

    def run(_):
        both.wait()
        return torch.get_num_threads()

    assert run_in_threads(run, probe_inputs(10)[:2]) == [1, 1]
