"""The timeline: sections as they were, in the format that Perfetto and Chrome read."""

from __future__ import annotations

import json
import time

import pytest

from hpctrain.train.callbacks.trace import Section, Trace, trace_json


def test_sections_are_relative_to_the_origin_and_the_newest_stay() -> None:
    trace = Trace(origin=100.0, limit=2)
    for number in range(4):
        trace.add(f"step {number}", 100.0 + number, 0.5)
    assert trace.sections == [Section("step 2", 2.0, 0.5), Section("step 3", 3.0, 0.5)]


def test_blocks_are_timed_and_nest_even_where_they_raise() -> None:
    trace = Trace(origin=time.perf_counter())
    with pytest.raises(KeyError), trace.section("step"), trace.section("compute"):
        raise KeyError
    compute, step = trace.sections
    assert (compute.name, step.name) == ("compute", "step")
    assert 0 <= step.start <= compute.start
    assert compute.start + compute.seconds <= step.start + step.seconds


def test_the_file_has_one_process_a_rank() -> None:
    content = json.loads(json.dumps(trace_json([[Section("compute", 0.001, 0.002)], [], [Section("data", 0.0, 1e-6)]])))
    events = content["traceEvents"]
    names = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    assert names == {0: "rank 0", 1: "rank 1", 2: "rank 2"}
    assert [event for event in events if event["ph"] == "X"] == [
        {"name": "compute", "ph": "X", "pid": 0, "tid": 0, "ts": 1000.0, "dur": 2000.0},
        {"name": "data", "ph": "X", "pid": 2, "tid": 0, "ts": 0.0, "dur": 1.0},
    ]


def test_no_rank_no_event() -> None:
    assert trace_json([])["traceEvents"] == []
