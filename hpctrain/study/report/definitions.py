"""What the words of a report mean."""

from __future__ import annotations

from collections.abc import Mapping

from hpctrain.study.forecast import LEAST_EFFICIENCY
from hpctrain.study.scaling import FEWEST_FOR_BOOTSTRAP

DEFINITIONS: Mapping[str, str] = {
    "Strong scaling": (
        "The global batch stays the same and ranks share it, so the work of a rank shrinks. It tells how much sooner "
        "the same training is done."
    ),
    "Weak scaling": (
        "Each rank keeps the same number of samples, so the global batch grows with the ranks. It tells how much more "
        "is done in the same time. More samples a step do not mean that fewer steps are needed: that is what "
        "node-hours to a target show."
    ),
    "Efficiency": (
        "With T(p) the time of a step on p ranks and q the smallest world measured: q T(q) / (p T(p)) in strong "
        "scaling, T(q) / T(p) in weak scaling. 100% is ideal; at 50% half of what is paid for is lost."
    ),
    "Speed-up": (
        "p times the efficiency; p is ideal. In strong scaling, how many times as fast as one rank; in weak scaling, "
        "how many times the samples of one rank in the same time. Where the smallest world has q ranks, it counts "
        "as q."
    ),
    "It pays": (
        f"Up to the last world size before the first at which the efficiency is below {LEAST_EFFICIENCY:.0%} or, in "
        "strong scaling, a step is no shorter than in the world before."
    ),
    "Step": (
        "The median over runs of the median step of the slowest rank, without the first steps and without evaluations. "
        "Samples a second count all steps."
    ),
    "Intervals": (
        f"From {FEWEST_FOR_BOOTSTRAP} runs up, 90% bootstrap intervals of the median: the middle 90% of medians of "
        "runs drawn again with replacement. With fewer runs, the range of what single runs give. Those of forecasts "
        "hold the middle 90% of forecasts from samples drawn again, each multiplied by an error made where a run was "
        "left out; they know nothing of what small runs cannot show."
    ),
    "Where the time goes": (
        "Seconds of a step, mean over ranks: computing (forward and backward), the optimizer's update, making batches "
        "ready, communication in which bytes move, waiting for slower ranks, and what is beside these. Where waiting "
        "was not told apart it is a part of communication. Parts are means and the step is a median, so they need not "
        "add up to it."
    ),
    "Node-hours": (
        "Hours of training until an evaluation first reached the target, times nodes. A node counts whole, however "
        "few ranks it has."
    ),
    "Memory per rank, sent per step": (
        "Resident memory of the rank that held most, at its peak; bytes that the rank that sends most sends in a mean "
        "step. Ranks that share memory send nothing."
    ),
    "* after a number of ranks": "More ranks than cores: ranks took turns, so speed-up is limited by the cores.",
}
