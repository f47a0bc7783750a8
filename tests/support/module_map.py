"""docs/modules.md: every module with the first sentence of its docstring.

`python -m tests.support.module_map` writes the page anew; a test holds it to the code.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "modules.md"
_INTRODUCTION = """# Modules

Every module, by room, with its one-line contract. `python -m tests.support.module_map` makes this page of the
docstrings; a test holds it to them. [architecture.md](architecture.md) says how they work together, and which
room may import which.
"""
_TOPS = ("gateway", "adapters", "flags")
_FOLDERS = {
    "lua": "The scripts that Redis runs, one a file; `prelude.lua` stands before each.",
    "migrations": "The versions of the schema, one a file: more may come, none is changed.",
    "sql": "The statements of this package, one a file.",
}
"""What is in a folder without modules, by its name."""


def page() -> str:
    """The page as the code has it."""
    rooms = [room for top in _TOPS for room in _rooms(ROOT / top)]
    return "\n".join([_INTRODUCTION, *rooms])


def _rooms(folder: Path) -> Iterator[str]:
    """The sections of a package and of those within it, a package's own before them."""
    modules = sorted(file for file in folder.glob("*.py") if file.name != "__init__.py")
    lines = [f"## {folder.relative_to(ROOT)}", "", _contract(folder / "__init__.py"), ""]
    lines += [f"- `{module.name}`: {_contract(module)}" for module in modules]
    lines += [f"- `{script.name}`: {_comment(script)}" for script in sorted(folder.glob("*.js"))]
    lines += [f"- `{name}/`: {_FOLDERS[name]}" for name in sorted(_folders_without_modules(folder))]
    yield "\n".join(lines).rstrip() + "\n"
    for inner in sorted(init.parent for init in folder.glob("*/__init__.py")):
        yield from _rooms(inner)


def _folders_without_modules(folder: Path) -> Iterator[str]:
    for inner in folder.iterdir():
        if inner.is_dir() and inner.name != "__pycache__" and not (inner / "__init__.py").is_file():
            yield inner.name


def _comment(script: Path) -> str:
    """The first line of a script, which is a comment."""
    return script.read_text().partition("\n")[0].removeprefix("// ")


def _contract(module: Path) -> str:
    """The first paragraph of a docstring, to the end of its first sentence."""
    text = ast.get_docstring(ast.parse(module.read_text())) or ""
    paragraph = " ".join(text.partition("\n\n")[0].split())
    return re.split(r"(?<=[a-z)`\"]\.) (?=[A-Z])", paragraph)[0]


if __name__ == "__main__":
    PAGE.write_text(page())
