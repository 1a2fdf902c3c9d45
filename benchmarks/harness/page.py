"""What a person reads: a table as aligned text for a terminal, and as a Markdown page that is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.summary import Row, Spread

Table = Sequence[Sequence[str]]  # the header first; every line as long as the header


def tabulate(rows: Sequence[Row], comparisons: Sequence[str], unit: str) -> Table:
    """One line for each row; times in `unit`, "ms" or "s". A column that nobody has an entry in is left out."""
    header = [*rows[0].case, "contender", f"median {unit}", "quartiles", *comparisons, "place"]
    columns = zip(header, *(_line(row, comparisons, unit) for row in rows), strict=True)
    return list(zip(*(column for column in columns if any(column[1:])), strict=True))


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


def page(title: str, explanation: str, table: Table, environment: Mapping[str, str | int]) -> str:
    """A whole Markdown page: what was measured, on what, and what came out."""
    machine = "\n".join(f"- {name}: {value}" for name, value in environment.items())
    return f"# {title}\n\n{explanation}\n\n{markdown(table)}\n\n## Measured on\n\n{machine}\n"


def _line(row: Row, comparisons: Sequence[str], unit: str) -> list[str]:
    scale = {"ms": 1e3, "s": 1.0}[unit]
    ratios = [_ratio(row.ratios.get(title)) for title in comparisons]
    times = [_digits(scale * seconds) for seconds in (row.seconds.median, row.seconds.low, row.seconds.high)]
    return [*map(str, row.case.values()), row.contender, times[0], f"{times[1]} to {times[2]}", *ratios, row.place]


def _ratio(ratio: Spread | None) -> str:
    return "" if ratio is None else f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def _digits(number: float) -> str:
    """Three digits, and those before the point at least: 0.0123, 1.23, 12.3, 1234."""
    return f"{number:.0f}" if number >= 100 else f"{number:#.3g}"


def _pad(cell: str, width: int) -> str:
    return cell.rjust(width) if cell[:1].isdigit() else cell.ljust(width)
