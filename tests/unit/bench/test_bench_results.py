"""What follows from times: links, the table, the grade, what is printed, drawn and written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hpctrain.bench import plot, report
from hpctrain.bench.arguments import Asked, parse
from hpctrain.bench.fit import Fit, fit, fit_level
from hpctrain.bench.grade import Grade, summary
from hpctrain.bench.measure import Row
from hpctrain.bench.memory import available_bytes
from hpctrain.bench.operations import MPIS_OWN
from hpctrain.bench.race import Time
from hpctrain.bench.results import Results
from hpctrain.bench.tables import table_of, times_of
from hpctrain.collectives.cost import Path as Steps
from hpctrain.collectives.cost import predict
from hpctrain.collectives.tuning.ladder import Ladder
from hpctrain.collectives.tuning.links import BY_MESSAGES, Link, shared_path
from hpctrain.collectives.tuning.shape import Shape
from hpctrain.errors import EnvironmentProblem, SettingsError

ONE_NODE = Shape(1, 4, False)
SIZES = [4 << (2 * step) for step in range(12)]


def row(way: str, num_bytes: int, seconds: float, uncertainty: float = 0.0, wrong: int = 0) -> Row:
    return Row("all_reduce", way, num_bytes, "float32", "sum", Time(seconds, uncertainty, 5), 1.5, wrong)


# --- fits


def test_the_links_of_made_up_times_are_found() -> None:
    times = {size: {name: predict(name, 4, size, 2e-6, 3e-10) for name in BY_MESSAGES} for size in SIZES}
    for size in SIZES:
        times[size]["node_shared"] = shared_path(4, size).seconds(5e-6, 4e-11)
    messages, shared = fit_level(ONE_NODE, times, "messages"), fit_level(ONE_NODE, times, "shared")
    assert messages is not None
    assert shared is not None
    assert vars(messages.link) == pytest.approx({"alpha": 2e-6, "beta": 3e-10})
    assert vars(shared.link) == pytest.approx({"alpha": 5e-6, "beta": 4e-11})
    assert messages.error == pytest.approx(0, abs=1e-9)
    assert fit_level(ONE_NODE, times, "between") is None
    between = fit_level(Shape(4, 1, False), times, "between")
    assert between is not None
    assert vars(between.link) == pytest.approx(vars(messages.link))


def test_small_and_large_times_weigh_the_same() -> None:
    """Ten times the measured time at one size and a tenth at another are no better than one of them alone."""
    points = [
        (Steps(1, size), 1e-6 + 1e-9 * size * (1.2 if index % 2 else 1 / 1.2)) for index, size in enumerate(SIZES)
    ]
    found = fit(points)
    assert found is not None
    assert found.link.alpha == pytest.approx(1e-6, rel=0.2)
    assert found.link.beta == pytest.approx(1e-9, rel=0.2)


def test_nothing_is_negative() -> None:
    falling = fit([(Steps(1, 1000), 3e-6), (Steps(1, 2000), 2e-6)])
    assert falling is not None
    assert falling.link.beta == 0
    assert falling.link.alpha > 0


def test_where_nothing_moves_nothing_is_fitted() -> None:
    assert fit([]) is None
    assert fit([(Steps(0, 0), 1e-6), (Steps(0, 0), 1e-6)]) is None
    assert fit([(Steps(1, 10), 1e-6)]) is None


# --- the table


def test_the_table_is_the_choice_among_ours() -> None:
    rows = [row(MPIS_OWN, 4, 1e-7), row("native", 4, 1e-6), row("ring", 4, 5e-6), row("native", 1024, 9e-6)]
    rows.append(row("ring", 1024, 5e-6))
    rows.append(row("naive", 4, 2e-6))
    table = table_of(rows, "Open MPI 5.0.11", ONE_NODE, "here")
    assert table.sizes == (4, 1024)
    assert table.seconds == {"native": (1e-6, 9e-6), "ring": (5e-6, 5e-6), "naive": (2e-6, None)}
    assert table.ladder.names == ("native", "ring")


def test_a_lead_that_may_be_noise_is_none() -> None:
    certain = [row("native", 4, 1e-6), row("ring", 4, 0.9e-6)]
    uncertain = [row("native", 4, 1e-6, uncertainty=0.1), row("ring", 4, 0.9e-6)]
    assert table_of(certain, "", ONE_NODE, "").ladder.names == ("ring",)
    assert table_of(uncertain, "", ONE_NODE, "").ladder.names == ("native",)


# --- the grade


@pytest.mark.parametrize(
    ("auto", "best", "uncertainty", "verdict"),
    [
        (109e-6, 100e-6, 0.0, "ok"),
        (111e-6, 100e-6, 0.0, "SLOWER"),
        (111e-6, 100e-6, 0.06, "noise"),
        (6e-6, 2e-6, 0.0, "ok"),
        (8e-6, 2e-6, 0.0, "SLOWER"),
        (50e-6, 100e-6, 0.0, "ok"),
    ],
)
def test_grades(auto: float, best: float, uncertainty: float, verdict: str) -> None:
    rows = [row(MPIS_OWN, 4, best, uncertainty), row("ring", 4, 1.0), row("auto", 4, auto)]
    grade = Grade.of(rows, chosen="native")
    assert (grade.best, grade.verdict) == (MPIS_OWN, verdict)
    assert grade.is_slower == (verdict == "SLOWER")
    assert grade.ratio == pytest.approx(auto / best)
    assert str(grade).split() == [
        "4",
        "native",
        f"{auto * 1e6:.1f}",
        MPIS_OWN,
        f"{best * 1e6:.1f}",
        f"{auto / best:.2f}",
        verdict,
    ]


def test_the_summary_counts() -> None:
    def grade(num_bytes: int, auto: float) -> Grade:
        return Grade.of([row("ring", num_bytes, 1e-3), row("auto", num_bytes, auto)], "ring")

    line = summary([grade(4, 1e-3), grade(8, 1.05e-3), grade(16, 2e-3)])
    assert line == (
        "# 3 sizes: 2 within 10% or 5 us of the best, 0 beyond it by no more than noise, 1 slower; "
        "largest ratio 2.00 at 16 B"
    )


# --- what is printed


def test_the_columns_are_those_of_nccl_tests() -> None:
    lines = report.lines_of([row(MPIS_OWN, 2**20, 1e-3), row("node_shared", 2**20, 0.5e-3, 0.02, wrong=3)]).splitlines()
    found = " ".join(lines[1].split())
    assert found == "1048576 262144 float32 sum node_shared 500.0 2% 2.097 3.146 3 0.50"
    for line in report.HEADER.splitlines():
        assert len(line) == len(lines[0])


def test_rungs_and_links_in_words() -> None:
    ladder = Ladder((82122, 2**20), ("native", "ring", "node_shared"))
    assert report.rungs_of(ladder) == ["up to 80.2 KiB  native", "up to 1 MiB     ring", "beyond          node_shared"]
    assert report.rungs_of(Ladder((), ("ring",))) == ["all sizes  ring"]
    words = report.link_in_words("between", Fit(Link(1.5e-6, 1e-10), 0.25))
    assert words == "# between nodes: alpha 1.5 us, beta 10 GB/s (median error 25%)"
    assert "bytes cost nothing that was seen" in report.link_in_words("shared", Fit(Link(1e-6, 0.0), 0.0))


# --- what is kept


def asked_for(*arguments: str) -> Asked:
    asked = parse(["collectives", *arguments])
    assert isinstance(asked, Asked)
    return asked


def two_tables() -> list[Row]:
    return [
        row(way, size, 1e-6 + size * factor) for size in SIZES for way, factor in [("native", 2e-9), ("ring", 1e-9)]
    ]


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_it_is_written_and_drawn(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    said: list[str] = []
    results = Results.prepare(asked_for("--out", str(tmp_path / "t.json"), "--plot", str(tmp_path / f"p.{suffix}")))
    table = table_of(two_tables(), "Open MPI 5.0.11", ONE_NODE, "here")
    results.keep([table, table_of(two_tables(), "Open MPI 5.0.11", Shape(2, 4, False), "here")], said.append)
    assert (tmp_path / f"p.{suffix}").stat().st_size > 5000
    assert (tmp_path / "t.json").exists()
    assert len(said) == 2
    again = Results.prepare(asked_for("--out", str(tmp_path / "t.json")))
    assert [entry.shape for entry in again.earlier] == [ONE_NODE, Shape(2, 4, False)]


def test_the_line_of_auto_follows_the_choice() -> None:
    table = table_of(two_tables(), "Open MPI 5.0.11", ONE_NODE, "here")
    for name in ("native", "ring"):
        for size, seconds in zip(table.sizes, table.seconds[name], strict=True):
            assert plot._at(table, name, size) == pytest.approx(seconds)


def test_what_would_be_lost_is_found_out_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EnvironmentProblem, match=r"there is no folder .*nowhere to write t.json into"):
        Results.prepare(asked_for("--out", str(tmp_path / "nowhere" / "t.json")))
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(SettingsError, match="is no tuning file"):
        Results.prepare(asked_for("--out", str(tmp_path / "t.json")))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(EnvironmentProblem, match=r'--plot needs matplotlib .*pip install "hpctrain\[report\]"'):
        Results.prepare(asked_for("--plot", str(tmp_path / "p.png")))


def test_times_by_size() -> None:
    assert times_of([row("ring", 4, 1.0), row("tree", 4, 2.0), row("ring", 8, 3.0)]) == {
        4: {"ring": 1.0, "tree": 2.0},
        8: {"ring": 3.0},
    }


# --- memory


def test_the_tightest_limit_counts(tmp_path: Path) -> None:
    meminfo, membership = tmp_path / "meminfo", tmp_path / "cgroup"
    meminfo.write_text("MemTotal:  9 kB\nMemAvailable:     100 kB\n")
    membership.write_text("0::/job/step\n")
    for folder, limit, used in [("job", "50000", "20000"), ("job/step", "max", "1000")]:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "memory.max").write_text(limit + "\n")
        (tmp_path / folder / "memory.current").write_text(used + "\n")
    assert available_bytes(meminfo, tmp_path, membership) == 30000
    assert available_bytes(meminfo, tmp_path, tmp_path / "nothing") == 102400
    assert available_bytes(tmp_path / "nothing", tmp_path, tmp_path / "nothing") == float("inf")
