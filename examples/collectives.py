"""Collectives on arrays, in any script: mpirun -n 3 python examples/collectives.py"""

import numpy as np

import hpctrain

world = hpctrain.init()

# Any array of NumPy, CuPy or torch. The result replaces it, or goes where `out` says.
scores = np.array([1.0, world.rank])
world.all_reduce(scores)
largest = world.all_reduce(np.array([world.rank]), "max")

# Arrays in memory that the ranks of a node share are summed where they lie: nothing is copied.
mine = world.shared_array(1_000_000)  # one for each rank
total = world.shared_array(1_000_000, per="node")  # one for the node
mine[...] = world.rank + 1
world.all_reduce(mine, "mean", out=total)

# Start now, wait later.
request = world.all_reduce_async(np.ones(5))
rows = world.all_gather(np.full((world.rank, 2), world.rank))  # of different lengths
ones = request.wait()

# Some of the ranks: here those of even and of odd number.
half = world.split(color=world.rank % 2)
members = half.all_gather(np.array([world.rank]))

if world.rank == 0:
    print(f"scores {scores}, largest {largest}, mean {total[0]}")
    print(f"ones {ones[0]}, rows {rows[:, 0]}, even ranks {members}")
