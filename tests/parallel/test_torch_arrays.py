"""Torch tensors in the collectives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hpctrain import Group


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool]
)
def test_all_reduce_in_place(group: Group, dtype: torch.dtype) -> None:
    tensor = torch.arange(6).reshape(2, 3).to(dtype)
    assert group.all_reduce(tensor) is tensor
    assert tensor.dtype == dtype
    expected = torch.arange(6).reshape(2, 3) * group.size
    torch.testing.assert_close(tensor, expected.bool() if dtype == torch.bool else expected.to(dtype))


def test_bfloat16_sums_in_single(group: Group) -> None:
    tensor = torch.full((1,), 256.0 if group.rank == 0 else 0.5, dtype=torch.bfloat16)  # 256 + 0.5 is 256 in bfloat16
    group.all_reduce(tensor)
    assert tensor.item() == torch.tensor(256 + 0.5 * (group.size - 1)).to(torch.bfloat16).item()


def test_strided_tensors_and_ones_that_need_a_gradient(group: Group) -> None:
    tensor = torch.ones(4, 3).T
    group.all_reduce(tensor)
    assert tensor.eq(group.size).all()
    parameter = torch.nn.Parameter(torch.ones(3))
    group.all_reduce(parameter)
    assert parameter.detach().eq(group.size).all()
    assert parameter.requires_grad


def test_the_other_collectives(group: Group) -> None:
    assert torch.equal(group.all_gather(torch.full((1, 2), group.rank))[:, 0], torch.arange(group.size))
    assert group.reduce_scatter(torch.ones(group.size, dtype=torch.bfloat16)).tolist() == [group.size]
    assert group.broadcast(torch.full((2,), float(group.rank)), root=group.size - 1).tolist() == [group.size - 1] * 2
    received = group.all_to_all([torch.tensor([group.rank])] * group.size)
    assert [tensor.item() for tensor in received] == list(range(group.size))
    assert group.all_reduce_async(torch.ones(2, dtype=torch.float16)).wait().tolist() == [group.size] * 2
    out = np.empty(2, np.float32)
    group.all_reduce(np.ones(2, np.float32), out=out)
    assert out.tolist() == [group.size] * 2
