"""nnfast.init: distributions, seeds, fans and errors."""

import math
from functools import partial

import numpy as np
import pytest

from nnfast import init

SHAPE = (200, 30, 3, 3)  # fan_in 270, fan_out 1800
NORMAL = {
    "he_normal": 2 / 270,
    "xavier_normal": 2 / (270 + 1800),
    "lecun_normal": 1 / 270,
    "normal": 0.01**2,
}
UNIFORM = {
    "he_uniform": math.sqrt(6 / 270),
    "xavier_uniform": math.sqrt(6 / (270 + 1800)),
    "lecun_uniform": math.sqrt(3 / 270),
    "uniform": 0.05,
}


@pytest.mark.parametrize("name", NORMAL)
def test_normal_has_the_variance_of_the_paper(name):
    w = init.get(name)(SHAPE, 0, np.float64)
    n = w.size
    assert abs(w.mean()) < 5 * math.sqrt(NORMAL[name] / n)
    assert w.var() == pytest.approx(NORMAL[name], rel=5 * math.sqrt(2 / n))
    inside = np.mean(np.abs(w) < math.sqrt(NORMAL[name]))
    assert inside == pytest.approx(0.6827, abs=0.01)  # normal, not merely of this variance


@pytest.mark.parametrize("name", UNIFORM)
def test_uniform_has_the_bound_of_the_paper(name):
    w = init.get(name)(SHAPE, 0, np.float64)
    bound = UNIFORM[name]
    assert bound * 0.999 < np.abs(w).max() <= bound
    assert w.var() == pytest.approx(bound**2 / 3, rel=0.02)


@pytest.mark.parametrize(("shape", "short_side"), [((5, 2, 3), 5), ((12, 2, 3), 6), ((4, 4), 4)])
def test_orthogonal(shape, short_side):
    w = init.orthogonal(shape, 0, np.float64, gain=2.0)
    assert w.shape == shape
    matrix = w.reshape(shape[0], -1)
    gram = matrix @ matrix.T if shape[0] == short_side else matrix.T @ matrix
    np.testing.assert_allclose(gram, 4 * np.eye(short_side), atol=1e-12)


@pytest.mark.parametrize(("name", "value"), [("zeros", 0), ("ones", 1), ("constant", 0)])
def test_constants(name, value):
    w = init.get(name)((3,))
    np.testing.assert_array_equal(w, np.full(3, value, np.float32))
    assert w.dtype == np.float32


@pytest.mark.parametrize("name", init.NAMES)
def test_seed_decides_and_precision_does_not_matter(name):
    how = init.get(name)
    again = how((6, 4), np.random.default_rng(3), np.float64)
    np.testing.assert_array_equal(how((6, 4), 3, np.float64), again)
    single = how((6, 4), 3)
    assert single.dtype == np.float32 and single.flags.c_contiguous and single.flags.writeable
    np.testing.assert_array_equal(single, again.astype(np.float32))


def test_options_by_partial():
    assert init.constant((2,), value=3.0).tolist() == [3.0, 3.0]
    how = init.get(partial(init.normal, mean=5.0, std=0.0))
    assert how((2,), 0).tolist() == [5.0, 5.0]
    assert np.ptp(init.uniform((1000,), 0, low=2.0, high=3.0)) < 1.0


def test_fans():
    assert init.fans((10, 20)) == (20, 10)
    assert init.fans((8, 3, 5, 2)) == (30, 80)
    assert init.he_normal((4, 0)).shape == (4, 0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: init.get("he"), ValueError, r"init must be one of he_normal, .*got 'he'"),
        (lambda: init.get(3), TypeError, "init must be a name or a callable, got int"),
        (lambda: init.he_normal((3,)), ValueError, "shape must have at least 2 dimensions"),
        (lambda: init.orthogonal((3,)), ValueError, "shape must have at least 2 dimensions"),
        (lambda: init.zeros((3,), dtype=np.int32), TypeError, "dtype must be float32 or float64"),
        (lambda: init.normal((3,), dtype=np.float16), TypeError, "dtype must be float32 or"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
