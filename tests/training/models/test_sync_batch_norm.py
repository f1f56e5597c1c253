"""Batch normalization over all processes, here with one; test_distributed.py has two."""

import pytest
import torch
from torch import nn

from dcgan.training.distributed import SINGLE_PROCESS, DistributedContext
from dcgan.training.models.sync_batch_norm import SyncBatchNorm, convert_sync_batch_norm

pytestmark = pytest.mark.numerical


@pytest.mark.parametrize("affine", [True, False])
def test_one_process_gives_what_batch_norm_gives(affine):
    torch.manual_seed(0)
    plain = nn.BatchNorm2d(5, affine=affine)
    if affine:
        nn.init.normal_(plain.weight, 1.0, 0.5)
        nn.init.normal_(plain.bias)
    synced = SyncBatchNorm(plain, SINGLE_PROCESS)
    data = torch.randn(4, 5, 6, 6) * 3 + 1
    weights = torch.randn(4, 5, 6, 6)

    found = []
    for norm in (plain, synced):
        x = data.clone().requires_grad_()
        y = norm(x)
        (y * weights).sum().backward()
        found.append([y, x.grad, *(p.grad for p in norm.parameters()), *norm.buffers()])
    for expected, ours in zip(*found, strict=True):
        assert torch.allclose(ours.float(), expected.float(), rtol=1e-4, atol=1e-5)

    expected, ours = plain.eval()(data), synced.eval()(data)
    assert torch.allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_every_batch_norm_of_a_network_is_replaced_in_a_distributed_run_only():
    def network() -> nn.Sequential:
        return nn.Sequential(nn.BatchNorm2d(2), nn.Sequential(nn.ReLU(), nn.BatchNorm2d(2)))

    alone, together = network(), network()
    convert_sync_batch_norm(alone, SINGLE_PROCESS)
    convert_sync_batch_norm(together, DistributedContext(world_size=2))
    assert not any(isinstance(module, SyncBatchNorm) for module in alone.modules())
    assert sum(isinstance(module, SyncBatchNorm) for module in together.modules()) == 2
    assert together.state_dict().keys() == alone.state_dict().keys()
