"""The compiled part; nnfast.functional has the typed signatures of its functions."""

from typing import Any

def __getattr__(name: str) -> Any: ...
