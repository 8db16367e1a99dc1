"""Classes by name, the library's own and those of users, on every backend alike.

A user's class is registered by a decorator, or found by an entry point of an installed package::

    @genn_delays.register("lion")
    class Lion(Optimiser): ...

    [project.entry-points."genn_delays.optimisers"]
    lion = "my_package:Lion"
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, ItemsView, Iterator, KeysView, ValuesView
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from .errors import GennDelaysError, InvalidValueError, asked, shown

T = TypeVar("T")

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_REGISTRIES: list[Registry[Any]] = []


class Registry(dict[str, type[T]], Generic[T]):
    """The registered classes of one kind by name.

    Args:
        kind: of class, in messages and in the group of entry points, ``genn_delays.<kind>s``.
        base: the class that they derive from. Its class method ``check_definition``, if it has one, says what a class
            lacks besides what is abstract; its attribute ``registered_name`` is set to the name.
    """

    def __init__(self, kind: str, base: type[T]) -> None:
        super().__init__()
        self.kind, self.base = kind, base
        self._searched = False
        _REGISTRIES.append(self)

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """A decorator that registers a class.

        Args:
            name: lower-case letters, digits and underscores.

        Raises:
            InvalidValueError: the name is taken or not valid, or the class lacks something.
        """
        _check_name(self.kind, name)

        def add(cls: type[T]) -> type[T]:
            self._check(name, cls)
            cls.registered_name = name  # type: ignore[attr-defined]
            self[name] = cls
            return cls

        return add

    def by_default(self, what: str, name: str) -> T:
        """An instance of the class of a name, with its defaults.

        Raises:
            InvalidValueError: the class has arguments without one.
        """
        required = [
            p.name
            for p in inspect.signature(self[name]).parameters.values()
            if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        ]
        if required:
            kind = self[name].__name__
            given = ", ".join(f"{argument}=..." for argument in required)
            raise InvalidValueError(f"{what} {name!r} needs {', '.join(required)}: give {kind}({given})")
        return self[name]()

    def _check(self, name: str, cls: type[T]) -> None:
        what = f"{self.kind} {name!r}"
        if not isinstance(cls, type) or not issubclass(cls, self.base):
            raise InvalidValueError(f"{what} must be a class derived from {self.base.__name__}, got {cls!r}")
        known = dict.get(self, name)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise InvalidValueError(f"{what} is registered already, as class {known.__module__}.{known.__qualname__}")
        other = next((n for n, c in dict.items(self) if c is cls and n != name), None)
        if other is not None:
            raise InvalidValueError(f"class {cls.__qualname__} is registered already, as {other!r}")
        if inspect.isabstract(cls):
            missing = ", ".join(sorted(cls.__abstractmethods__))  # type: ignore[attr-defined]
            raise InvalidValueError(f"{what}: class {cls.__qualname__} does not define {missing}")
        check = getattr(cls, "check_definition", None)
        if check is not None:
            asked(f"{what}: the definition of class {cls.__qualname__}", check)

    def __contains__(self, name: object) -> bool:
        if not super().__contains__(name):
            self._search()
        return super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        self._search()
        return super().__iter__()

    def keys(self) -> KeysView[str]:  # type: ignore[override]
        """The names, those of installed packages too."""
        self._search()
        return super().keys()

    def values(self) -> ValuesView[type[T]]:  # type: ignore[override]
        """The classes, those of installed packages too."""
        self._search()
        return super().values()

    def items(self) -> ItemsView[str, type[T]]:  # type: ignore[override]
        """Names and classes, those of installed packages too."""
        self._search()
        return super().items()

    def __missing__(self, name: str) -> type[T]:
        if name in self:
            return self[name]
        raise KeyError(name)

    def _search(self) -> None:
        """Look for classes that installed packages offer, once."""
        if self._searched:
            return
        self._searched = True
        try:
            for point in entry_points(group=f"genn_delays.{self.kind.replace(' ', '_')}s"):
                self._load(point)
        except BaseException:
            self._searched = False  # whoever asks next is told too
            raise

    def _load(self, point: EntryPoint) -> None:
        package = point.dist.name if point.dist is not None else "an installed package"
        try:
            self.register(point.name)(point.load())
        except Exception as error:  # whatever its import does
            reason = str(error) if isinstance(error, GennDelaysError) else f"{type(error).__name__}: {error}"
            raise InvalidValueError(
                f"package {package!r} offers {self.kind} {point.name!r}, class {point.value!r}, which cannot be used: "
                f"{' '.join(reason.split())}"
            ) from error


def _check_name(what: str, name: object) -> None:
    """An error for what is no name, such as the class of a decorator without its parentheses."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or "__" in name:
        raise InvalidValueError(
            f"name of a registered {what} must be lower-case letters, digits and single underscores, got {shown(name)}"
        )


def registries() -> tuple[Registry[Any], ...]:
    """All registries, of every kind of class."""
    return tuple(_REGISTRIES)


def register(name: str) -> Callable[[type[T]], type[T]]:
    """Registers a class of yours by a name, so that every backend knows it and model files may name it.

    It derives from :class:`Optimiser`, :class:`Loss`, :class:`Readout`, :class:`Surrogate`, :class:`RewiringRule`,
    :class:`DelayKernel`, :class:`Neuron`, :class:`Initializer` or :class:`DelayInitializer`.

    Args:
        name: lower-case letters, digits and underscores.

    Raises:
        InvalidValueError: it derives from none of them, the name is taken, or it lacks something.
    """
    _check_name("class", name)

    def add(cls: type[T]) -> type[T]:
        for registry in _REGISTRIES:
            if isinstance(cls, type) and issubclass(cls, registry.base):
                return registry.register(name)(cls)
        bases = ", ".join(sorted({registry.base.__name__ for registry in _REGISTRIES}))
        raise InvalidValueError(f"{name!r}: a registered class must derive from one of {bases}, got {cls!r}")

    return add
