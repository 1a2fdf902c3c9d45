"""How arrays in the memory of GPUs are reduced over ranks: NCCL, an MPI that reads GPU memory, or through the host."""
