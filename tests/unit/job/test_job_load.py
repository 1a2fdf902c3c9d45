from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hpctrain.errors import SettingsError
from hpctrain.job.load import load_job
from hpctrain.job.settings import Job

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a job file into the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "job.toml") -> Path:
        Path(name).write_text(text)
        return Path(name)

    return write


def complaint(path: Path | str | None = None, *overrides: str) -> str:
    with pytest.raises(SettingsError) as refused:
        load_job(path, overrides)
    assert "Input should" not in str(refused.value)
    assert "pydantic" not in str(refused.value)
    return str(refused.value)


def test_without_a_file_the_packaged_job_is_loaded() -> None:
    job = load_job()
    assert job.run.name == "digits_cnn"
    assert job.data.source == "digits"


def test_a_file_and_overrides(write: Write) -> None:
    path = write("[training]\nepochs = 2\nbatch_size = 8\n[optimizer]\nlr = 1\n")
    job = load_job(
        path,
        [
            "training.epochs=5",
            "training.dtype=float64",
            "training.on_nan='skip'",
            "model.hidden=[64,32]",
            "run.dir=/tmp/x",
            "run.trace=true",
            "model.factory=my.models:build",
            "model.options.width=3",
            'model.options.kind="a=b"',
        ],
    )
    assert (job.training.epochs, job.training.batch_size, job.training.dtype) == (5, 8, "float64")
    assert job.training.on_nan == "skip"
    assert job.optimizer.lr == 1.0
    assert isinstance(job.optimizer.lr, float)
    assert job.model.hidden == [64, 32]
    assert job.model.options == {"width": 3, "kind": "a=b"}
    assert (job.run.dir, job.run.trace) == ("/tmp/x", True)


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("run.dir=42", "42"),
        ("run.dir=1.5", "1.5"),
        ("run.dir=true", "true"),
        ("run.dir=2026-11-21", "2026-11-21"),
        ("run.dir='42'", "42"),
        ("run.dir=", ""),
        ("run.dir=a = b", "a = b"),
        ("run.dir=a b # c", "a b # c"),
        ("run.dir=1\nx = 2", "1\nx = 2"),
    ],
)
def test_a_text_needs_no_quotes(override: str, text: str) -> None:
    assert load_job(None, [override]).run.dir == text


def test_the_last_override_wins() -> None:
    assert load_job(None, ["training.epochs=2", "training.epochs=3"]).training.epochs == 3


def test_a_path_may_begin_in_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert load_job(None, ["run.dir=~/runs"]).run.dir == "/home/me/runs"


@pytest.mark.parametrize(
    ("file", "name"),
    [("big.run.toml", "big.run"), ("my job (2).toml", "my-job-2"), ("_.toml", "run"), ("ö.toml", "run")],
)
def test_the_name_defaults_to_that_of_the_file(write: Write, file: str, name: str) -> None:
    assert load_job(write("", file)).run.name == name
    assert load_job(write("[run]\nname = 'other'", file)).run.name == "other"


def test_an_empty_file_gives_the_defaults(write: Write) -> None:
    assert load_job(write("")) == Job.model_validate({"run": {"name": "job"}})


def test_a_byte_order_mark_is_no_error(write: Write) -> None:
    assert load_job(write("\ufeff[training]\r\nepochs = 2\r\n")).training.epochs == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epochs=ten", 'training.epochs is the text "ten", and must be a whole number, at least 1'),
        ("training.epochs='10'", 'training.epochs is the text "10", and must be a whole number'),
        ("training.epochs=2.5", "training.epochs is 2.5, and must be a whole number, at least 1"),
        ("training.epochs=2.0", "training.epochs is 2.0, and must be a whole number"),
        ("training.epochs=0", "training.epochs is 0, and must be a whole number, at least 1"),
        ("training.epochs=true", "training.epochs is true, and must be a whole number"),
        ("run.trace=1", "run.trace is 1, and must be true or false"),
        ("run.trace=True", 'run.trace is the text "True", and must be true or false'),
        ("run.seed=4294967296", "run.seed is 4294967296, and must be a whole number, at least 0 and below 4294967296"),
        ("optimizer.lr='0.1'", 'optimizer.lr is the text "0.1", and must be a number, above 0'),
        ("optimizer.lr=true", "optimizer.lr is true, and must be a number"),
        ("optimizer.lr=nan", "optimizer.lr is nan, and must be a number"),
        ("optimizer.lr=inf", "optimizer.lr is inf, and must be a number"),
        ("optimizer.name=Adm", '"adam", "adamw" (did you mean adam?)'),
        ("training.dtype=16", 'training.dtype is 16, and must be one of "float32", "float64"'),
        ("model.hidden=64", "model.hidden is 64, and must be a list of whole numbers, each at least 1"),
        ("model.hidden=[64,0]", "model.hidden is [64, 0], and must be a list of whole numbers, each at least 1"),
        ("model.hidden=[64,'x']", 'model.hidden is [64, "x"], and must be'),
        ("model.hidden=[64,1.5]", "model.hidden is [64, 1.5], and must be"),
        ("data.features=a,b", 'data.features is the text "a,b", and must be a list of texts'),
        ("model.options=3", "model.options is 3, and must be a table"),
        ("model.kernel_size=4", "model.kernel_size is 4, and must be an odd whole number, at least 1"),
        ("model.factory=build.py", 'and must be text of the form "package.module:function"'),
        ("run.name=a/b", 'run.name is "a/b", and must be text of letters, digits'),
        (
            "training.epoch=3",
            "there is no setting training.epoch (did you mean training.epochs?); settings of [training]",
        ),
        ("training.lr=3", "(did you mean optimizer.lr?)"),
        ("trainin.epochs=3", "there is no section [trainin] (did you mean [training]?); sections: [run], [data]"),
        ("epochs=3", "write section.key=value; did you mean training.epochs=3?"),
        ("training=3", "write section.key=value"),
        ("training.epochs", "write section.key=value, e.g. training.epochs=3"),
        ("training..epochs=3", "write section.key=value"),
        ("=3", "write section.key=value"),
        ("run.name.x=3", 'name is "digits_cnn" in the built-in job digits_cnn, and can hold no keys'),
    ],
)
def test_a_bad_override_is_refused_in_words(override: str, message: str) -> None:
    told = complaint(None, override)
    assert told.startswith(f'override "{override}": ')
    assert message in told
    assert "\n" not in told


def test_problems_in_a_file_are_told_with_their_line(write: Write) -> None:
    path = write("# a job\n\n[training]\nepochs = 'ten'\n\n[model]\nhidden = [\n  64,\n  0,\n]\nkind = 'mlp'\n")
    assert complaint(path).splitlines() == [
        "2 problems with the settings:",
        "  - job.toml, line 7: model.hidden is [64, 0], and must be a list of whole numbers, each at least 1",
        '  - job.toml, line 4: training.epochs is the text "ten", and must be a whole number, at least 1',
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training.epochs = 'x'", "job.toml, line 1: training.epochs is the text"),
        ("\ntraining = {epochs = 'x'}", "job.toml, line 2: training.epochs is the text"),
        ("training = 3", "job.toml, line 1: [training] is a section that holds settings, and is set to 3"),
        (
            "\nepochs = 3",
            "job.toml, line 2: epochs stands in no section (did you mean training.epochs?); sections: [run]",
        ),
        ("[run]\n[optimiser]\nlr = 1", "job.toml, line 2: there is no section [optimiser] (did you mean [optimizer]?)"),
        ("[[run]]\nname = 'a'", "[run] is a section that holds settings, and is set to [{"),
    ],
)
def test_every_way_to_write_toml_has_its_line(write: Write, text: str, message: str) -> None:
    assert message in complaint(write(text))


def test_all_problems_are_told_at_once(write: Write) -> None:
    path = write("epochs = 3\n[training]\nepoch = 2\nbatch_size = 2.5\n[data]\nsource = 'csv'\n[other]\n")
    lines = complaint(path, "run.trace=1", "nonsense").splitlines()
    assert lines[0] == "7 problems with the settings:"
    for part in (
        'override "nonsense": write',
        "job.toml, line 1: epochs stands",
        "job.toml, line 3: there is no setting training.epoch",
        "job.toml, line 7: there is no section [other]",
        'override "run.trace=1": run.trace is 1',
        "job.toml, line 4: training.batch_size is 2.5",
        'job.toml, line 6: data.source is "csv", and data.path is not set',
    ):
        assert sum(part in line for line in lines) == 1, part


def test_a_setting_that_is_wrong_is_not_blamed_twice(write: Write) -> None:
    """A source that there is not falls back to digits, and digits would refuse the path."""
    told = complaint(write("[data]\nsource = 'parqet'\npath = 'x.parquet'\n"))
    assert told.endswith("(did you mean parquet?)")
    assert "\n" not in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[run]\nname = digits\n",
            "job.toml, line 2, column 8: not TOML: Invalid value: name = digits; texts are written",
        ),
        ("[run]\nname = 'x", "job.toml, line 2, column 10: not TOML:"),
        ("[run\n", "job.toml, line 1, column 5: not TOML:"),
        ("[run]\n[run]\n", "job.toml, line 2, column 5: not TOML: Cannot declare ('run',) twice: [run]"),
        ("run", "job.toml, line 1, column 4: not TOML:"),
    ],
)
def test_broken_toml_is_told_with_its_place(write: Write, text: str, message: str) -> None:
    assert message in complaint(write(text))


def test_a_missing_file(write: Write, tmp_path: Path) -> None:
    assert complaint("no.toml") == f"no job file no.toml (in {tmp_path})"
    write("", "first.toml")
    assert complaint("no.toml") == f"no job file no.toml (in {tmp_path}); there are first.toml"
    assert complaint("fist.toml") == f"no job file fist.toml (in {tmp_path}); did you mean first.toml?"
    (tmp_path / "jobs").mkdir()
    write("", "jobs/digits.toml")
    assert complaint("digits").endswith("did you mean jobs/digits.toml?")


def test_an_unreadable_file(write: Write, tmp_path: Path) -> None:
    assert complaint(tmp_path) == f"job file {tmp_path} cannot be read: Is a directory"
    Path("latin.toml").write_bytes("name = 'ö'".encode("latin-1"))
    assert complaint("latin.toml") == "job file latin.toml is not UTF-8 text: byte 8 is 0xf6"
