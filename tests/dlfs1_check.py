"""Comparing a stand-in's result with the NumPy original's."""

import numpy as np

RTOL = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-12}


def same(ours, theirs, rtol=None):
    """Assert equal shape, dtype and type, and values within rtol of the largest magnitude."""
    assert isinstance(ours, np.ndarray) == isinstance(theirs, np.ndarray)
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    if rtol is None:
        rtol = RTOL.get(ours.dtype, 0.0)
    finite = np.abs(theirs[np.isfinite(theirs)])
    largest = float(finite.max()) if finite.size else 0.0
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * largest)
