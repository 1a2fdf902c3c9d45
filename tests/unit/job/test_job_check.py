from __future__ import annotations

from pathlib import Path

import pytest

from hpctrain.errors import SettingsError
from hpctrain.job.load import load_job


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of every test here, with one file in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.csv").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("data.source=csv", 'data.source is "csv", and data.path is not set'),
        ("data.source=csv data.path=no.csv", 'data.path is "no.csv", and there is no such file or folder (in {cwd})'),
        (
            "data.source=csv data.path=there.csv data.test_path=no",
            'data.test_path is "no", and there is no such file or folder (in {cwd})',
        ),
        ("data.path=there.csv", 'data.source "digits" reads no files: set data.source, e.g. to "csv"'),
        ("data.path=x.npz", 'set data.source, e.g. to "npy"'),
        ("data.target=y", 'data.target is set, and data.source "digits" has no named columns'),
        ("data.features=['a']", 'data.features is set, and data.source "digits" has no named columns'),
        (
            "data.source=stdlib data.path=x model.kind=transformer",
            'data.source "stdlib" reads no files: set data.source, e.g. to "text"',
        ),
        ("data.source=stdlib model.kind=transformer data.target=y", 'data.source "stdlib" has no named columns'),
        (
            "data.source=text data.path=there.csv",
            'model.kind is "cnn", and data.source "text" is text: use model.kind "transformer"',
        ),
        ("data.source=stdlib model.kind=mlp", 'data.source "stdlib" is text: use model.kind "transformer"'),
        (
            "model.kind=transformer",
            'model.kind "transformer" reads text, and data.source is "digits": use data.source "text" or "stdlib"',
        ),
        (
            "data.source=stdlib model.kind=transformer model.heads=3",
            "model.width is 128, and model.heads, 3, does not divide it: use 126 or 129",
        ),
        ("data.source=stdlib model.kind=transformer model.heads=3 model.width=2", "does not divide it: use 3"),
        (
            "data.source=stdlib model.kind=transformer training.loss=mse",
            'a transformer predicts which byte comes next: use "cross_entropy"',
        ),
        ("model.engine=numpy model.factory=a:b", 'makes a torch model, and model.engine is "numpy"'),
        ("model.options.width=3", "model.options are passed to model.factory, and that is not set"),
        ("model.channels=[]", "model.channels is [], and a cnn needs a convolution"),
        (
            "run.device=cuda model.engine=numpy",
            'model.engine "numpy" computes on the CPU: use engine "cupy" or "torch"',
        ),
        ("run.device=cpu model.engine=cupy", 'model.engine "cupy" computes on a GPU: use engine "numpy" or "torch"'),
        ("run.resume=atuo", 'must be "no", "auto" or the path of a checkpoint (did you mean "auto"?)'),
        ("run.stage_keep=true", 'run.stage_keep is for copies on the nodes, and run.stage is "none"'),
        ("run.stage_dir=/scratch", 'run.stage_dir is for copies on the nodes, and run.stage is "none"'),
        ("run.resume=runs/gone", 'must be "no", "auto" or the path of a checkpoint (none is there in {cwd})'),
    ],
)
def test_impossible_combinations(overrides: str, message: str, folder: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        load_job(None, overrides.split())
    assert message.format(cwd=folder) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "overrides",
    [
        "data.source=csv data.path=there.csv data.target=y data.features=['a']",
        "data.source=text data.path=there.csv model.factory=a:b",
        "data.source=text data.path=there.csv model.kind=transformer",
        "data.source=stdlib model.kind=transformer model.width=96 model.heads=3 model.engine=numpy",
        "data.source=stdlib model.factory=a:b",
        "model.factory=a:b model.kind=transformer model.heads=3",
        "model.engine=cupy run.device=cuda",
        "model.factory=a.b:c model.options={width=3}",
        "model.kind=mlp model.channels=[]",
        "model.hidden=[]",
        "run.resume=there.csv",
        "run.stage=node run.stage_dir=/scratch run.stage_keep=true",
        "run.resume=auto",
    ],
)
def test_possible_combinations(overrides: str) -> None:
    load_job(None, overrides.split())
