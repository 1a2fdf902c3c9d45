"""What every rank of `mpirun -n N python tests/gpu/share_a_gpu.py LIBRARY` does: all-reduces of arrays on one GPU.

Started by test_gpu_ranks.py. Whatever goes wrong on a rank ends all of them.
"""

from __future__ import annotations

import sys

import numpy as np
from libraries import LIBRARIES, combined, operations, whole_numbers

import hpctrain
from hpctrain.collectives.device.paths import DevicePaths
from hpctrain.errors import EnvironmentProblem
from hpctrain.launch.cuda_probe import prove_cuda_aware

LENGTHS = (0, 1, 7, 1000, 2**20 + 3)  # the last takes several pieces in every dtype but those of one byte


def main() -> None:
    group = hpctrain.init()
    library = LIBRARIES[sys.argv[1]]()
    paths = DevicePaths(
        group.nodes, group.traffic, lambda num_bytes: group.shared_array(num_bytes, np.uint8), prove_cuda_aware
    )

    def on_the_host(buffer: np.ndarray, op: hpctrain.Op) -> None:
        group.all_reduce(buffer, op)

    for dtype in library.dtypes:
        for op in operations(dtype):
            for length in LENGTHS:
                parts = [whole_numbers(rank, length, dtype) for rank in range(group.size)]
                for path in ("staged", "auto"):
                    array = library.array(parts[group.rank], dtype)
                    paths.all_reduce(array, op, on_the_host, path)
                    found, expected = library.numpy(array), combined(parts, op, dtype)
                    np.testing.assert_array_equal(found, expected, err_msg=f"{path}: {op} of {length} {dtype}")
    described = paths.describe(library.array(np.ones(1, np.float32), "float32"))
    refused = ""
    try:
        paths.all_reduce(library.array(np.ones(1, np.float32), "float32"), hpctrain.Op.SUM, on_the_host, "nccl")
    except EnvironmentProblem as problem:
        refused = str(problem)
    assert len(set(group.comm.gather_objects((described, refused)))) == 1, "ranks differ"
    paths.close()
    if group.rank == 0:
        print(f"auto: {described}\nnccl: {refused}")


if __name__ == "__main__":
    main()
