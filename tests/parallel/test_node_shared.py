"""Arrays in memory that the ranks of a node share, and the all-reduces and broadcasts that go through it."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from several_nodes import SeveralNodes, SeveralNodesThereAndBack

from hpctrain import Group, Op
from hpctrain.collectives import nodes as nodes_module
from hpctrain.collectives.all_reduce import ALGORITHMS, applicable
from hpctrain.collectives.all_reduce.hierarchical import LONG_PIECE_BYTES
from hpctrain.collectives.all_reduce.hierarchical_ring import SHORT_BLOCK_BYTES
from hpctrain.collectives.all_reduce.node_shared import LED_BYTES, SHORT_BYTES
from hpctrain.collectives.broadcast.hierarchical import hierarchical
from hpctrain.collectives.broadcast.node_shared import node_shared
from hpctrain.collectives.scratch import PIECE_BYTES
from hpctrain.errors import CommunicationError, SharedMemoryError

NUMPY = {Op.SUM: np.sum, Op.MEAN: np.mean, Op.MIN: np.min, Op.MAX: np.max, Op.PRODUCT: np.prod}
ORDERED = [Op.SUM, Op.MIN, Op.MAX, Op.PRODUCT]
CASES = [
    (dtype, op)
    for dtype, ops in {
        "float16": list(Op),
        "float32": list(Op),
        "float64": list(Op),
        "int8": ORDERED,
        "uint16": ORDERED,
        "int64": ORDERED,
        "bool": ORDERED,
        "complex64": [Op.SUM, Op.MEAN, Op.PRODUCT],
    }.items()
    for op in ops
]
LENGTHS = [0, 1, 2, 5, 1000, 200_003]


def numbers(rank: int, length: int, dtype: str) -> np.ndarray:
    """Different on every rank, and so small that sums and products are exact in every dtype, in every order."""
    return ((np.arange(length) + rank) % 3).astype(dtype)


def combined(group: Group, length: int, dtype: str, op: Op) -> np.ndarray:
    everybody = np.stack([numbers(rank, length, dtype) for rank in range(group.size)])
    return NUMPY[op](everybody.astype("float32") if dtype == "float16" else everybody, axis=0).astype(dtype)


def noise(group: Group, length: int, dtype: str = "float32") -> np.ndarray:
    """Whose sums are rounded: their bits tell in which order they were added."""
    return np.random.default_rng([group.rank, length]).normal(size=length).astype(dtype)


@pytest.fixture(params=["one node", "two nodes", "two domains"])
def shaped(group: Group, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Group]:
    """The ranks as they are; as if they were on two nodes; and as if their node had two NUMA domains."""
    comm = group.comm.split(0, group.rank)
    if request.param == "two domains":
        monkeypatch.setattr(nodes_module, "numa_domain", lambda cores: group.rank % 2)
    shaped = Group(SeveralNodes(comm) if request.param == "two nodes" else comm)
    assert shaped.num_nodes == (min(2, group.size) if request.param == "two nodes" else 1)
    yield shaped
    shaped.close()


@pytest.mark.parametrize(("dtype", "op"), CASES)
def test_shared_arrays_are_combined_where_they_lie(shaped: Group, dtype: str, op: Op) -> None:
    for length in LENGTHS:
        expected = combined(shaped, length, dtype, op)
        mine, result = shaped.shared_array(length, dtype), shaped.shared_array(length, dtype, per="node")
        mine[...] = numbers(shaped.rank, length, dtype)
        for _ in range(2):  # the second time by the steps that were kept
            assert shaped.all_reduce(mine, op, out=result) is result
            np.testing.assert_array_equal(result, expected)
            np.testing.assert_array_equal(mine, numbers(shaped.rank, length, dtype))
            shaped.barrier()  # who goes on would change what others still look at
        assert shaped.all_reduce(mine, op) is mine
        np.testing.assert_array_equal(mine, expected)
        shaped.barrier()


@pytest.mark.parametrize(("dtype", "op"), CASES)
def test_private_arrays_are_combined(shaped: Group, dtype: str, op: Op) -> None:
    for name in sorted({"node_shared", "hierarchical"} & set(applicable(shaped.nodes))):
        for length in LENGTHS:
            array = numbers(shaped.rank, length, dtype)
            shaped.all_reduce(array, op, algorithm=name)
            np.testing.assert_array_equal(array, combined(shaped, length, dtype, op), err_msg=f"{name}, {length}")


def test_a_window_is_not_copied(group: Group) -> None:
    """It is summed through no scratch and by no message, and for nobody to see but in its own place."""
    part = group.split(0)
    mine = part.shared_array(1000)
    mine[...] = noise(part, 1000)
    before = part.traffic.bytes_sent
    part.all_reduce(mine)
    assert part.traffic.bytes_sent == before
    assert "scratch" not in vars(part.nodes)
    part.all_reduce(noise(part, 100_000), algorithm="node_shared")
    assert "scratch" in vars(part.nodes)
    part.close()


def test_the_bits_are_those_of_the_naive_sum(group: Group) -> None:
    """Numbers are added in rank order, wherever they lie, and however many pieces and slices there are."""
    short, led = (num_bytes // group.size // 4 for num_bytes in (SHORT_BYTES, LED_BYTES))
    for length in (1, short, short + 1, led, led + 1, 100_003, 3 * PIECE_BYTES // 4 + 1):
        expected = noise(group, length)
        group.all_reduce(expected, algorithm="naive")
        for name in ("node_shared", "hierarchical"):
            array = noise(group, length)
            group.all_reduce(array, algorithm=name)
            np.testing.assert_array_equal(array, expected, err_msg=name)
        mine, result = group.shared_array(length), group.shared_array(length, per="node")
        mine[...] = noise(group, length)
        group.all_reduce(mine, out=result)
        np.testing.assert_array_equal(result, expected)
        group.all_reduce(mine)
        np.testing.assert_array_equal(mine, expected)
        group.barrier()


@pytest.mark.min_ranks(3)
def test_domains_are_added_up_before_they_cross(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes_module, "numa_domain", lambda cores: group.rank % 2)
    part = group.split(0)
    assert part.topology.domains_on(0) == [list(range(0, group.size, 2)), list(range(1, group.size, 2))]
    for length in (20_001, 3 * PIECE_BYTES // 4 + 1):
        everybody = [
            np.random.default_rng([rank, length]).normal(size=length).astype("float32") for rank in range(part.size)
        ]
        near = [sum(everybody[first + 2 :: 2], start=everybody[first]) for first in (0, 1)]
        expected = near[0] + near[1]
        assert np.any(expected != sum(everybody[1:], start=everybody[0])), "the order makes a difference here"
        array = noise(part, length)
        part.all_reduce(array, algorithm="node_shared")
        np.testing.assert_array_equal(array, expected)
        mine = part.shared_array(length)
        mine[...] = noise(part, length)
        part.all_reduce(mine)
        np.testing.assert_array_equal(mine, expected)
        part.barrier()
    part.close()


def test_every_rank_ends_with_the_same_bits(shaped: Group) -> None:
    for name in applicable(shaped.nodes):
        array = noise(shaped, 300_001)
        shaped.all_reduce(array, algorithm=name)
        assert len(set(shaped.comm.gather_objects(array.tobytes()))) == 1, name


def test_parts_and_tensors_on_shared_arrays_are_found(group: Group) -> None:
    part = group.split(0)
    total = sum(range(1, part.size + 1))
    mine, result = part.shared_array((4, 100)), part.shared_array((4, 100), per="node")
    tensor, result_tensor = torch.from_numpy(mine), torch.from_numpy(result)
    mine[...] = part.rank + 1
    before = part.traffic.bytes_sent
    for _ in range(2):
        part.all_reduce(mine[1:3], out=result[1:3])
        part.all_reduce(tensor[3], out=result_tensor[3])
        part.all_reduce(mine[0].reshape(10, 10), out=result_tensor[0].view(10, 10))
        np.testing.assert_array_equal(result, total)
        part.barrier()
        result[1:] = 0
        part.barrier()
    part.all_reduce(tensor[2, 50:])
    np.testing.assert_array_equal(mine[2], [part.rank + 1] * 50 + [total] * 50)
    assert part.traffic.bytes_sent == before
    part.barrier()
    part.close()


def test_what_is_no_contiguous_part_is_handled_too(shaped: Group) -> None:
    total = sum(range(1, shaped.size + 1))
    mine, result = shaped.shared_array((6, 10)), shaped.shared_array((6, 10), per="node")
    mine[...] = shaped.rank + 1
    shaped.all_reduce(mine[:, ::2])
    np.testing.assert_array_equal(mine[:, 0], total)
    np.testing.assert_array_equal(mine[:, 1], shaped.rank + 1)
    shaped.all_reduce(torch.from_numpy(mine).T[1])
    np.testing.assert_array_equal(mine[:, 1], total)
    private = np.full((6, 10), shaped.rank + 1, np.float32)
    shaped.all_reduce(private, out=result)
    np.testing.assert_array_equal(result, total)
    shaped.barrier()
    shaped.all_reduce(private, "max", out=mine)  # from memory of its own into shared memory of its own
    np.testing.assert_array_equal(mine, shaped.size)
    np.testing.assert_array_equal(private, shaped.rank + 1)
    shaped.barrier()


def test_half_precision_grows_in_single_in_the_window_too(shaped: Group) -> None:
    mine, result = shaped.shared_array(3, np.float16), shaped.shared_array(3, np.float16, per="node")
    mine[...] = 2048 if shaped.rank == 0 else 1  # 2048 + 1 is 2048 in float16
    shaped.all_reduce(mine, out=result)
    np.testing.assert_array_equal(result, np.float16(2048 + shaped.size - 1))
    bfloat16 = torch.from_numpy(shaped.shared_array(3, np.int16)).view(torch.bfloat16)
    bfloat16.fill_(256 if shaped.rank == 0 else 1)  # 256 + 1 is 256 in bfloat16
    shaped.all_reduce(bfloat16)
    assert bfloat16.tolist() == [torch.tensor(256.0 + shaped.size - 1).bfloat16().item()] * 3
    shaped.barrier()


@pytest.mark.min_ranks(2)
def test_ranks_that_differ_are_told_and_do_not_sum(group: Group) -> None:
    def refused(part: Group, array: np.ndarray, op: str = "sum", algorithm: str = "auto") -> None:
        with pytest.raises(CommunicationError, match="different"):
            part.all_reduce(array, op, algorithm)
        part.close()

    first = group.rank == 0
    refused(group.split(0), np.zeros(5000 + first, np.float32), algorithm="node_shared")
    refused(group.split(0), np.zeros(5000, np.float32 if first else np.int32), algorithm="node_shared")
    refused(group.split(0), np.zeros(5, np.float32), "max" if first else "sum", algorithm="node_shared")
    part = group.split(0)
    one, other = part.shared_array(10), part.shared_array(10)
    refused(part, one if first else other)
    part = group.split(0)
    array = part.shared_array(10)
    refused(part, array[:5] if first else array[5:])
    part = group.split(0)
    with pytest.raises(CommunicationError, match="must ask for the same array"):
        part.shared_array(10 + first)
    part.close()


def test_what_cannot_be_combined_is_refused(group: Group) -> None:
    read_only = np.zeros(3)
    read_only.flags.writeable = False
    of_node = group.shared_array(3, per="node")
    for message, array, op, out in [
        ("real or complex numbers", np.zeros(3, np.int64), "mean", None),
        ("real or complex numbers", np.zeros(3, np.bool_), "mean", None),
        ("needs an order", np.zeros(3, np.complex64), "min", None),
        ("needs an order", group.shared_array(3, np.complex64), "max", None),
        ("byte order", np.zeros(3, ">f4"), "sum", None),
        ("no type of numbers", np.array([None, 1]), "sum", None),
        ("no type of numbers", np.array(["a", "b"]), "sum", None),
        ("no type of numbers", np.zeros(3, [("a", "f4")]), "sum", None),
        ("no type of numbers", np.zeros(3, "M8[s]"), "sum", None),
        ("read-only", read_only, "sum", None),
        ("read-only", np.zeros(3), "sum", read_only),
        (r"float64 \(3,\) with out= of float64 \(4,\)", np.zeros(3), "sum", np.zeros(4)),
        (r"float64 \(3,\) with out= of float32 \(3,\)", np.zeros(3), "sum", np.zeros(3, np.float32)),
        (r"float32 \(3,\) with out= of float32 \(1, 3\)", group.shared_array(3), "sum", of_node.reshape(1, 3)),
        ("all ranks of a node share", of_node, "sum", None),
        ("cannot communicate a builtins.list", np.zeros(1), "sum", [0.0]),
    ]:
        for algorithm in ("auto", "ring"):
            with pytest.raises(CommunicationError, match=message):
                group.all_reduce(array, op, algorithm, out)
    assert group.all_reduce(np.ones(1))[0] == group.size  # and nobody waits for anybody


def test_odd_arrays_are_handled(group: Group) -> None:
    for algorithm in applicable(group.nodes):
        number = np.array(3.0)
        assert group.all_reduce(number, algorithm=algorithm) is number
        assert number == 3.0 * group.size
        assert group.all_reduce(np.zeros((0, 3)), algorithm=algorithm).shape == (0, 3)
        for order in ("C", "F"):
            array = np.asarray(np.arange(12.0).reshape(3, 4), order=order)
            group.all_reduce(array, algorithm=algorithm)
            np.testing.assert_array_equal(array, np.arange(12.0).reshape(3, 4) * group.size)
        backwards = np.arange(5.0)[::-1]
        group.all_reduce(backwards, "mean", algorithm=algorithm)
        np.testing.assert_array_equal(backwards, np.arange(5.0)[::-1])
        leaf = torch.ones(2, 3, requires_grad=True)
        group.all_reduce(leaf.detach().T, algorithm=algorithm)
        assert leaf.tolist() == [[group.size] * 3] * 2
        group.all_reduce(leaf, "mean", algorithm=algorithm)
        assert leaf.requires_grad
        assert leaf.is_leaf
        for dtype in (torch.bool, torch.int8, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.complex64):
            tensor = torch.ones(5, dtype=dtype)
            group.all_reduce(tensor, "product", algorithm=algorithm)
            assert tensor.tolist() == torch.ones(5, dtype=dtype).tolist()


def test_out_may_be_anything_like_the_array(group: Group) -> None:
    array = np.arange(6.0).reshape(2, 3)
    strided = np.zeros((2, 6))[:, ::2]
    for out in (np.zeros((2, 3)), strided, np.zeros((3, 2)).T, torch.zeros(2, 3, dtype=torch.float64)):
        assert group.all_reduce(array, out=out) is out
        np.testing.assert_array_equal(out, array * group.size)
    half, out = torch.ones(3, dtype=torch.bfloat16), torch.zeros(3, dtype=torch.bfloat16)
    group.all_reduce(half, out=out)
    assert out.tolist() == [group.size] * 3
    assert half.tolist() == [1.0] * 3


@pytest.mark.parametrize("num_nodes", [2, 3])
@pytest.mark.parametrize("ranks", [SeveralNodes, SeveralNodesThereAndBack])
def test_long_arrays_go_between_nodes_in_pieces(group: Group, num_nodes: int, ranks: type[SeveralNodes]) -> None:
    """Row by row, and what is left of the last piece at once."""
    part = Group(ranks(group.comm.split(0, group.rank), num_nodes))
    length = (LONG_PIECE_BYTES + num_nodes * SHORT_BLOCK_BYTES) // 8 + 7
    array = np.arange(length) * (part.rank + 1.0)
    part.all_reduce(array, "mean", algorithm="hierarchical")
    np.testing.assert_allclose(array, np.arange(length) * (part.size + 1) / 2)
    part.close()


@pytest.mark.parametrize("length", [0, 1, 100_000, PIECE_BYTES // 4 + 1])
def test_broadcasts_through_shared_memory(shaped: Group, length: int) -> None:
    for root in range(shaped.size):
        array = numbers(shaped.rank, length, "float32")
        hierarchical(shaped.nodes, array, root)
        np.testing.assert_array_equal(array, numbers(root, length, "float32"))
        shaped.broadcast(array, (root + 1) % shaped.size)
        np.testing.assert_array_equal(array, numbers(root, length, "float32"))
    for root in range(shaped.local_size):
        array = np.full(length, shaped.local_rank)
        node_shared(shaped.nodes, array, root)
        np.testing.assert_array_equal(array, root)


def test_messages_go_on_while_a_rank_waits_for_its_node(group: Group) -> None:
    """Rank 0 waits for the others in shared memory, and they first wait for what it has begun to send."""
    long = np.ones(2**22)
    requests = []
    if group.rank == 0:
        requests = [group.comm.isend(long, other, 5) for other in range(1, group.size)]
    else:
        group.comm.recv(long, 0, 5)
    group.nodes.barrier()
    for request in requests:
        request.wait()
    first = group.all_reduce_async(np.ones(2**20))
    if group.rank == 0:
        first.wait()
    group.nodes.barrier()
    np.testing.assert_array_equal(first.wait(), group.size)


def mapped() -> int:
    """How many times this process has memory mapped, and holds a descriptor, that a shared array could be on."""
    gc.collect()
    with open("/proc/self/maps") as maps:
        mappings = sum("hpctrain" in line for line in maps)
    return mappings + sum("hpctrain" in os.readlink(f"/proc/self/fd/{fd}") for fd in open_descriptors())


def open_descriptors() -> list[str]:
    return [fd for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")]


def test_shared_arrays_leave_nothing_behind(group: Group) -> None:
    group.all_reduce(group.shared_array(10), out=group.shared_array(10, per="node"))
    group.barrier()
    before, descriptors = mapped(), len(open_descriptors())
    for _ in range(200):
        mine, result = group.shared_array(1000), group.shared_array(1000, per="node")
        group.all_reduce(mine, out=result)
        group.all_reduce(mine[10:20])
    del mine, result
    assert (mapped(), len(open_descriptors())) == (before, descriptors)
    assert not [name for name in os.listdir("/dev/shm") if name.startswith("hpctrain")]
    group.barrier()


def test_a_tensor_keeps_the_memory_that_its_group_gave(group: Group) -> None:
    part = group.split(0)
    before = mapped()
    tensor = torch.from_numpy(part.shared_array(1000))
    part.all_reduce(tensor)
    part.close()
    del part
    tensor.fill_(3.0)
    assert tensor.sum().item() == 3000.0
    assert mapped() > before - 2
    group.barrier()


def test_too_large_a_shared_array_is_refused_with_its_size(group: Group) -> None:
    with pytest.raises(SharedMemoryError, match=r"shared_array\(\(1099511627776,\), float64, per='rank'\)"):
        group.shared_array(2**40, np.float64)
    with pytest.raises(CommunicationError, match="must not be negative"):
        group.shared_array((3, -1))
    with pytest.raises(CommunicationError, match="objects of this process"):
        group.shared_array(3, object)
    with pytest.raises(CommunicationError, match="none of NumPy's"):
        group.shared_array(3, "float33")
    assert group.shared_array((), np.int64).shape == ()
    assert group.shared_array((0, 3)).shape == (0, 3)


def test_every_algorithm_has_been_tried(group: Group) -> None:
    part = Group(SeveralNodes(group.comm.split(0, group.rank)))
    tried = set(applicable(group.nodes)) | set(applicable(part.nodes))
    assert set(ALGORITHMS) - tried <= {"native"}
    part.close()
