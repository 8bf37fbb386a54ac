# SPDX-License-Identifier: GPL-3.0-or-later
"""What an extension may not do, read off its sources; tests/install tries it out."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "t2m_blender"
NETWORK = {
    "socket",
    "ssl",
    "urllib",
    "http",
    "requests",
    "ftplib",
    "smtplib",
    "xmlrpc",
    "webbrowser",
}
RUNS_CODE = {"pickle", "marshal", "shelve", "dill", "joblib", "subprocess", "pip", "ensurepip"}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def _imported(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").split(".")[0])
    return names


def _calls(tree: ast.AST) -> list[tuple[str, ast.Call]]:
    return [(ast.unparse(n.func), n) for n in ast.walk(tree) if isinstance(n, ast.Call)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_source_keeps_the_rules(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not _imported(tree) & NETWORK, "the manifest asks for no network permission"
    # the one exception: the class of an error that torch.load raises
    allowed = {"pickle"} if path.name in ("official.py", "plain_pickle.py") else set()
    assert not _imported(tree) & RUNS_CODE - allowed
    for name, call in _calls(tree):
        assert name not in ("eval", "exec", "__import__", "os.system"), f"line {call.lineno}"
        assert not name.startswith(("sys.path.", "pickle.")), f"line {call.lineno}"
        if name == "torch.load":
            safe = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            assert safe.get("weights_only") == "True", f"line {call.lineno}"
        if name == "np.load":
            loose = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            assert loose.get("allow_pickle", "False") == "False", f"line {call.lineno}"
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else []
        assert not [t for t in targets if ast.unparse(t).startswith("sys.path")], "edits sys.path"
