"""What a person reads: tables as aligned text for a terminal, and as a Markdown page that is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from harness.summary import Row, Spread

Table = Sequence[Sequence[str]]  # the header first; every line as long as the header
Columns = Mapping[str, Callable[[Row], str]]  # title -> what is computed from a row

_SCALES = {"us": 1e6, "ms": 1e3, "s": 1.0, "MiB": 2**-20}


def tabulate(rows: Sequence[Row], comparisons: Sequence[str], unit: str, columns: Columns) -> Table:
    """One line for each row, in `unit` ("us", "ms", "s" or "MiB"). A column that nobody has an entry in is left out."""
    header = [*rows[0].case, "contender", f"median {unit}", "quartiles", *columns, *comparisons, "place"]
    lines = (_line(row, comparisons, unit, columns) for row in rows)
    return _without_empty_columns([header, *lines])


def overview(rows: Sequence[Row], unit: str) -> Table:
    """One line for each case: the medians of its contenders, and which of those who compete won and which lost."""
    contenders = list(dict.fromkeys(row.contender for row in rows))
    cases: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in rows:
        cases.setdefault(tuple(map(str, row.case.values())), {})[row.contender] = row
    lines = []
    for case, found in cases.items():
        medians = [digits(found[name].value.median * _SCALES[unit]) if name in found else "" for name in contenders]
        places = {row.place: name for name, row in found.items()}
        lines.append([*case, *medians, places.get("best", ""), places.get("worst", "")])
    return _without_empty_columns([[*rows[0].case, *contenders, "best", "worst"], *lines])


def aligned(table: Table) -> str:
    """Columns under each other: the first words of a line to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for line in table:
        cells = [_pad(cell, width) for cell, width in zip(line, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown(table: Table) -> str:
    """The table for a Markdown page."""
    header, *lines = table
    rules = ["---" for _ in header]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rules, *lines))


def page(title: str, explanation: str, tables: Mapping[str, Table], environment: Mapping[str, str | int]) -> str:
    """A whole Markdown page: what was measured, what came out (heading -> table), and on what."""
    sections = [f"# {title}\n\n{explanation}"]
    sections += [f"## {heading}\n\n{markdown(table)}" for heading, table in tables.items()]
    machine = "\n".join(f"- {name}: {value}" for name, value in environment.items())
    return "\n\n".join([*sections, f"## Measured on\n\n{machine}\n"])


def digits(number: float) -> str:
    """Three digits, and those before the point at least: 0.0123, 1.23, 12.3, 1234."""
    return f"{number:.0f}" if number >= 100 else f"{number:#.3g}"


def _without_empty_columns(table: Table) -> Table:
    return list(zip(*(column for column in zip(*table, strict=True) if any(column[1:])), strict=True))


def _line(row: Row, comparisons: Sequence[str], unit: str, columns: Columns) -> list[str]:
    ratios = [_ratio(row.ratios.get(title)) for title in comparisons]
    middle, low, high = (digits(_SCALES[unit] * value) for value in (row.value.median, row.value.low, row.value.high))
    computed = [compute(row) for compute in columns.values()]
    return [*map(str, row.case.values()), row.contender, middle, f"{low} to {high}", *computed, *ratios, row.place]


def _ratio(ratio: Spread | None) -> str:
    return "" if ratio is None else f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def _pad(cell: str, width: int) -> str:
    return cell.rjust(width) if cell[:1].isdigit() else cell.ljust(width)
