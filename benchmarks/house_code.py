"""Measures of a checkout's source: names, density of the lines, circles of imports."""

import ast
import io
import itertools
import tokenize
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "gancore"
PARTS = ("run", "cli", "tools")  # sub-packages with figures of their own; the rest is the core
WIDTH = 100
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def groups():
    """Return the source files of the core, of run, cli and tools, and of the plugins."""
    core = sorted(PACKAGE.rglob("*.py"))
    found = {"core": []}
    for path in core:
        top = path.relative_to(PACKAGE).parts[0]
        found.setdefault(top if top in PARTS else "core", []).append(path)
    plugins = sorted((ROOT / "plugins").rglob("*.py"))
    found["plugins"] = [path for path in plugins if not path.name.startswith("test_")]
    return found


# ── names ─────────────────────────────────────────────────────────────────────────────────────────


def names_in_two_modules():
    """Return the public module-level names that two or more modules of gancore define."""
    modules = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for name in sorted(set(defined_names(ast.parse(path.read_text())))):
            modules[name].append(path.relative_to(PACKAGE).as_posix())
    public = {name: files for name, files in modules.items() if not name.startswith("_")}
    return {name: files for name, files in sorted(public.items()) if len(files) > 1}


def defined_names(module):
    """Yield the names that functions, classes and assignments define at the top of a module."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                yield from (each.id for each in ast.walk(target) if isinstance(each, ast.Name))


# ── density ───────────────────────────────────────────────────────────────────────────────────────


def density(paths):
    """Count the lines of files by kind, and their comprehensions."""
    total = defaultdict(int)
    for path in paths:
        for key, count in density_of(path.read_text()).items():
            total[key] += count
    return {
        "files": len(paths),
        **total,
        "long_percent": percent(total["long"], total["lines"]),
        "comment_percent": percent(total["comments"], total["code"] + total["comments"]),
        "comprehensions_per_100": percent(total["comprehensions"], total["code"]),
    }


def percent(part, whole):
    return round(100 * part / whole, 1) if whole else 0.0


def density_of(text):
    """Count the lines and comprehensions of one file.

    `code` lines are those that hold a token other than a comment or a docstring. A comprehension is
    `dense` with more than one `for` or with any `if`, and `nested` within another one.
    """
    tree = ast.parse(text)
    docstrings = set(itertools.chain.from_iterable(docstring_lines(tree)))
    code = set()
    comments = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        lines = range(token.start[0], token.end[0] + 1)
        if token.type == tokenize.COMMENT:
            comments.update(lines)
        elif token.string.strip():
            code.update(lines)
    found = [node for node in ast.walk(tree) if isinstance(node, COMPREHENSIONS)]
    return {
        "lines": len(text.splitlines()),
        "code": len(code - docstrings),
        "comments": len(comments),  # those at the end of a line count too
        "long": sum(len(line) > WIDTH for line in text.splitlines()),
        "comprehensions": len(found),
        "dense": sum(map(is_dense, found)),
        "nested": sum(map(holds_another, found)),
    }


def docstring_lines(tree):
    """Yield the line numbers of each docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                yield range(first.lineno, first.end_lineno + 1)


def is_dense(comprehension):
    loops = comprehension.generators
    return len(loops) > 1 or any(loop.ifs for loop in loops)


def holds_another(comprehension):
    inner = [node for node in ast.walk(comprehension) if isinstance(node, COMPREHENSIONS)]
    return len(inner) > 1


# ── circles ───────────────────────────────────────────────────────────────────────────────────────


def circles(*, typing, deferred):
    """Return the circles of files: each a list of modules that import each other.

    With `typing`, imports under `if TYPE_CHECKING` count; with `deferred`, those in functions.
    """
    modules = {module_name(path): path for path in PACKAGE.rglob("*.py")}
    edges = {}
    for name, path in modules.items():
        tree = ast.parse(path.read_text())
        imported = imported_modules(tree, modules, typing=typing, deferred=deferred)
        edges[name] = set(imported) - {name}
    reached = {name: reachable(name, edges) for name in edges}
    found = set()
    for name in edges:
        circle = {other for other in reached[name] if name in reached[other]}
        if circle:
            found.add(tuple(sorted(circle)))
    return sorted(found, key=len, reverse=True)


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(tree, modules, *, typing, deferred):
    """Yield the modules of gancore that a module imports."""
    for node in import_statements(tree, typing=typing, deferred=deferred):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
            continue
        for alias in node.names:
            submodule = f"{node.module}.{alias.name}"
            if submodule in modules:
                yield submodule
            elif node.module in modules:
                yield node.module


def import_statements(node, *, typing, deferred):
    """Yield the import statements below a node, without those that do not count."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
            continue
        skipped = is_type_checking(child) and not typing
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            skipped = not deferred
        if not skipped:
            yield from import_statements(child, typing=typing, deferred=deferred)


def is_type_checking(node):
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def reachable(start, edges):
    """Return the modules that can be reached from one by following imports."""
    seen = set()
    waiting = [*edges[start]]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += edges[name]
    return seen
