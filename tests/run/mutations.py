"""`mutations.py FILE...`: one JSON object per line for each small change that cosmic-ray can make to these files.

It runs in an environment of its own, which has cosmic-ray (requirements/mutants.txt) and nothing of the project.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

UNOBSERVABLE = {"core/RemoveDecorator"}
"""The tests of mutants run without the compiler, so that a loop is the same with its decorator and without."""


def mutations(source: str) -> Iterator[tuple[str, int, str]]:
    """Operator, line and the changed source, of each change that a program can observe."""
    nodes = list(ast_nodes(get_ast(source)))
    before = behaviour(source)
    for name in operator_names():
        operator_class = get_operator(name)
        if name in UNOBSERVABLE or operator_class.arguments():
            continue
        operator = operator_class()
        lines = [start[0] for node in nodes for start, _ in operator.mutation_positions(node)]
        for occurrence, line in enumerate(lines):
            changed = mutate_code(source, operator, occurrence)
            if changed is not None and behaviour(changed) not in {None, before}:
                yield name, line, changed


def behaviour(source: str) -> str | None:
    """The syntax tree without annotations; None where it is no Python."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return ast.dump(tree)


if __name__ == "__main__":
    for file in sys.argv[1:]:
        for name, line, changed in mutations(Path(file).read_text("utf-8")):
            print(json.dumps({"file": file, "operator": name, "line": line, "source": changed}))
