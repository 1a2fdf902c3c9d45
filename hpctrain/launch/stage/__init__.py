"""What a job reads at its start, brought to its nodes once: `run.stage = "node"`.

    shared file system ──> rank 0 ──broadcast──> first rank of each node ──> <run.stage_dir>/hpctrain-<user>/

Without it every rank looks for every module, and reads every library, on a file system that all of them share: a few
thousand files a rank with torch. With it rank 0 alone reads them, as one archive where it has been packed before. What
a process needs to come so far (Python, MPI, NumPy, the settings) is still read from where it lies; torch and all that
comes after it, and the data, are read from the node.
"""
