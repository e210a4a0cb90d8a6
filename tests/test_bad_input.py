"""Bad calls of all public functions: each is a TypeError or ValueError that names the argument.

Most rows follow from the kind of the argument (bad_calls.py); what concerns single functions is
listed here.
"""

import re
from typing import Any

import numpy as np
import pytest
from bad_calls import bad_values, good_calls
from numeric import normal

import nnfast.functional as F

Row = tuple[str, str, Any, type[Exception]]

GENERAL: list[Row] = [
    (function, name, value, error)
    for function, arguments in good_calls().items()
    for name, given in arguments.items()
    for value, error in bad_values(function, name, given)
]
HUGE, LARGE = 2**62, 2**29
SPECIAL: list[Row] = [
    # sizes that overflow
    ("conv2d", "padding", HUGE, ValueError),
    ("conv2d", "padding", LARGE, ValueError),
    ("conv2d", "dilation", HUGE, ValueError),
    ("conv2d", "stride", 2**63, ValueError),
    ("conv2d_backward", "padding", LARGE, ValueError),
    ("im2col", "padding", LARGE, ValueError),
    ("im2col", "kernel_size", HUGE, ValueError),
    ("col2im", "padding", LARGE, ValueError),
    ("col2im", "x_shape", (LARGE, LARGE, LARGE, LARGE), ValueError),
    ("max_pool2d", "kernel_size", HUGE, ValueError),
    ("max_pool2d", "kernel_size", 2**16, ValueError),
    ("avg_pool2d_backward", "kernel_size", 2**16, ValueError),
    ("global_avg_pool2d_backward", "x_shape", (2, 4, LARGE, LARGE), ValueError),
    # windows that do not fit
    ("conv2d", "weight", normal((6, 2, 9, 9)), ValueError),
    ("conv2d", "weight", normal((6, 2, 3, 9)), ValueError),
    ("conv2d", "weight", normal((6, 2, 0, 3)), ValueError),
    ("conv2d", "weight", normal((6, 4, 3, 3)), ValueError),
    ("conv2d", "dilation", 4, ValueError),
    ("conv2d_backward", "weight", normal((6, 2, 9, 9)), ValueError),
    ("conv2d_backward", "dy", normal((2, 6, 5, 6)), ValueError),
    ("im2col", "kernel_size", (9, 1), ValueError),
    ("im2col", "dilation", (1, 4), ValueError),
    ("col2im", "kernel_size", (1, 9), ValueError),
    ("max_pool2d", "kernel_size", 7, ValueError),
    ("max_pool2d", "padding", 2, ValueError),
    ("max_pool2d", "padding", (0, 2), ValueError),
    ("max_pool2d", "activation", "tanh", ValueError),
    ("max_pool2d_backward", "padding", 2, ValueError),
    ("avg_pool2d", "kernel_size", (2, 7), ValueError),
    ("avg_pool2d", "padding", 2, ValueError),
    ("avg_pool2d_backward", "padding", 2, ValueError),
    ("avg_pool2d_backward", "kernel_size", 7, ValueError),
    # groups
    ("conv2d", "groups", 3, ValueError),
    ("conv2d", "groups", 4, ValueError),
    ("conv2d", "groups", 1, ValueError),
    ("conv2d_backward", "groups", 3, ValueError),
    ("conv2d", "algo", "depthwise", ValueError),
    ("conv2d_backward", "algo", "depthwise", ValueError),
    # images without pixels, channels without values, maxima of nothing
    ("max_pool2d", "x", np.ones((2, 4, 0, 6)), ValueError),
    ("avg_pool2d", "x", np.ones((2, 4, 6, 0)), ValueError),
    ("global_avg_pool2d", "x", np.ones((2, 4, 0, 6)), ValueError),
    ("global_avg_pool2d_backward", "x_shape", (2, 4, 0, 6), ValueError),
    ("batch_norm", "x", np.ones((0, 4, 6, 6)), ValueError),
    ("batch_norm", "x", np.ones((2, 4, 0, 6)), ValueError),
    ("batch_norm", "x", np.ones((0, 4)), ValueError),
    ("batch_norm", "x", np.ones((2, 4, 6)), ValueError),
    ("batch_norm", "x", np.ones(4), ValueError),
    ("layer_norm", "x", np.ones((2, 0)), ValueError),
    ("layer_norm", "x", np.ones(()), ValueError),
    ("layer_norm_backward", "mean", np.ones((2, 1)), ValueError),
    ("reduce_max", "x", np.ones((2, 0)), ValueError),
    # pooling indices
    ("max_pool2d_backward", "indices", None, TypeError),
    ("max_pool2d_backward", "indices", np.zeros((2, 4, 3, 3)), TypeError),
    ("max_pool2d_backward", "indices", np.zeros((2, 4, 3, 3), np.int32), TypeError),
    ("max_pool2d_backward", "indices", [[[[0]]]], TypeError),
    ("max_pool2d_backward", "indices", np.zeros((2, 4, 3, 2), np.uint8), ValueError),
    ("max_pool2d_backward", "indices", np.full((2, 4, 3, 3), 5, np.uint8), ValueError),
    # indices of a table
    *(
        (function, "indices", value, error)
        for function in ("embedding", "embedding_backward", "embedding_backward_rows")
        for value, error in (
            (None, TypeError),
            (np.array([0.0, 1.0]), TypeError),
            (np.array([True, False]), TypeError),
            (np.array([0, 1], object), TypeError),
            (np.array(["0", "1"]), TypeError),
            (np.array([0, 3]), ValueError),
            (np.array([-1, 0]), ValueError),
            (np.array([0, 2**63], np.uint64), ValueError),
        )
    ),
    ("embedding_backward", "indices", np.array([0]), ValueError),
    ("embedding_backward_rows", "indices", np.array([[0, 1]]), ValueError),
    # targets
    ("cross_entropy", "target", None, TypeError),
    ("cross_entropy", "target", np.array([0.0, 1.0]), TypeError),
    ("cross_entropy", "target", np.array([0.0, np.nan]), TypeError),
    ("cross_entropy", "target", np.array([True, False]), TypeError),
    ("cross_entropy", "target", np.array([0, 1], object), TypeError),
    ("cross_entropy", "target", np.array(["0", "1"]), TypeError),
    ("cross_entropy", "target", np.array([0, 1j]), TypeError),
    ("cross_entropy", "target", np.array([0, 3]), ValueError),
    ("cross_entropy", "target", np.array([-1, 0]), ValueError),
    ("cross_entropy", "target", np.array([0, 2**63], np.uint64), ValueError),
    ("cross_entropy", "target", np.array([0]), ValueError),
    ("cross_entropy", "target", np.array([0, 1, 2]), ValueError),
    ("cross_entropy", "target", np.array(0), ValueError),
    ("cross_entropy", "target", 1, ValueError),
    ("cross_entropy", "target", np.ones((2, 4)), ValueError),
    ("cross_entropy", "target", np.ones((2, 3, 1)), ValueError),
    ("cross_entropy", "target", np.ones((2, 3), complex), TypeError),
    ("cross_entropy", "target", np.ones((2, 3), object), TypeError),
    ("cross_entropy", "x", np.ones(2), ValueError),
    ("cross_entropy", "ignore_index", 0.5, TypeError),
    ("cross_entropy", "ignore_index", "0", TypeError),
    ("cross_entropy", "ignore_index", None, TypeError),
    ("cross_entropy", "ignore_index", 2**63, ValueError),
    ("cross_entropy", "reduction", None, TypeError),
    ("cross_entropy_backward", "target", np.array([0, 3]), ValueError),
    ("cross_entropy_backward", "target", np.array([0.0, 1.0]), TypeError),
    ("cross_entropy_backward", "dloss", normal(3), ValueError),
    ("cross_entropy_backward", "dloss", normal((2, 3)), ValueError),
    ("cross_entropy_backward", "dloss", None, TypeError),
    ("cross_entropy_backward", "dloss", "1", TypeError),
    ("cross_entropy_backward", "dloss", 1j, TypeError),
    ("cross_entropy_backward", "dloss", np.ones(2, complex), TypeError),
    ("mse_loss", "target", None, TypeError),
    ("mse_loss", "target", np.ones((3, 2)), ValueError),
    ("mse_loss", "target", 1.0, ValueError),
    ("mse_loss", "target", np.ones((2, 3), complex), TypeError),
    ("mse_loss_backward", "target", np.ones((2, 1)), ValueError),
    ("mse_loss_backward", "dloss", np.ones((2, 1)), ValueError),
    ("mse_loss_backward", "dloss", "1", TypeError),
    # heads, queries and keys
    ("attention", "heads", 3, ValueError),
    ("attention", "k", normal((3, 5, 4)), ValueError),
    ("attention", "k", normal((2, 4, 4)), ValueError),
    ("attention", "k", normal((2, 5, 6)), ValueError),
    ("attention", "v", normal((2, 6, 4)), ValueError),
    ("attention", "v", normal((2, 5, 3)), ValueError),
    ("attention", "v", normal((2, 5, 0)), ValueError),
    ("attention", "mask", normal((2, 2, 3, 6)), ValueError),
    ("attention", "mask", normal((2, 2, 3, 5)).tolist()[0][0][:2], ValueError),
    ("attention_backward", "y", normal((2, 4, 4)), ValueError),
    ("attention_backward", "dy", normal((2, 3, 6)), ValueError),
    ("attention_backward", "lse", normal((2, 3, 2)), ValueError),
    ("self_attention", "qkv", normal((2, 3, 0)), ValueError),
    ("self_attention", "qkv", normal((2, 3, 15)), ValueError),
    ("self_attention", "heads", 5, ValueError),
    ("self_attention_backward", "lse", normal((2, 2, 4)), ValueError),
    # axes
    ("reduce_sum", "axis", (0, 0), ValueError),
    ("reduce_sum", "axis", (1, -1), ValueError),
    ("reduce_sum", "axis", (0, 2), ValueError),
    ("reduce_mean", "axis", (0, 0.5), TypeError),
    ("reduce_max", "axis", (0, 1, 2), ValueError),
    ("softmax", "axis", None, TypeError),
    ("softmax", "x", 1.0, ValueError),
    ("log_softmax", "axis", (0,), TypeError),
    # what is no array at all
    ("relu", "x", "text", TypeError),
    ("relu", "x", [[1.0], [2.0, 3.0]], ValueError),
    ("relu", "x", {}, TypeError),
    ("sigmoid", "x", [1, 2], TypeError),
    ("tanh", "x", 3, TypeError),
    ("linear", "x", object(), TypeError),
    # leading axes that differ, or no axis at all
    ("linear", "x", np.array(1.0), ValueError),
    ("linear_backward", "x", np.ones((2, 1, 3)), ValueError),
    ("linear_backward", "dy", np.ones((1, 2, 4)), ValueError),
    ("linear_backward", "y", np.ones((1, 2, 4)), ValueError),
    # an activation whose output is missing
    ("linear_backward", "y", None, ValueError),
]


ROWS: dict[tuple[str, str], list[tuple[Any, type[Exception]]]] = {}
for _function, _name, _value, _error in GENERAL + SPECIAL:
    ROWS.setdefault((_function, _name), []).append((_value, _error))


def test_the_table_covers_every_function() -> None:
    assert len(GENERAL) + len(SPECIAL) >= 230
    assert {function for function, _ in ROWS} == set(F.__all__)


@pytest.mark.parametrize("function", good_calls())
def test_good_call(function: str, backend: str) -> None:
    getattr(F, function)(**good_calls()[function])


@pytest.mark.parametrize(("function", "name"), ROWS)
def test_bad_calls(function: str, name: str, backend: str) -> None:
    arguments = good_calls()[function]
    before = {key: np.copy(given) for key, given in arguments.items()}
    wrong = [
        f"{name}={brief(value)}: {complaint}"
        for value, error in ROWS[function, name]
        if (complaint := complain(function, arguments, name, value, error))
    ]
    assert not wrong, "\n".join(wrong)
    for key, given in arguments.items():
        np.testing.assert_array_equal(given, before[key], err_msg=f"{key} was changed")


def brief(value: Any) -> str:
    return f"{value.dtype}{value.shape}" if isinstance(value, np.ndarray) else repr(value)


def complain(
    function: str, arguments: dict[str, Any], name: str, value: Any, error: type[Exception]
) -> str:
    """Make a bad call; return what is wrong with the way it fails, if anything."""
    try:
        getattr(F, function)(**{**arguments, name: value})
    except Exception as caught:  # whatever it is, the test reports it
        if type(caught) is not error:
            return f"{error.__name__} expected, got {caught!r}"
        names = [name]
        arrays = [key for key, given in arguments.items() if isinstance(given, np.ndarray)]
        shapes = [getattr(given, "shape", None) for given in (value, arguments[name])]
        if name in arrays and error is ValueError and shapes[0] not in (None, shapes[1]):
            names = arrays  # whose shapes contradict each other
        named = re.search(rf"\b({'|'.join(names)})\b", str(caught))
        return "" if named else f"the message does not name {' or '.join(names)}: {caught}"
    return "no error"


@pytest.mark.parametrize("function", [name for name in F.__all__ if name.endswith("_update")])
def test_overlapping_arrays(function: str, backend: str) -> None:
    good = good_calls()[function]
    first, *others = [name for name, given in good.items() if isinstance(given, np.ndarray)]
    shape, size = good[first].shape, good[first].size
    block = np.ones(2 * size - 1)
    for name in others:
        ends = {first: block[:size].reshape(shape), name: block[-size:].reshape(shape)}
        with pytest.raises(ValueError, match=rf"\b({first}|{name})\b.* memory"):
            getattr(F, function)(**{**good, **ends})
    assert (block == 1).all()


def test_a_kernel_without_channels_has_a_size_all_the_same():
    x, weight = np.zeros((1, 0, 1, 1), np.float32), np.zeros((1, 0, 2**30, 2**30), np.float32)
    with pytest.raises(ValueError, match="weight is too large"):
        F.conv2d(x, weight, stride=2**30, padding=2**30)
