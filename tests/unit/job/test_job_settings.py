"""Every section is where one would look for it."""

from __future__ import annotations

from hpctrain.job import settings
from hpctrain.job.describe import sections


def test_a_section_is_written_in_the_file_of_its_name() -> None:
    assert {name: kind.__module__ for name, kind in sections().items()} == {
        name: f"hpctrain.job.sections.{name}" for name in settings.Job.model_fields
    }


def test_the_settings_name_every_section() -> None:
    kinds = {kind.__name__: kind for kind in sections().values()}
    assert {name: getattr(settings, name) for name in settings.__all__} == {"Job": settings.Job, **kinds}
