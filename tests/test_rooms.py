"""Imports go one way: from a room of the package to those below it, and in a circle nowhere.

All imports count, also those within functions and those for type checkers alone.
"""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "genn_delays"

ROOMS = (
    # the ground: single files, each using those before it at most
    "version", "errors", "syntax", "bodies", "registry", "floating", "chunks", "random", "streams", "interrupts",
    "memory", "paths", "private", "grammar", "arguments", "porting", "initializers", "communicators",
    # what learning is, and what a network is described by
    "learning", "delays", "neurons", "synapses", "drives", "connectivity", "overview", "network", "metrics", "rewiring",
    # under mlGeNN's names
    "layers", "losses", "optimisers", "readouts", "serialisers",
    # equations -> steps; a network -> its plan; a plan -> source; source that runs; networks that are trained
    "derive", "plan", "callbacks", "codegen", "backends", "ops", "datasets", "training", "simulation", "compilers",
    "torch", "jax", "utils",
    # for users
    "export",
    "costs", "analysis", "plots", "runs", "sweeps", "reports", "selftest", "benchmarks", "cli", "__main__", "_api",
    "__init__",
)  # fmt: skip
"""From the ground up: a room imports itself and rooms before it."""

BACKENDS = ("cache", "reference", "cpu", "cuda", "genn", "event_exact", "__init__")
"""The same within ``backends``."""


@cache
def statements(source):
    """All import statements of a source, in functions and under conditions too."""
    return tuple(node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom))


def modules(package=PACKAGE):
    """By name, without that of the package, every module's imports: ``plan.lower``, ``plan.__init__``."""
    paths = {".".join(path.relative_to(package).with_suffix("").parts): path for path in package.rglob("*.py")}
    return {name: statements(path.read_text()) for name, path in sorted(paths.items())}


def imports(trees):
    """Pairs of a module and a module that it imports."""
    for name, nodes in trees.items():
        package = ["genn_delays", *name.split(".")[:-1]]
        for node in nodes:
            if isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            else:
                above = package[: len(package) - node.level + 1] if node.level else []
                base = ".".join([*above, *([node.module] if node.module else [])])
                found = [f"{base}.{alias.name}" for alias in node.names]
            for target in found:
                if target.split(".")[0] == "genn_delays":
                    yield name, module_of(target.split(".")[1:], trees)


def module_of(parts, trees):
    """The module that a name is or is in."""
    for length in range(len(parts), -1, -1):
        for name in (".".join(parts[:length]), ".".join([*parts[:length], "__init__"])):
            if name in trees:
                return name
    raise AssertionError(parts)


def upward(trees, rooms, within=""):
    """Imports of one room by a lower one; `within` a package its own rooms are looked at."""
    for name, target in imports(trees):
        if name.startswith(within) and target.startswith(within):
            room, other = (module.removeprefix(within).split(".")[0] for module in (name, target))
            if rooms.index(other) > rooms.index(room):
                yield f"{name} imports {target}"


def circle(trees):
    """Modules that import each other in a circle, if there is one."""
    graph = {name: set() for name in trees}
    for name, target in imports(trees):
        if name != target:
            graph[name].add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def test_every_room_imports_those_below_it():
    assert list(upward(modules(), ROOMS)) == []


def test_every_backend_imports_those_below_it():
    assert list(upward(modules(), BACKENDS, "backends.")) == []


def test_modules_import_in_no_circle():
    assert circle(modules()) is None


def test_every_room_is_named_once():
    assert sorted(ROOMS) == sorted({name.split(".")[0] for name in modules()})


@pytest.mark.parametrize(
    ("module", "line", "target"),
    [
        ("plan.lower", "from ..training.compiler import Compiler", "training.compiler"),
        ("errors", "import genn_delays.paths", "paths"),
        ("network", "def f():\n    from .plan import plan", "plan.plan"),
        ("callbacks.callback", "if TYPE_CHECKING:\n    from genn_delays import training", "training.__init__"),
        ("backends.cuda.engine", "from ...runs import build", "runs.build"),
        ("metrics", "from . import CompiledNetwork", "__init__"),
    ],
)
def test_an_upward_import_is_found(module, line, target):
    """Within a function, for type checkers, of a package, by another way of writing."""
    trees = modules()
    trees[module] += statements(line)
    assert list(upward(trees, ROOMS)) == [f"{module} imports {target}"]


def test_a_circle_is_found():
    trees = modules()
    trees["backends.cuda.work"] += statements("if TYPE_CHECKING:\n    from .engine import CUDAEngine")
    assert {"backends.cuda.work", "backends.cuda.engine"} <= set(circle(trees))
    assert list(upward(trees, ROOMS)) == []


def test_an_upward_import_between_backends_is_found():
    trees = modules()
    trees["backends.cpu.engine"] += statements("from ..genn import GeNN")
    assert list(upward(trees, BACKENDS, "backends.")) == ["backends.cpu.engine imports backends.genn.__init__"]


def test_compilers_are_where_mlgenn_has_them():
    import genn_delays as gd
    from genn_delays import compilers

    for name in ("CompiledNetwork", "EventPropCompiler", "SurrogateCompiler"):
        assert getattr(compilers, name) is getattr(gd, name)
    assert issubclass(gd.SurrogateCompiler, compilers.Compiler)
