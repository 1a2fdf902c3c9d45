"""How much memory does a rank need where state is sharded, and how much should it, by the formulas?

A chain of 24 layers of 1024 x 1024 weights, trained with Adam: P is 25.2 M. Of each `parallel.shard`, in float32 and in
mixed precision, the proportional memory (Pss: what n processes share counts as 1/n in each) that training added to a
process at the end of backward, when there is most of it, mean over ranks; beside it weights + gradients + optimizer
state by the formula. Where ranks do not share memory, also the most that a whole step added (VmHWM).

    float32, on one node  none 16 P (replicated)   optimizer 4P/n + 4P + 8P/n   gradients, parameters 16 P/n
    mixed                 none 2P + 2P + 12P       optimizer 2P + 2P + 12P/n    gradients 2P + 16P/n
                                                                                parameters 16 P/n

Gradients that are sharded are kept in float32: 4P/n, where the paper has 2P/n. Activations, messages and the few
buckets that are under way come on top.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from harness.arguments import parser, positive_numbers
from harness.launch import finish, start, tuned
from harness.machine import describe_machine
from harness.page import aligned, page
from harness.samples import Sample, append_samples, read_samples, write_samples

NUM_WEIGHTS = 24 * 1024 * 1024
MIB = 2**20
LONGEST_SECONDS = 300.0  # of one launch: what takes longer hangs

FORMULAS: Mapping[tuple[str, str], Callable[[int], float]] = {
    ("full", "none"): lambda n: 16,
    ("full", "optimizer"): lambda n: 4 / n + 4 + 8 / n,
    ("full", "gradients"): lambda n: 16 / n,
    ("full", "parameters"): lambda n: 16 / n,
    ("bf16_mixed", "none"): lambda n: 16,
    ("bf16_mixed", "optimizer"): lambda n: 4 + 12 / n,
    ("bf16_mixed", "gradients"): lambda n: 2 + 16 / n,
    ("bf16_mixed", "parameters"): lambda n: 16 / n,
}
"""(precision, shard) -> bytes for each weight, on one of n ranks."""


def main() -> None:
    """Launch every case on worlds of each size, and publish what was measured beside the formula."""
    made = parser(__doc__, repeats=1)
    made.add_argument("--ranks", type=positive_numbers, default="1,2,4", help="world sizes, comma-separated")
    asked = made.parse_args()
    raw = asked.results / f"{datetime.now(UTC).date().isoformat()}-sharded_memory.jsonl"
    environment = describe_machine()
    write_samples(raw, [], environment)
    table = [["ranks", "precision", "shard", "formula MiB", "measured", "most in a step"]]
    for ranks in asked.ranks:
        for (precision, shard), formula in FORMULAS.items():
            samples = launch(ranks, precision, shard)
            append_samples(raw, samples)
            measured, peak = (f"{sample.value / MIB:.0f}" for sample in samples)
            shares = precision == "full" and shard != "none"
            expected = formula(ranks) * NUM_WEIGHTS / MIB
            table.append([str(ranks), precision, shard, f"{expected:.0f}", measured, "" if shares else peak])
            print(*table[-1], flush=True)
    print(aligned(table))
    text = page("sharded_memory", (__doc__ or "").strip(), {"Memory of a rank": table}, environment)
    raw.with_suffix(".md").write_text(text, encoding="utf-8")
    print(f"written: {raw} and {raw.with_suffix('.md')}")


def launch(ranks: int, precision: str, shard: str) -> list[Sample]:
    """One run: bytes at the end of backward, and the most in a step."""
    script = str(Path(__file__).with_name("sharded_memory_rank.py"))
    # Memory that is freed goes back to the system at once: what is measured is what is held.
    settings = tuned(ranks) | {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "samples.jsonl"
        command = [script, "--precision", precision, "--shard", shard, "--out", str(out)]
        finish(start(command, ranks, settings), LONGEST_SECONDS)
        return list(read_samples(out))


if __name__ == "__main__":
    main()
