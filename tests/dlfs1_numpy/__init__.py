"""Hand-written NumPy layers of the kind users have, to hold `nnfast.compat.dlfs1` against.

Plain loops and array expressions with NumPy's own promotion, no nnfast anywhere. The runner's tests
also copy this folder into made-up projects as the user's `common` package.
"""
