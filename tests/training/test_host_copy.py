"""Copies to the host keep the values of the moment at which they were asked for."""

import pytest
import torch

from dcgan.training.host_copy import HostCopy, is_asynchronous


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_later_changes_do_not_reach_a_copy(device):
    tensor = torch.arange(24.0, device=device).view(1, 2, 3, 4)
    tensor = tensor.to(memory_format=torch.channels_last)
    copy = HostCopy(tensor)
    tensor.zero_()
    assert copy.numpy().ravel().tolist() == list(range(24))


def test_only_a_gpu_computes_while_the_host_goes_on():
    assert is_asynchronous(torch.device("cuda"))
    assert not is_asynchronous(torch.device("cpu"))
