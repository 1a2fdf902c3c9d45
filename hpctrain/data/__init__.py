"""What is learned from: sources, cleaning, statistics, partitions, and the loader that keeps batches ready.

Nothing here talks to other ranks: where all of them must agree, the caller hands in one function that gathers a value.
"""
