"""Every job example on the page about data is a valid job, and every source has one."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from hpctrain.data.sources.kinds import KINDS
from hpctrain.job.settings import Job

PAGE = Path(__file__).parents[3] / "docs" / "data.md"


def test_the_examples_are_valid_jobs() -> None:
    examples = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    jobs = [Job.model_validate(tomllib.loads(example)) for example in examples]
    assert tuple(job.data.source for job in jobs) == KINDS
