"""The ``common`` package of "Deep Learning from Scratch" (the first book) on nnfast's kernels.

Every module has the name, every class and function the interface, the attributes and the numbers of
the book's: ``from common.layers import *`` becomes ``from nnfast.compat.dlfs1.layers import *``, or
``nnfast run script.py`` makes that swap without touching the script.
"""
