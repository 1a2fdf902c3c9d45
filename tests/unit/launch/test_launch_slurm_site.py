from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from hpctrain.errors import SettingsError
from hpctrain.launch.slurm.site import Site, load_site

SITES = sorted((Path(__file__).parents[3] / "slurm" / "sites").glob("*.toml"))


@pytest.fixture(autouse=True)
def _in_a_fresh_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("slurm/sites").mkdir(parents=True)


def complaint(name: str, text: str | None = None) -> str:
    if text is not None:
        Path(f"slurm/sites/{name}.toml").write_text(text)
    with pytest.raises(SettingsError) as refused:
        load_site(name)
    return str(refused.value)


def test_no_name_is_a_plain_slurm() -> None:
    assert load_site("") == Site()


def test_by_name_and_by_path() -> None:
    Path("slurm/sites/here.toml").write_text('partition = "batch"')
    Path("there.toml").write_text("gpus_per_node = 4")
    assert load_site("here") == Site(partition="batch")
    assert load_site("./there.toml") == Site(gpus_per_node=4)


@pytest.mark.parametrize("path", SITES, ids=lambda path: path.stem)
def test_the_profiles_in_the_repository_can_be_read(path: Path) -> None:
    assert load_site(str(path)).launcher in ("mpirun", "srun-pmix", "srun-pmi2")


def test_the_plain_profile_shows_every_key_with_its_default() -> None:
    (plain,) = [path for path in SITES if path.stem == "plain"]
    assert load_site(str(plain)) == Site()
    keys = [line.lstrip("# ").split(" = ")[0] for line in plain.read_text().splitlines() if " = " in line]
    assert keys == list(Site.model_fields)


def test_scratch_knows_the_user() -> None:
    Path("slurm/sites/here.toml").write_text('scratch = "/scratch/%u/x"')
    assert load_site("here").scratch == f"/scratch/{getpass.getuser()}/x"


def test_an_unknown_site_is_told_with_those_there_are() -> None:
    assert "there are none" in complaint("here")
    for name in ("juwels", "lumi"):
        Path(f"slurm/sites/{name}.toml").touch()
    told = complaint("jewels")
    assert 'no site "jewels" (did you mean juwels?)' in told
    assert "juwels, lumi" in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("partitoin = 'a'", "a site has no partitoin (did you mean partition?); it has partition, account"),
        ("launcher = 'srun'", 'launcher is "srun", and must be one of "mpirun", "srun-pmix", "srun-pmi2"'),
        ("gpus_per_node = 'four'", 'gpus_per_node is "four", and must be a whole number, at least 0'),
        ("partition = 'a b'", 'partition is "a b", and must be text without spaces'),
        ("threads_per_core = 3", "threads_per_core is 3, and must be a whole number, at least 0 and at most 2"),
        ("modules = 'gcc'", 'modules is "gcc", and must be a list of texts'),
        ("account = \n", "slurm/sites/bad.toml: Invalid value (at line 1"),
    ],
)
def test_what_is_wrong_is_told(text: str, message: str) -> None:
    assert message in complaint("bad", text)
