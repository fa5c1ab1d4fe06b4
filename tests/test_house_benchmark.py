"""What `python -m benchmarks.house` counts."""

import ast

from benchmarks.house_code import defined_names, density_of, imported_modules

TEXT = '''"""A docstring
of two lines."""

x = [y for y in z]  # a comment
# another
w = {a: [b for b in a] for a in z if a}
'''


def test_code_comments_and_comprehensions_are_counted_apart():
    assert density_of(TEXT) == {
        "lines": 6, "code": 2, "comments": 2, "long": 0, "comprehensions": 3, "dense": 1, "nested": 1
    }  # fmt: skip


def test_names_of_functions_classes_and_assignments_are_counted():
    names = defined_names(
        ast.parse("a, b = 1, 2\nc: int = 3\ndef d(): e = 4\nclass F: g = 5\nimport h")
    )
    assert list(names) == ["a", "b", "c", "d", "F"]


def test_type_imports_and_imports_in_functions_are_told_apart():
    tree = ast.parse(
        "from p import a\nif TYPE_CHECKING:\n    from p import b\ndef f():\n    from p.c import x\nimport other"
    )
    modules = ["p", "p.a", "p.b", "p.c"]
    assert list(imported_modules(tree, modules, typing=False, deferred=False)) == ["p.a"]
    assert list(imported_modules(tree, modules, typing=True, deferred=False)) == ["p.a", "p.b"]
    assert list(imported_modules(tree, modules, typing=True, deferred=True)) == [
        "p.a",
        "p.b",
        "p.c",
    ]
