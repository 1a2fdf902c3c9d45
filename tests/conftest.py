"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine must not fail a test: how long something takes is a question for benchmarks/.
settings.register_profile("hpctrain", deadline=None)
settings.load_profile("hpctrain")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return Path(__file__).parents[1]
