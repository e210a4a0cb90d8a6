"""A script: calls every function with arguments that end where their memory ends.

What is read beyond them is a segmentation fault; test_isa.py runs it once per instruction set.
Results must be those of the same numbers elsewhere, bit by bit.
"""

import ctypes
import mmap
from typing import Any

import numpy as np
from bad_calls import good_calls

import nnfast.functional as F

Array = np.ndarray[Any, Any]
LIBC = ctypes.CDLL(None)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
LIBC.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
RNG = np.random.default_rng(0)


class PageEnds:
    """Copies of arrays, each before a page that may not be read, until the end of the block."""

    def __enter__(self) -> "PageEnds":
        self._mapped: list[tuple[int, int]] = []
        return self

    def __exit__(self, *_: object) -> None:
        for start, size in self._mapped:
            LIBC.munmap(start, size)

    def copy(self, value: Any) -> Any:
        if not isinstance(value, np.ndarray) or value.size == 0:
            return value
        pages = -(-value.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
        size, flags = pages + mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        start = LIBC.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
        LIBC.mprotect(start + pages, mmap.PAGESIZE, 0)
        self._mapped.append((start, size))
        memory = (ctypes.c_char * value.nbytes).from_address(start + pages - value.nbytes)
        copy: Array = np.frombuffer(memory, value.dtype).reshape(value.shape)
        copy[...] = value
        return copy


def check(function: str, arguments: dict[str, Any]) -> None:
    expected = getattr(F, function)(**{k: own(v) for k, v in arguments.items()})
    with PageEnds() as ends:
        got = getattr(F, function)(**{k: ends.copy(v) for k, v in arguments.items()})
        for a, b in zip(results(got), results(expected), strict=True):
            np.testing.assert_array_equal(a, b, err_msg=f"{function} {shapes(arguments)}")


def own(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value


def results(value: Any) -> list[Any]:
    return list(value) if isinstance(value, tuple) else [value]


def shapes(arguments: dict[str, Any]) -> dict[str, Any]:
    return {k: np.shape(v) if isinstance(v, np.ndarray) else v for k, v in arguments.items()}


def image(*shape: int) -> Array:
    x = RNG.standard_normal(shape).astype(RNG.choice(["float32", "float64"]))
    if RNG.random() < 0.3 and x.size:
        x.flat[-1 - RNG.integers(min(8, x.size))] = RNG.choice([np.nan, np.inf, -np.inf])
    return x


def pooling() -> None:
    """Windows of all kinds: what a vector of them reads at once depends on each number."""
    kernel = tuple(int(k) for k in RNG.integers(1, 6, 2))
    stride = tuple(int(s) for s in RNG.integers(1, 4, 2))
    padding = tuple(int(RNG.integers(k // 2 + 1)) for k in kernel)
    h, w = RNG.integers(1, 6) + kernel[0], RNG.integers(1, 40) + kernel[1]
    window = {"kernel_size": kernel, "stride": stride, "padding": padding}
    x = image(*RNG.integers(1, 3, 2), h, w)
    check("max_pool2d", {"x": x, **window})
    check("avg_pool2d", {"x": x, **window})
    y, indices = F.max_pool2d(x, **window)
    back = {"dy": np.nan_to_num(y), "x_shape": x.shape, **window}
    check("max_pool2d_backward", {**back, "indices": indices})
    check("avg_pool2d_backward", back)


def convolution() -> None:
    groups, c, k = (int(n) for n in RNG.integers(1, 4, 3))
    if RNG.random() < 0.3:  # depthwise
        groups, c, k = int(RNG.integers(1, 20)), 1, 1
    kernel, stride = RNG.integers(1, 6, 2), int(RNG.integers(1, 4))
    h, w = RNG.integers(1, 12) + kernel[0], RNG.integers(1, 40) + kernel[1]
    x = image(int(RNG.integers(1, 3)), groups * c, h, w)
    weight = RNG.standard_normal((groups * k, c, *kernel)).astype(x.dtype)
    options = {"stride": stride, "padding": int(RNG.integers(3)), "groups": groups}
    check("conv2d", {"x": x, "weight": weight, **options})
    x = np.nan_to_num(x, posinf=1, neginf=1)
    dy = F.conv2d(x, weight, **options)
    check("conv2d_backward", {"dy": dy, "x": x, "weight": weight, **options})
    options |= {"padding": 0, "output_padding": int(RNG.integers(stride))}
    check("conv_transpose2d", {"x": dy, "weight": weight, **options})
    back = F.conv_transpose2d(dy, weight, **options)
    check("conv_transpose2d_backward", {"dy": back, "x": dy, "weight": weight, **options})


def product() -> None:
    m, n, k = (int(size) for size in RNG.integers(1, 80, 3))
    a, b = RNG.integers(2, size=2)
    x, y = image(*((k, m) if a else (m, k))), image(*((n, k) if b else (k, n)))
    y = y.astype(x.dtype)
    check("gemm", {"a": x, "b": y, "transpose_a": bool(a), "transpose_b": bool(b)})


def main() -> None:
    """Try everything with the warnings of NaN and infinity off."""
    with np.errstate(all="ignore"):
        for function, arguments in good_calls().items():
            for dtype in ("float32", "float64"):
                cast = {
                    k: v.astype(dtype) if isinstance(v, np.ndarray) and v.dtype.kind == "f" else v
                    for k, v in arguments.items()
                }
                check(function, cast)
        for _ in range(400):
            pooling()
            convolution()
            product()


if __name__ == "__main__":
    main()
