"""Which algorithm for how many bytes: ladders, the nearest table, the model, the file."""

from __future__ import annotations

import itertools
import json
import math
import os
import stat
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.collectives import cost
from hpctrain.collectives.all_reduce import ALGORITHMS
from hpctrain.collectives.tuning import file
from hpctrain.collectives.tuning.file import merged, packaged_tables, read, write
from hpctrain.collectives.tuning.ladder import LEAST_GAIN, LEAST_LEAD, Ladder, best_ladder
from hpctrain.collectives.tuning.links import BY_MESSAGES, Link, Links, expected_seconds
from hpctrain.collectives.tuning.shape import Shape
from hpctrain.collectives.tuning.table import Table, family
from hpctrain.collectives.tuning.tuning import Tuning
from hpctrain.errors import SettingsError
from hpctrain.job.settings import Comm
from hpctrain.layout.topology import Topology

LINKS = Links(Link(1e-6, 1e-10), Link(2e-6, 5e-11), Link(1e-5, 1e-9))


def table(
    library: str = "Open MPI 5.0.11",
    shape: Shape = Shape(1, 2, False),  # noqa: B008 - it never changes
    use: str = "native",
    **fields: Any,
) -> Table:
    given = {
        "measured": "here",
        "links": LINKS,
        "sizes": (4, 1024),
        "seconds": {"native": (1e-6, 2e-6), "ring": (3e-6, None)},
        "ladder": Ladder((), (use,)),
    }
    return Table(library, shape, **{**given, **fields})


# --- ladders


def test_a_bound_belongs_to_the_smaller_sizes() -> None:
    ladder = Ladder((100, 2000), ("a", "b", "c"))
    assert [ladder.at(size) for size in (0, 100, 101, 2000, 2001, 2**60)] == ["a", "a", "b", "b", "c", "c"]
    assert Ladder((), ("a",)).at(5) == "a"


def test_what_is_not_allowed_makes_room_for_the_next() -> None:
    ladder = Ladder((100, 2000), ("a", "b", "c"))
    assert ladder.only({"a", "b", "c"}, "d") == ladder
    assert ladder.only({"a", "c"}, "d") == Ladder((100,), ("a", "c"))
    assert ladder.only({"b"}, "d") == Ladder((), ("b",))
    assert ladder.only({"a", "b"}, "d") == Ladder((100,), ("a", "b"))
    assert ladder.only(set(), "d") == Ladder((), ("d",))


def test_the_change_is_where_the_lines_cross() -> None:
    """1 us + n ns against 10 us + n/10 ns, at two sizes: on logarithmic scales, straight lines."""
    sizes = (100, 10_000)
    seconds = {"short": (1e-6, 100e-6), "long": (10e-6, 10e-6)}
    ladder = best_ladder(sizes, seconds)
    assert ladder.names == ("short", "long")
    assert ladder.bounds == (1000,)


def test_the_library_stays_where_the_lead_is_small() -> None:
    sizes = (4, 8)
    small, large = 1 - LEAST_LEAD / 2, 1 - 2 * LEAST_LEAD
    assert best_ladder(sizes, {"native": (1.0, 1.0), "ring": (small, small)}).names == ("native",)
    assert best_ladder(sizes, {"native": (1.0, 1.0), "ring": (large, large)}).names == ("ring",)
    assert best_ladder(sizes, {"native": (1.0, 1.0), "ring": (large, large)}, [0.5, 0.5]).names == ("native",)
    assert best_ladder(sizes, {"tree": (1.0, 1.0), "ring": (small, small)}).names == ("ring",), "no library, no favour"


def test_one_lucky_size_changes_nothing() -> None:
    sizes = (4, 8, 16)
    ring = (1.0, 1.0, 1.0)
    assert best_ladder(sizes, {"ring": ring, "tree": (1.1, 1 - 1.5 * LEAST_GAIN, 1.1)}).names == ("ring",)
    assert best_ladder(sizes, {"ring": ring, "tree": (1.1, 1 - 3 * LEAST_GAIN, 1.1)}).names == ("ring", "tree", "ring")
    doubtful = best_ladder(sizes, {"ring": ring, "tree": (1.1, 1 - 3 * LEAST_GAIN, 1.1)}, [0.1] * 3)
    assert doubtful.names == ("ring",)


def test_a_doubtful_size_does_not_spoil_its_neighbours() -> None:
    """Where nobody knows, the library's own; where it is known, the best."""
    seconds = {"native": (1.0, 1.0, 1.0, 1.0), "tree": (0.6, 0.6, 0.7, 0.7)}
    ladder = best_ladder((4, 8, 16, 32), seconds, [0.01, 0.01, 9.0, 9.0])
    assert [ladder.at(size) for size in (4, 8, 16, 32)] == ["tree", "tree", "native", "native"]


def test_who_was_not_measured_at_a_size_is_not_used_there() -> None:
    ladder = best_ladder((4, 8, 16), {"naive": (1.0, 1.0, None), "ring": (9.0, 9.0, 9.0)})
    assert [ladder.at(size) for size in (4, 8, 16)] == ["naive", "naive", "ring"]
    assert ladder.bounds == (int(8 * 2**0.5),), "where the lines do not cross, the middle"


RUNGS = st.lists(st.integers(1, 50), unique=True, max_size=4).map(sorted)


@given(RUNGS, RUNGS, st.integers(0, 60))
def test_one_ladder_and_then_another(bounds: list[int], others: list[int], last: int) -> None:
    first, second = (
        Ladder(tuple(bounds), tuple("abcde"[: len(bounds) + 1])),
        Ladder(tuple(others), tuple("vwxyz"[: len(others) + 1])),
    )
    joined = first.then(last, second)
    for size in range(70):
        assert joined.at(size) == (first.at(size) if size <= last else second.at(size))
    assert sorted(set(joined.bounds)) == list(joined.bounds)


TIMES = st.lists(st.tuples(*[st.floats(1e-6, 1e-5)] * 3), min_size=1, max_size=6)


@given(TIMES, st.lists(st.floats(0, 0.5), min_size=6, max_size=6))
def test_no_sequence_of_choices_is_cheaper(times: list[tuple[float, float, float]], doubts: list[float]) -> None:
    """Dynamic programming against trying all sequences."""
    names = ("native", "ring", "tree")
    sizes = [4 << step for step in range(len(times))]
    doubts = doubts[: len(times)]
    ladder = best_ladder(sizes, dict(zip(names, zip(*times, strict=True), strict=True)), doubts)

    def price(path: tuple[str, ...]) -> float:
        total = 0.0
        for index, (name, row, doubt) in enumerate(zip(path, times, doubts, strict=True)):
            lost = math.log(row[names.index(name)] / min(row))
            total += lost**2 / (lost + doubt) if lost else 0.0
            total += (name != "native") * math.log1p(LEAST_LEAD)
            total += (index > 0 and name != path[index - 1]) * math.log1p(LEAST_GAIN)
        return total

    chosen = tuple(ladder.at(size) for size in sizes)
    assert price(chosen) <= min(map(price, itertools.product(names, repeat=len(sizes)))) + 1e-9
    assert all(low <= bound < high for bound, low, high in zip(ladder.bounds, sizes, sizes[1:], strict=False)) or (
        len(ladder.bounds) < len(sizes) - 1
    )
    assert sorted(set(ladder.bounds)) == list(ladder.bounds)


# --- shapes and the nearest table


def test_the_shape_of_uneven_nodes() -> None:
    shape = Shape.of(Topology((0, 0, 0, 1, 1)), crowded=True)
    assert shape == Shape(2, 3, True)
    assert str(shape) == "3 ranks on each of 2 nodes, more than its cores"
    assert str(Shape(1, 1, False)) == "1 rank on one node"


def nearest(tables: list[Table], library: str, shape: Shape, site: list[Table], monkeypatch: Any) -> str:
    monkeypatch.setattr("hpctrain.collectives.tuning.tuning.packaged_tables", lambda: tuple(tables))
    found = Tuning(tuple(site)).by_nearness(library, shape, has_native=library != "local shared memory")
    return found[0].measured


def named(measured: str, library: str, *shape: Any) -> Table:
    return table(library, Shape(*shape), measured=measured)


def test_what_weighs_most_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [
        named("open", "Open MPI 5.0.11", 1, 2, False),
        named("open 8", "Open MPI 5.0.11", 1, 8, False),
        named("open 8 crowded", "Open MPI 5.0.11", 1, 8, True),
        named("open nodes", "Open MPI 5.0.11", 4, 2, False),
        named("mpich", "MPICH 5.0.2", 1, 2, False),
        table("local shared memory", Shape(1, 16, False), measured="local", seconds={"ring": (1e-6, 1e-6)}),
    ]
    for library, shape, expected in [
        ("Open MPI 4.1", Shape(1, 3, False), "open"),
        ("Open MPI 5.0.11", Shape(1, 5, False), "open 8"),
        ("Open MPI 5.0.11", Shape(1, 2, True), "open 8 crowded"),
        ("Open MPI 5.0.11", Shape(9, 100, True), "open nodes"),
        ("MPICH 4.2", Shape(1, 64, True), "mpich"),
        ("MPICH 4.2", Shape(2, 64, True), "open nodes"),
        ("Intel MPI 2021.18", Shape(1, 16, False), "open 8"),
        ("local shared memory", Shape(1, 2, True), "local"),
    ]:
        assert nearest(tables, library, shape, [], monkeypatch) == expected, (library, shape)
    site = [named("site", "Open MPI 5.0.11", 1, 64, True)]
    assert nearest(tables, "Open MPI 5.0.11", Shape(1, 2, False), site, monkeypatch) == "site"
    assert nearest(tables, "Open MPI 5.0.11", Shape(2, 2, False), site, monkeypatch) == "open nodes"
    assert nearest(tables, "MPICH 5.0.2", Shape(1, 2, False), site, monkeypatch) == "mpich"


def test_of_equals_the_most_similar_processor_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("AMD EPYC", "Intel(R) Xeon(R) Processor @ 2.50GHz")
    tables = [table(processor=name, measured=name) for name in names]
    tables += [table(shape=Shape(1, 4, False), processor="Neoverse-V2", measured="another shape")]
    monkeypatch.setattr("hpctrain.collectives.tuning.tuning.packaged_tables", lambda: tuple(tables))
    for processor, expected in [
        ("AMD EPYC 7763 64-Core Processor", "AMD EPYC"),
        ("Intel(R) Xeon(R) Platinum 8480+", "Intel(R) Xeon(R) Processor @ 2.50GHz"),
        ("Neoverse-V2", "AMD EPYC"),  # in its own shape it was not measured
        ("", "AMD EPYC"),
    ]:
        found = Tuning(processor=processor).by_nearness("Open MPI 5.0.11", Shape(1, 2, False), has_native=True)
        assert found[0].measured == expected, processor


def test_names_without_versions() -> None:
    libraries = ["Open MPI 5.0.11", "MPICH 5.0.2", "Intel MPI 2021.18", "local shared memory", "none (one process)"]
    assert [*map(family, libraries)] == ["Open MPI", "MPICH", "Intel MPI", "local shared memory", "none (one process)"]


def test_a_table_speaks_for_its_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = table(use="tree", measured="package", sizes=(4, 2**20), seconds={"native": (1.0, 1.0)})
    monkeypatch.setattr("hpctrain.collectives.tuning.tuning.packaged_tables", lambda: (wide,))
    narrow = table(use="swing", sizes=(64, 1024), seconds={"native": (1.0, 1.0)})
    ladder = Tuning((narrow,)).ladder("Open MPI 5.0.11", Shape(1, 2, False), ALGORITHMS, otherwise="ring")
    assert [ladder.at(size) for size in (4, 63, 64, 1024, 1025, 2**30)] == [
        "tree",
        "tree",
        "swing",
        "swing",
        "tree",
        "tree",
    ]


def test_one_node_says_nothing_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the array is that was measured inside a node: links between nodes are another matter."""
    inside = table(use="native", sizes=(4, 2**28), seconds={"native": (1.0, 1.0)})
    monkeypatch.setattr("hpctrain.collectives.tuning.tuning.packaged_tables", lambda: (inside,))
    between = table(shape=Shape(4, 2, False), use="hierarchical", seconds={"native": (1.0, 1.0)})
    ladder = Tuning((between,)).ladder("Open MPI 5.0.11", Shape(4, 2, False), ALGORITHMS, otherwise="ring")
    assert ladder.at(2**28) == "hierarchical"


def test_the_ladder_holds_only_what_the_ranks_can_do() -> None:
    site = (table(use="node_shared", sizes=(1, 2**40)),)
    ladder = Tuning(site).ladder("Open MPI 5.0.11", Shape(1, 2, False), {"native", "ring"}, otherwise="ring")
    assert ladder == Ladder((), ("ring",))


# --- the model


def test_the_model_is_that_of_the_algorithms() -> None:
    ring = cost.predict("ring", 8, 1e6, 1e-6, 1e-10)
    assert expected_seconds("ring", Shape(1, 8, False), 1e6, LINKS) == ring
    assert expected_seconds("ring", Shape(4, 2, False), 1e6, LINKS) == cost.predict("ring", 8, 1e6, 1e-5, 1e-9)
    assert expected_seconds("native", Shape(1, 8, False), 1e6, LINKS) == min(
        cost.predict(name, 8, 1e6, 1e-6, 1e-10) for name in BY_MESSAGES
    )
    assert expected_seconds("node_shared", Shape(1, 8, False), 1e6, LINKS) == pytest.approx(3 * 2e-6 + 8e6 * 5e-11)
    between = min(cost.predict(name, 4, 5e5, 1e-5, 1e-9) for name in BY_MESSAGES)
    assert expected_seconds("hierarchical", Shape(4, 2, False), 1e6, LINKS) == pytest.approx(
        2e-6 + 2e6 * 5e-11 + between
    )


def test_without_a_link_there_is_no_expectation() -> None:
    nothing = Links()
    for name, shape in itertools.product(ALGORITHMS, [Shape(1, 2, False), Shape(2, 2, False)]):
        assert expected_seconds(name, shape, 8.0, nothing) is None
    assert expected_seconds("hierarchical", Shape(2, 2, False), 8.0, Links(shared=LINKS.shared)) is None


def test_every_algorithm_is_in_the_model() -> None:
    for name in ALGORITHMS:
        shape = Shape(1 if name == "node_shared" else 2, 2, False)
        assert (expected_seconds(name, shape, 1000.0, LINKS) or 0) > 0


def test_times_are_scaled_as_the_model_says() -> None:
    """On more ranks a short message by the ring takes 2 (p-1) steps, by recursive doubling log2 p."""
    sizes = (4, 2**24)
    two = table(
        sizes=sizes,
        seconds={"ring": (10e-6, 4e-3), "recursive_doubling": (11e-6, 9e-3)},
        ladder=Ladder((), ("ring",)),
    )
    eight = two.for_shape(Shape(1, 8, False))
    assert eight.shape == Shape(1, 8, False)
    model = [cost.predict("ring", ranks, 4, 1e-6, 1e-10) for ranks in (2, 8)]
    assert eight.seconds["ring"][0] == pytest.approx(10e-6 * model[1] / model[0])
    assert eight.ladder.names == ("recursive_doubling", "ring")
    assert two.for_shape(Shape(1, 2, True)) is two, "crowded or not is nothing that the model knows of"
    assert table(links=Links(), seconds=two.seconds, sizes=sizes).for_shape(Shape(1, 8, False)).seconds == two.seconds


# --- the file


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    tables = [
        table(ladder=Ladder((8192,), ("native", "node_shared"))),
        table("MPICH 5.0.2", Shape(4, 2, True), links=Links(messages=Link(0.0, 0.0)), processor="Neoverse-V2"),
    ]
    write(tmp_path / "tuning.json", tables)
    first, second = read(tmp_path / "tuning.json", ALGORITHMS)
    assert first.ladder == Ladder((8192,), ("native", "node_shared"))
    assert (first.library, first.shape, first.measured, first.sizes) == (
        "Open MPI 5.0.11",
        tables[0].shape,
        "here",
        (4, 1024),
    )
    assert first.seconds["native"] == pytest.approx((1e-6, 2e-6))
    assert first.seconds["ring"][1] is None
    for level in ("messages", "shared", "between"):
        expected = getattr(LINKS, level)
        assert vars(getattr(first.links, level)) == pytest.approx(vars(expected))
    assert second.links == Links(messages=Link(0.0, 0.0))
    assert (first.processor, second.processor) == ("", "Neoverse-V2")


def test_files_from_before_processors_were_noted_are_read(tmp_path: Path) -> None:
    entry = file._entry(table(processor="Neoverse-V2"))
    del entry["processor"]
    (tmp_path / "tuning.json").write_text(json.dumps({"format": 1, "tables": [entry]}))
    assert [found.processor for found in read(tmp_path / "tuning.json", ALGORITHMS)] == [""]


def test_it_reads_well(tmp_path: Path) -> None:
    write(tmp_path / "tuning.json", [table()])
    lines = (tmp_path / "tuning.json").read_text().splitlines()
    assert '    { "up_to_bytes": null, "use": "native" }' in lines
    assert '   "bytes": [ 4, 1024 ],' in lines
    assert '    "ring": [ 3.0, null ]' in lines
    assert '    "shared": { "alpha_us": 2.0, "gbytes_per_second": 20.0 },' in lines


def test_a_file_is_for_all_to_read(tmp_path: Path) -> None:
    """A site's administrator may keep other files to themselves."""
    before = os.umask(0o077)
    try:
        write(tmp_path / "tuning.json", [table()])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "tuning.json").stat().st_mode) == 0o644


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tuning.json"
    write(path, [table()])
    before = path.read_text()
    monkeypatch.setattr(file.os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(SettingsError, match=r"tuning.json cannot be written \(in .*\): No space left"):
        write(path, [table("MPICH 5.0.2")])
    assert path.read_text() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["tuning.json"]
    with pytest.raises(SettingsError, match="cannot be written"):
        write(tmp_path / "nowhere" / "tuning.json", [table()])


def test_what_was_measured_anew_replaces_what_stood_there() -> None:
    old = [table("Open MPI 5.0.10", measured="old"), table("MPICH 5.0.2", measured="other library")]
    new = [
        table("Open MPI 5.0.11", measured="new"),
        table("Open MPI 5.0.11", measured="new processor", processor="Neoverse-V2"),
        table("Open MPI 5.0.11", Shape(1, 8, True), measured="new shape"),
    ]
    assert [entry.measured for entry in merged(old, new)] == ["other library", "new", "new processor", "new shape"]


def damaged(**changes: Any) -> dict[str, Any]:
    entry = file._entry(table())
    for key, value in changes.items():
        if value is None:
            del entry[key]
        else:
            entry[key] = value
    return {"format": 1, "tables": [entry]}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("hello", "is no tuning file, for it is not JSON"),
        ("[]", "is no tuning file, and format 1 is what this hpctrain reads; measure again: mpirun"),
        ('{"format": 0}', "is a tuning file of format 0, and format 1 is what this hpctrain reads"),
        ('{"format": 1}', "is a damaged tuning file: there is no 'tables'"),
        (damaged(library=None), "damaged tuning file: there is no 'library'"),
        (damaged(links={"fast": None}), "damaged tuning file: .*unexpected keyword argument 'fast'"),
        (damaged(bytes=[4]), "damaged tuning file: not every algorithm has 1 times"),
        (damaged(all_reduce=[]), '"up_to_bytes" must rise, and must be null in the last line'),
        (damaged(all_reduce=[{"up_to_bytes": 4, "use": "ring"}]), "must be null in the last line"),
        (
            damaged(all_reduce=[{"up_to_bytes": bound, "use": "ring"} for bound in (8, 8, None)]),
            '"up_to_bytes" must rise',
        ),
        (damaged(all_reduce=[{"up_to_bytes": None, "use": "bucket"}]), "uses bucket, and there are only native, ring"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, content: Any, complaint: str) -> None:
    path = tmp_path / "tuning.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(SettingsError, match=complaint) as raised:
        read(path, ALGORITHMS)
    assert str(path) in str(raised.value)
    assert "measure again: mpirun -n N python -m hpctrain.bench collectives --out FILE" in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"the tuning file .*nothing.json cannot be read \(in .*\): No such file"):
        read(tmp_path / "nothing.json", ALGORITHMS)


# --- what comes with the package


def test_the_packages_tables_can_be_read_and_are_for_every_kind_of_job() -> None:
    tables = read(file.PACKAGED, ALGORITHMS)
    assert tables == packaged_tables()
    found = {(entry.family, entry.shape.num_nodes > 1, entry.shape.crowded) for entry in tables}
    for library in ("Open MPI", "MPICH"):
        assert {(library, False, False), (library, False, True)} <= found
    assert any(several_nodes for _, several_nodes, _ in found)
    assert "local shared memory" in {library for library, _, _ in found}
    for entry in tables:
        assert entry.measured
        assert entry.processor
        several = entry.shape.num_nodes > 1
        assert not several or "node_shared" not in entry.ladder.names


@pytest.mark.parametrize("library", ["Open MPI 5.0.11", "MPICH 4.2", "Intel MPI 2021.18", "local shared memory"])
def test_a_choice_is_there_for_every_size_and_shape(library: str) -> None:
    allowed = set(ALGORITHMS) - ({"native"} if library.startswith("local") else set())
    for num_nodes, ranks, crowded in itertools.product((1, 2, 100), (1, 3, 128), (False, True)):
        usable = allowed - ({"node_shared"} if num_nodes > 1 else set())
        ladder = Tuning().ladder(library, Shape(num_nodes, ranks, crowded), usable, otherwise="ring")
        assert set(ladder.names) <= usable
        assert sorted(set(ladder.bounds)) == list(ladder.bounds)


def test_the_setting_lists_the_algorithms() -> None:
    names = get_args(Comm.model_fields["algorithm"].annotation)
    assert names == ("auto", *ALGORITHMS)
