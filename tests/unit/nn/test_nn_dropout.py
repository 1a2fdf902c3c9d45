from __future__ import annotations

import numpy as np
import pytest

from hpctrain.nn.dropout import Dropout, key_dropout
from hpctrain.nn.linear import Linear
from hpctrain.nn.sequential import Sequential

IDS = np.arange(100, 140)
X = np.ones((40, 3, 50))


def keyed(name: str = "dropout0", seed: int = 1, epoch: int = 0, ids: np.ndarray = IDS, p: float = 0.3) -> Dropout:
    layer = Dropout(np, p, seed=seed, name=name)
    key_dropout(Sequential([Sequential([layer])]), epoch, ids)
    return layer


def test_it_drops_its_share_and_keeps_the_mean() -> None:
    output = keyed().forward(X)
    assert set(np.unique(output)) == {0, 1 / (1 - 0.3)}
    assert abs((output == 0).mean() - 0.3) < 0.03


def test_backward_drops_the_same() -> None:
    layer = keyed()
    output = layer.forward(X)
    np.testing.assert_array_equal(layer.backward(np.ones_like(X)), output)


def test_the_mask_depends_on_seed_name_epoch_and_sample() -> None:
    output = keyed().forward(X)
    np.testing.assert_array_equal(keyed().forward(X), output)
    for other in (keyed(seed=2), keyed(name="dropout1"), keyed(epoch=1), keyed(ids=IDS + 40)):
        same = (other.forward(X) == output).mean()
        assert abs(same - (0.3**2 + 0.7**2)) < 0.03, "as often equal as independent masks are"


def test_the_mask_does_not_depend_on_who_computes_which_samples() -> None:
    whole = keyed().forward(X)
    for cut in (slice(0, 13), slice(13, 13), slice(13, 40)):
        np.testing.assert_array_equal(keyed(ids=IDS[cut]).forward(X[cut]), whole[cut])


def test_in_use_nothing_is_dropped_and_no_key_is_needed() -> None:
    layer = Dropout(np, 0.3, seed=0, name="dropout")
    layer.eval()
    assert layer.forward(X) is X
    assert layer.backward(X) is X


def test_a_share_of_0_needs_no_key() -> None:
    assert Dropout(np, 0.0, seed=0, name="dropout").forward(X) is X


def test_float32_stays_float32() -> None:
    assert keyed().forward(X.astype("float32")).dtype == "float32"


@pytest.mark.parametrize(("ids", "known"), [(None, "none"), (IDS[:7], "7")])
def test_missing_ids_are_refused(ids: np.ndarray | None, known: str) -> None:
    layer = Dropout(np, 0.3, seed=0, name="dropout")
    if ids is not None:
        layer.key(0, ids)
    with pytest.raises(ValueError, match=f"got 40 samples and knows the ids of {known}: call key_dropout first"):
        layer.forward(X)


def test_models_without_dropout_can_be_keyed() -> None:
    key_dropout(Linear(np, 2, 2), 0, IDS)
