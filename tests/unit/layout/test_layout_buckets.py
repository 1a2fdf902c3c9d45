from hypothesis import given
from hypothesis import strategies as st

from hpctrain.layout.buckets import Entry, cut_buckets

entries = st.lists(
    st.builds(
        Entry,
        name=st.just("w"),
        size=st.integers(0, 100),
        itemsize=st.just(4),
        kind=st.sampled_from(["float32", "float64"]),
    ),
    min_size=1,
    max_size=20,
)


@given(entries, st.integers(1, 500))
def test_every_parameter_lies_once_in_a_bucket_of_its_kind(parameters: list[Entry], bucket_bytes: int) -> None:
    buckets = cut_buckets(parameters, bucket_bytes)
    assert sorted(slot.index for bucket in buckets for slot in bucket) == list(range(len(parameters)))
    for bucket in buckets:
        assert len({parameters[slot.index].kind for slot in bucket}) == 1
        stop = 0
        for slot in bucket:
            assert (slot.start, slot.stop) == (stop, stop + parameters[slot.index].size)
            stop = slot.stop
        assert len(bucket) == 1 or stop * 4 <= bucket_bytes


def test_the_last_parameters_come_first_because_backward_makes_their_gradients_first() -> None:
    parameters = [Entry(str(index), 10, 4, "float32") for index in range(5)]
    assert [[slot.index for slot in bucket] for bucket in cut_buckets(parameters, 80)] == [[4, 3], [2, 1], [0]]
