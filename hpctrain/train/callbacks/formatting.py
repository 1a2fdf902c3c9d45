"""How numbers are written for a person: short, with units, never wider than they are exact."""

from __future__ import annotations


def loss(value: float) -> str:
    """Four decimals, or an exponent where those would say nothing: "0.0812", "3.1e-07", "nan"."""
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.2e}"


def percent(share: float, decimals: int = 0) -> str:
    """A share of 1 in percent: "12%", with one decimal "97.4%"."""
    return f"{100 * share:.{decimals}f}%"


def rate(per_second: float) -> str:
    """Samples per second: "1,934", below ten "3.4"."""
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.1f}"


def duration(seconds: float) -> str:
    """A time as people say it: "340 ms", "4.2 s", "5 min 12 s", "2 h 03 min"."""
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def size(num_bytes: float) -> str:
    """Bytes in decimal units: "412 MB", "3.1 GB"."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= factor:
            return f"{num_bytes / factor:.3g} {unit}"
    return f"{num_bytes:.0f} bytes"


def count(number: int, word: str) -> str:
    """A number with its noun: "1 rank", "1,438 samples"."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
