"""An import hook that lets a user's modules load as they are and then swaps names in them for ours.

While a `Swap` is entered, ``import common.layers`` finds and runs the user's own file; afterwards
each class and function in it that we have a fitting stand-in for is replaced. Whoever imports the
module later, the user's other modules included, gets the stand-ins. A module of the package that
the user does not have comes from us as a whole.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import inspect
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from .fit import Misfit, fit
from .profile import Profile


@dataclass
class Report:
    """What happened to one module."""

    module: str
    lent: bool = False
    replaced: list[str] = field(default_factory=list)
    left: dict[str, str] = field(
        default_factory=dict
    )  # name: reason, empty if we have no such name


class _Then(importlib.abc.Loader):
    """Loads a module by its own loader, then calls a function with it."""

    def __init__(self, loader: importlib.abc.Loader, then: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._then = then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._then(module)


class _Lender(importlib.abc.Loader):
    """Fills a module that the user does not have with the names of ours (none for the package)."""

    def __init__(self, source: ModuleType | None) -> None:
        self._source = source

    def exec_module(self, module: ModuleType) -> None:
        if self._source is not None:
            public = {k: v for k, v in vars(self._source).items() if not k.startswith("_")}
            public["__doc__"] = self._source.__doc__
            public["__all__"] = getattr(self._source, "__all__", list(public))
            module.__dict__.update(public)


class Swap(importlib.abc.MetaPathFinder):
    """The hook; a context manager. `reports` tells afterwards what was swapped.

    Parameters
    ----------
    profile : Profile
        The book's package and our stand-in for it.
    keep : collection of str
        Names to leave as the user has them.
    """

    def __init__(self, profile: Profile, keep: Collection[str] = ()) -> None:
        self.reports: dict[str, Report] = {}
        self._profile = profile
        self._keep = keep
        self._hidden: dict[str, ModuleType] = {}

    def __enter__(self) -> Swap:
        """Begin to swap; the package is imported anew."""
        self._hidden = self._take_out()
        sys.meta_path.insert(0, self)
        return self

    def __exit__(self, *exc: object) -> None:
        """Stop, and put the modules that were loaded before back."""
        sys.meta_path.remove(self)
        self._take_out()
        sys.modules.update(self._hidden)

    def _take_out(self) -> dict[str, ModuleType]:
        package = self._profile.package
        names = [n for n in sys.modules if n == package or n.startswith(package + ".")]
        return {name: sys.modules.pop(name) for name in names}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module of the package: the user's own, to be swapped in, or else ours."""
        package, _, name = fullname.partition(".")
        ours = {"": None, **self._profile.replaced, **self._profile.provided}
        if package != self._profile.package or name not in ours:
            return None
        spec = self._find_theirs(fullname, path, target)
        if spec is None:
            self.reports[fullname] = Report(fullname, lent=True)
            return ModuleSpec(fullname, _Lender(ours[name]), is_package=not name)
        if name in self._profile.replaced and spec.loader is not None:
            spec.loader = _Then(spec.loader, self._replace)
        return spec

    def _find_theirs(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(fullname, path, target)):
                return spec
        return None

    def _replace(self, module: ModuleType) -> None:
        """Swap what we have a fitting stand-in for, and note what is left."""
        name = module.__name__.partition(".")[2]
        report = self.reports[module.__name__] = Report(module.__name__)
        for key in self._profile.probes[name]:
            theirs = getattr(module, key, None)
            if not (inspect.isclass(theirs) or inspect.isfunction(theirs)):
                continue
            if key in self._keep:
                report.left[key] = "you asked to keep it"
                continue
            try:
                stand_in = self._stand_in(name, key, theirs)
            except Misfit as misfit:
                report.left[key] = str(misfit)
                continue
            if stand_in not in self._profile.candidates(name, key):
                # It was made for this module, and here pickle has to look for it.
                stand_in.__module__, stand_in.__qualname__ = module.__name__, key
            setattr(module, key, stand_in)
            report.replaced.append(key)
        for key, value in vars(module).items():
            if key.startswith("_") or key in report.replaced:
                continue
            own = getattr(value, "__module__", None) == module.__name__
            if own and (inspect.isclass(value) or inspect.isfunction(value)):
                report.left.setdefault(key, "")

    def _stand_in(self, module: str, key: str, theirs: object) -> Any:
        probe = self._profile.probes[module][key]
        first, *others = self._profile.candidates(module, key)
        try:
            return fit(theirs, first, probe)
        except Misfit:
            for ours in others:
                with contextlib.suppress(Misfit):
                    return fit(theirs, ours, probe)
            raise
