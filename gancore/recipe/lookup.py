"""Find recipes: those that distributions publish and files."""

from __future__ import annotations

from pathlib import Path

from gancore.errors import UsageError, did_you_mean, spelt
from gancore.plugins.discovery import entries, meant
from gancore.plugins.inspection import spec_of
from gancore.recipe.toml import Recipe, read_recipe

RECIPES = "gancore.recipes"


def recipe_files() -> dict[str, Path]:
    """Find published recipes: the TOML files in packages of entry points `gancore.recipes`.

    A recipe goes by the stem of its file.
    """
    files: dict[str, Path] = {}
    for entry, _ in entries():
        if entry.group != RECIPES:
            continue
        spec = spec_of(entry.module)
        if spec is None or not spec.submodule_search_locations:
            continue
        folder = Path(next(iter(spec.submodule_search_locations)))
        for path in sorted(folder.glob("*.toml")):
            files[path.stem] = path
    return files


def recipe_name(given: str) -> str:
    """Return the published recipe's name that a user wrote with `_` for `-`, or what was given."""
    files = recipe_files()
    if given in files:
        return given
    for name in files:
        if spelt(name) == spelt(given):
            return name
    return given


def recipe_chain(given: str) -> list[Recipe]:
    """Read a recipe by file or by published name, and those it extends; the lowest comes first.

    A file that a recipe extends is looked for beside it.

    Raises UsageError for a name that does not exist, and for recipes that extend each other.
    """
    path, recipe = _find(given, Path(), f"--recipe {given}")
    chain = [recipe]
    # by resolved path, because `./base.toml` is `base.toml`
    seen = {path.resolve()}
    while wanted := chain[0].extends:
        where = f"extends, in {chain[0].name}"
        path, recipe = _find(wanted, path.parent, where)
        chain.insert(0, recipe)
        if path.resolve() in seen:
            what = f"recipe {wanted} extends itself"
            raise UsageError(what, where=where, fix="leave `extends` out")
        seen.add(path.resolve())
    return chain


def _find(wanted: str, folder: Path, where: str) -> tuple[Path, Recipe]:
    """Read the recipe that `wanted` names, a file below `folder` or a published one."""
    if wanted.endswith(".toml"):
        return folder / wanted, read_recipe(folder / wanted)
    published = recipe_files()
    name = recipe_name(wanted)
    if name not in published:
        near = did_you_mean(wanted, published) or meant(wanted, guess=False)
        fix = near or f"`gan recipes` lists the {len(published)} there are; a file ends in .toml"
        raise UsageError(f"no recipe is called {wanted!r}", where=where, fix=fix)
    return published[name], read_recipe(published[name], f"recipe {name}")
