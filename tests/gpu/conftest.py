"""Tests that need an NVIDIA GPU, each skipped with its reason where there is none. `make test-gpu` runs them."""

from __future__ import annotations

from typing import Any

import pytest
from libraries import LIBRARIES

import hpctrain


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> Any:
    """torch and CuPy, one after the other."""
    return usable(request.param)


@pytest.fixture
def torch_library() -> Any:
    """torch alone."""
    return usable("torch")


@pytest.fixture
def cupy_library() -> Any:
    """CuPy alone."""
    return usable("cupy")


@pytest.fixture(scope="session")
def group() -> hpctrain.Group:
    """This process alone."""
    return hpctrain.init()


def usable(name: str) -> Any:
    try:
        return LIBRARIES[name]()
    except ImportError as error:
        pytest.skip(f"no GPU for {name} here: {error}")
