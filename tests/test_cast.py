"""What the functional functions accept, what they compute in, and what they leave alone."""

import numpy as np
import pytest

import nnfast.functional as F
from nnfast.backend import _are_ready, are_ready
from nnfast.functional import _cast

pytestmark = pytest.mark.usefixtures("backend")


@pytest.mark.parametrize(
    ("given", "work"),
    [
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.float16, np.float32),
        (np.bool_, np.float32),
        (np.int8, np.float32),
        (np.uint8, np.float32),
        (np.int16, np.float32),
        (np.uint16, np.float32),
        (">f4", np.float32),
        (">f8", np.float64),
    ],
)
def test_work_dtype(given: object, work: object) -> None:
    x = np.array([[0, 1], [1, 0]], given)
    y = F.relu(x)
    assert y.dtype == work
    np.testing.assert_array_equal(y, [[0, 1], [1, 0]])


@pytest.mark.parametrize("given", [np.int32, np.int64, np.uint32, np.complex64, np.longdouble])
def test_wide_and_foreign_dtypes_are_refused(given: object) -> None:
    with pytest.raises(TypeError, match=r"weight .*cast it to float32 or float64 first"):
        F.linear(np.ones((2, 3)), np.ones((4, 3), given))


def test_common_dtype_is_that_of_all_arguments() -> None:
    x32, x64 = np.ones((2, 3), np.float32), np.ones((4, 3), np.float64)
    assert F.linear(x32, x64).dtype == np.float64
    assert F.linear(x32, x64.astype(np.float16)).dtype == np.float32
    assert F.linear(x32.astype(np.float16), x64.astype(np.float32), [1.0, 2.0, 3.0, 4.0]).dtype == (
        np.float64
    )


READY = np.ones((2, 3), np.float32)
NOT_READY = {
    "transposed": (READY, READY.T),
    "of another dtype": (READY, READY.astype(np.float64)),
    "integers": (np.ones(2, np.int64),),
    "half precision": (READY.astype(np.float16),),
    "in foreign byte order": (READY.astype(READY.dtype.newbyteorder()),),
    "a subclass": (READY, np.ma.array(READY)),
    "a list": (READY, [1.0]),
    "a number": (1.0,),
    "nothing at all": (None,),
    "unaligned": (np.frombuffer(b"x" * 13, np.float32, 3, offset=1),),
}


@pytest.mark.parametrize("ready", [are_ready, _are_ready])
def test_what_is_ready_passes(ready: object) -> None:
    assert ready((READY,)) and ready((None, READY[1:], None, READY)) and ready((READY * 1.0,))
    assert ready((READY.astype(np.float64), np.ones(())))


@pytest.mark.parametrize("ready", [are_ready, _are_ready])
@pytest.mark.parametrize("values", NOT_READY.values(), ids=NOT_READY)
def test_what_is_not_ready_is_prepared(ready: object, values: tuple) -> None:
    assert not ready(values)


def test_lists_of_floats_are_float64() -> None:
    assert F.relu([[1.0, -1.0]]).dtype == np.float64
    assert F.relu(-3.0).shape == ()
    with pytest.raises(TypeError, match="x must hold"):
        F.relu([1, 2])
    with pytest.raises(ValueError, match="x cannot be made an array"):
        F.relu([[1.0, 2.0], [3.0]])


STRIDES = {
    "transposed": lambda x: x.T,
    "every second": lambda x: x[:, ::2],
    "reversed": lambda x: x[::-1, ::-1],
    "broadcast": lambda x: np.broadcast_to(x[0], x.shape),
    "unaligned": lambda x: np.frombuffer(b"0" + x.tobytes(), np.uint8)[1:].view(x.dtype),
    "column of a record": lambda x: x.astype([("a", "i1"), ("b", x.dtype)])["b"],
    "read-only": lambda x: np.lib.stride_tricks.as_strided(x, writeable=False),
    "Fortran order": np.asfortranarray,
}


@pytest.mark.parametrize("view", STRIDES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_strides(view: str, dtype: type) -> None:
    x = STRIDES[view](np.random.default_rng(0).standard_normal((6, 8)).astype(dtype))
    before = x.tobytes()
    y = F.sigmoid(x)
    assert y.flags.c_contiguous
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, F.sigmoid(np.array(x)))
    assert x.tobytes() == before


def test_arrays_that_fit_are_not_copied() -> None:
    x, weight = np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)
    assert _cast.one("x", x) is x
    for given, got in zip((x, weight, None), _cast.many("abc", x, weight, None), strict=True):
        assert got is given
    same, wide = _cast.many("ab", x, weight.astype(np.float64))
    assert same.dtype == wide.dtype == np.float64


def test_labels_of_any_integer_dtype() -> None:
    x = np.random.default_rng(0).standard_normal((3, 4))
    expected, _ = F.cross_entropy(x, np.array([1, 0, 3]))
    for dtype in "bBhHiIlL":
        assert F.cross_entropy(x, np.array([1, 0, 3], dtype))[0] == expected
    assert F.cross_entropy(x, [1, 0, 3])[0] == expected
    assert F.cross_entropy(x, np.array([1, 9, 0, 9, 3])[::2])[0] == expected


def test_one_hot_rows_of_any_dtype_keep_the_dtype_of_x() -> None:
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    expected, _ = F.cross_entropy(x, [1, 0, 3])
    for dtype in "?bBil":
        loss, lse = F.cross_entropy(x, np.eye(4, dtype=dtype)[[1, 0, 3]])
        assert loss.dtype == lse.dtype == np.float32
        np.testing.assert_allclose(loss, expected, rtol=1e-6)
    assert F.cross_entropy(x, np.eye(4)[[1, 0, 3]])[0].dtype == np.float64


def test_optimizers_change_the_given_array() -> None:
    param, grad = np.ones((2, 3), np.float32), np.ones((3, 2), np.float16).T
    F.sgd_update(param, grad, lr=0.5)
    np.testing.assert_array_equal(param, np.full((2, 3), 0.5, np.float32))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_softmax_along_any_axis(axis: int) -> None:
    x = np.random.default_rng(0).standard_normal((3, 4, 5))
    y = F.softmax(x, axis)
    assert y.flags.c_contiguous
    np.testing.assert_allclose(y.sum(axis), np.ones(y.sum(axis).shape), rtol=1e-12)
    np.testing.assert_allclose(F.log_softmax(x, axis), np.log(y), rtol=1e-12)
    dy = x[::-1]
    np.testing.assert_allclose(F.softmax_backward(dy, y, axis).sum(axis), 0, atol=1e-12)
    np.testing.assert_allclose(F.log_softmax_backward(dy, np.log(y), axis).sum(axis), 0, atol=1e-12)


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1), (2, 0), (-1, 1), (0, 2, 3), (), (3, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_over_any_axes(axis: object, keepdims: bool) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    options = {"axis": axis, "keepdims": keepdims}
    for ours, theirs in ((F.reduce_sum, np.sum), (F.reduce_mean, np.mean), (F.reduce_max, np.max)):
        y = ours(x, **options)
        assert np.shape(y) == np.shape(theirs(x, **options))
        np.testing.assert_allclose(y, theirs(x, **options), rtol=1e-12, atol=1e-13)
