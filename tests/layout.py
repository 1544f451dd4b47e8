"""The import graph of largen: who imports whom, arrows that point upwards, circles, and sizes.

Run as a script it prints the counts for a folder: `python tests/layout.py src/largen`.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path


def modules(root: Path) -> dict[str, Path]:
    """Dotted names of the modules below a package's folder, `` for the package itself."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(tree: ast.AST, known: set[str]) -> Iterator[str]:
    """Modules of largen that a syntax tree imports, wherever; what only a type checker reads does not count."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").split(".")[0] == "largen":
            base = node.module.removeprefix("largen").removeprefix(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}".removeprefix(".")
                yield inner if inner in known else base
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "largen":
                    yield alias.name.removeprefix("largen").removeprefix(".")
        else:
            yield from imports(node, known)


def graph(root: Path) -> dict[str, set[str]]:
    """By module, the modules of largen that it imports anywhere in its file."""
    found = modules(root)
    return {name: set(imports(ast.parse(path.read_text()), set(found))) - {name} for name, path in found.items()}


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of more than one node (Tarjan 1972)."""
    index, low, stack, on, found = {}, {}, [], set(), []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        on.add(node)
        for target in sorted(arrows.get(node, ())):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in on:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            component = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            on.difference_update(component)
            if len(component) > 1:
                found.append(sorted(component))

    for node in sorted(arrows):
        if node not in index:
            visit(node)
    return found


def boxes(arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    """The graph of the top level: entries of the package's folder, with the root as `__init__`."""
    found: dict[str, set[str]] = {}
    for name, targets in arrows.items():
        own = name.split(".")[0] or "__init__"
        ends = {target.split(".")[0] or "__init__" for target in targets}
        found.setdefault(own, set()).update(ends - {own})
    return found


def longest_function(root: Path) -> tuple[int, str]:
    """Lines and name of the longest function."""
    sizes = [
        (node.end_lineno - node.lineno + 1, f"{name}.{node.name}")
        for name, path in modules(root).items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    ]
    return max(sizes)


def report(root: Path) -> str:
    """The counts as text."""
    arrows = graph(root)
    top = boxes(arrows)
    lines = {name: len(path.read_text().splitlines()) for name, path in modules(root).items()}
    entries = [path.name for path in root.iterdir() if path.name != "__pycache__" and path.suffix != ".pyc"]
    length, function = longest_function(root)
    longest = max(lines, key=lines.__getitem__)
    return "\n".join(
        [
            f"entries at the top level   {len(entries)}",
            f"arrows between them        {sum(map(len, top.values()))}",
            f"circles at the top level   {len(circles(top))} {circles(top) or ''}",
            f"circles between modules    {len(circles(arrows))} {circles(arrows) or ''}",
            f"longest file               {longest}: {lines[longest]} lines",
            f"longest function           {function}: {length} lines",
            f"lines                      {sum(lines.values())} in {len(lines)} files",
        ]
    )


if __name__ == "__main__":
    print(report(Path(sys.argv[1])))
