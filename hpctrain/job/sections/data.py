"""Section [data]: what is learned from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hpctrain.job.sections.section import FilePath, Section, Width


class Data(Section):
    """What is learned from."""

    source: Literal["digits", "npy", "csv", "parquet", "hdf5", "idx", "cifar", "images", "text", "stdlib"] = Field(
        "digits",
        description="kind of the data; digits come with the package, stdlib is the source text of Python's own "
        "library, the others are read from data.path",
    )
    path: FilePath = Field("", description="training data: a file, or a folder where the source allows one")
    test_path: FilePath = Field(
        "",
        description="test data; empty: the test files that a folder of idx or cifar also holds, "
        "else data.test_fraction of the training data is held out",
    )
    test_fraction: float = Field(
        0.2, ge=0.0, lt=1.0, description="share held out for testing without test_path; stdlib: share of the files"
    )
    split_seed: int = Field(
        0, ge=0, description="key of the choice of held-out samples, and of random and hash partitions"
    )
    features: list[str] = Field([], description="columns or arrays to learn from; empty: all but data.target")
    target: str = Field(
        "",
        description="column or array to predict; empty: the source's own labels (the last column of a CSV, "
        "'label' or 'y' where arrays have names)",
    )
    shape: list[Width] = Field([], description="shape of one sample, e.g. [1, 28, 28]; empty: as the source gives it")
    scale: float = Field(1.0, gt=0.0, description="every input is divided by this first, e.g. 255 for bytes")
    normalize: Literal["none", "standard"] = Field(
        "standard", description="standard: subtract the mean, divide by the deviation of the training data"
    )
    normalize_per: Literal["feature", "sample_shape"] = Field(
        "sample_shape",
        description="one mean and deviation per feature (column of a table; channel of an image, which is the first of "
        "three axes), or one for each position of a sample",
    )
    missing: Literal["refuse", "drop", "impute"] = Field(
        "refuse", description="missing and non-finite values: refuse the data, drop the sample, or impute the mean"
    )
    partition: Literal["auto", "batch", "range", "random", "hash"] = Field(
        "auto",
        description="who reads what. batch: each rank reads its block of every batch; range, random, hash: each rank "
        "holds its own part of the samples and computes on those; auto: batch where samples can be read one by one",
    )
    shuffle: bool = Field(True, description="a new order of the samples each epoch, the same at every world size")
    prefetch: int = Field(2, ge=0, description="batches made ready in the background; 0: none")
    context: int = Field(64, ge=1, description="text, stdlib: number of bytes that a sample shows the model")
