"""What a stand-in tells the runner.

Which of the user's modules it has something for, and how to find out on a small example whether a
class or function of the user's computes the same as ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

Probe = Callable[[Any], tuple[list[Any], Any]]
"""Runs a class or function on a small example; gives its results, and the object or function."""


@dataclass(frozen=True)
class Profile:
    """One book's package and our stand-in for it."""

    package: str
    """The name scripts import it by."""
    replaced: Mapping[str, ModuleType]
    """Modules whose classes and functions are swapped for ours."""
    provided: Mapping[str, ModuleType]
    """Modules that are only lent out where the user has none of that name."""
    probes: Mapping[str, Mapping[str, Probe]]
    """For each of these modules an example of every name that is swapped."""
    alternatives: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Further candidates for a name, for editions of the book that differ."""

    def candidates(self, module: str, name: str) -> tuple[Any, ...]:
        """Give what may stand in for a name, best first."""
        return (getattr(self.replaced[module], name), *self.alternatives.get(name, ()))
