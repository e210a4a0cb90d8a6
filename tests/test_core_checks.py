"""The compiled functions called directly: what `nnfast.functional` would have cast is refused.

The C code reads plain memory, so nothing but contiguous, aligned, native arrays may reach it.
"""

import re

import numpy as np
import pytest
from bad_calls import OPTIONAL, good_calls
from numeric import Array

import nnfast
from nnfast import backend


def unaligned(x: Array) -> Array:
    block = bytearray(x.nbytes + 1)
    return np.frombuffer(block, x.dtype, x.size, offset=1).reshape(x.shape)


SPOILED = {
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "reversed": lambda x: x[::-1],
    "broadcast": lambda x: np.broadcast_to(x[:1], x.shape),
    "unaligned": unaligned,
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder("S"), copy=True),
    "float16": lambda x: x.astype(np.float16),
    "short integers": lambda x: x.astype(np.int16),
    "complex": lambda x: x.astype(np.complex128),
    "objects": lambda x: x.astype(object),
    "list": lambda x: x.tolist(),
    "text": lambda x: "text",
    "None": lambda x: None,
}
ARRAYS = [
    (function, name)
    for function, arguments in good_calls().items()
    for name, value in arguments.items()
    if isinstance(value, np.ndarray)
]


def may_be_none(function: str, name: str) -> bool:
    if name == "y":  # needed by attention, and by the activation of linear_backward's good call
        return False
    return name in OPTIONAL or (name == "weight" and "_norm" in function)


@pytest.mark.parametrize(("function", "name"), ARRAYS)
def test_native_refuses_what_it_cannot_read(function: str, name: str) -> None:
    arguments = good_calls()[function]
    with nnfast.use_backend("native"):
        native = getattr(backend.active(), function)
    native(**arguments)
    for kind, spoil in SPOILED.items():
        if kind == "None" and may_be_none(function, name):
            continue
        if kind in ("unaligned", "byte-swapped") and arguments[name].itemsize == 1:
            continue  # single bytes are neither
        with pytest.raises((TypeError, ValueError)) as caught:
            native(**{**good_calls()[function], name: spoil(arguments[name])})
        assert re.search(rf"\b{name}\b", str(caught.value)), f"{kind}: {caught.value}"
