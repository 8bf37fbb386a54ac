# SPDX-License-Identifier: GPL-3.0-or-later
"""Every text of the extension that Blender may show, read off the sources.

`python tests/messages.py de` prints those that `languages/de.json` lacks, to be filled in.
Values that are put in while running stand as {}.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from t2m_blender.engine.skeleton import HUMANML3D

PACKAGE = ROOT / "t2m_blender"
LANGUAGES = PACKAGE / "blender" / "languages"

# Rooms and files whose errors reach the panel; the others are for terminals and trainers.
_TERMINAL = {
    *("export.py", "read_file.py", "rig_scene.py", "cli.py", "official.py", "surroundings.py"),
}
_OURS = {
    *("InputError", "CheckpointError", "OutputError", "RuntimeMissingError"),
    *("Cancelled", "OutOfMemory"),
}
# Functions that return messages, or parts of them, which others show.
_RETURNING = {
    "channels.py": {"locked_message", "held_message"},
    "pytorch.py": {"torch_state", "_broken", "device_states"},
    "model.py": {"_computing", "_misfit"},
    "runtime.py": {"choose_runtime"},
    "models.py": {"computing"},
    "text.py": {"warnings"},
    "writing.py": {"_use_less_memory"},
    "bone_map.py": {"map_bones", "bone_map_from_json", "_by_family", "_by_shape"},
    "shape.py": {"read_body"},
    "wired_controls.py": {"controls_by_wiring"},
    "rig_warnings.py": {"_astray_message"},
}
_SHOWN = {"name", "description", "text", "heading", "placeholder"}
_MADE = {"iface", "rpt"}

# Names that stand for texts.
_CONSTANTS = {"pytorch.py": {"UNKNOWN"}}
_TELLING = 7  # letters of a part of a message, as in `blender/translations.py`

Message = tuple[str, str]
"""Context and text, as Blender looks them up."""


def messages() -> dict[Message, str]:
    """Each message, and where it is."""
    found: dict[Message, str] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0]
        if room not in ("blender", "engine", "retarget") or path.name in _TERMINAL:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for line, context, text in _of_file(tree, path.name, in_blender=room == "blender"):
            if any(letter.isalpha() for letter in text.replace("{}", "")):
                found.setdefault((context, text), f"{path.name}:{line}")
    for joint in HUMANML3D.joint_names:  # the fields of the panel Rig
        found.setdefault(("*", joint.replace("_", " ").title()), "rig_panel.py")
    return found


def missing(language: str) -> dict[str, dict[str, str]]:
    """Context -> message -> "", of those that the language's file has not."""
    known = json.loads((LANGUAGES / f"{language}.json").read_text(encoding="utf-8"))
    lacking: dict[str, dict[str, str]] = {}
    for context, text in messages():
        if text not in known.get(context, {}):
            lacking.setdefault(context, {})[text] = ""
    return lacking


def templates(node: ast.AST) -> list[str]:
    """The messages that an expression may be, with {} for each value; none for what is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return ["".join(p.value if isinstance(p, ast.Constant) else "{}" for p in node.values)]
    if isinstance(node, ast.IfExp):
        return templates(node.body) + templates(node.orelse)
    if isinstance(node, ast.BoolOp):
        return [text for value in node.values for text in templates(value)]
    return []


def _of_file(tree: ast.Module, name: str, *, in_blender: bool) -> Iterator[tuple[int, str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            if getattr(node.exc.func, "id", "") in _OURS:
                yield from ((node.lineno, "*", t) for a in node.exc.args for t in templates(a))
        elif isinstance(node, ast.FunctionDef) and node.name in _RETURNING.get(name, ()):
            yield from _returned(node)
        elif isinstance(node, ast.Assign) and _named(node) in _CONSTANTS.get(name, ()):
            yield from ((node.lineno, "*", text) for text in templates(node.value))
        elif in_blender and isinstance(node, ast.Assign) and _named(node) == "_ROWS":
            rows: Any = eval(compile(ast.Expression(node.value), name, "eval"))  # plain literals
            yield from ((node.lineno, "*", label) for label, _ in rows)
        elif in_blender and isinstance(node, ast.ClassDef) and node.name.startswith("T2M_"):
            yield from _of_class(node)
        elif in_blender and isinstance(node, ast.Call):
            yield from _of_call(node)


def _named(node: ast.Assign) -> str:
    return str(getattr(node.targets[0], "id", ""))


def _returned(function: ast.FunctionDef) -> Iterator[tuple[int, str, str]]:
    """Of a function, all text but docstrings and keys: returned, put together, or a reason."""
    for node in ast.walk(function):
        kept: list[ast.AST] = []
        if isinstance(node, ast.Return | ast.Assign) and node.value is not None:
            kept = [node.value]
            if isinstance(node.value, ast.Call):
                kept = [*node.value.args, *(word.value for word in node.value.keywords)]
        elif isinstance(node, ast.Call):
            if getattr(node.func, "attr", getattr(node.func, "id", "")) in ("Choice", "append"):
                kept = list(node.args)
        elif isinstance(node, ast.ListComp | ast.GeneratorExp):
            kept = [node.elt]
        elif isinstance(node, ast.Tuple | ast.List):
            kept = list(node.elts)
        elif isinstance(node, ast.IfExp):
            kept = [node.body, node.orelse]
        for part in kept:
            for text in templates(part):
                if " " in text and ("{}" not in text or sum(map(str.isalpha, text)) >= _TELLING):
                    yield node.lineno, "*", text


def _of_class(node: ast.ClassDef) -> Iterator[tuple[int, str, str]]:
    is_operator = node.name.startswith("T2M_OT_")
    for line in node.body:
        if isinstance(line, ast.Assign) and _named(line) == "bl_label":
            context = "Operator" if is_operator else "*"
            yield from ((line.lineno, context, text) for text in templates(line.value))
    docstring = ast.get_docstring(node, clean=False)
    if is_operator and docstring:
        yield node.lineno, "*", docstring


def _of_call(node: ast.Call) -> Iterator[tuple[int, str, str]]:
    function = getattr(node.func, "attr", getattr(node.func, "id", ""))
    if function in _MADE:
        yield from ((node.lineno, "*", text) for text in templates(node.args[0]))
    shown = {word.arg: word.value for word in node.keywords if word.arg}
    if getattr(shown.get("translate"), "value", True) is False:
        return
    if function.endswith("Property") or function in ("prop", "label", "operator", "column", "menu"):
        context = "Operator" if function == "operator" else "*"
        context = getattr(shown.get("translation_context"), "value", context)
        for key in _SHOWN & shown.keys():
            where = "*" if key == "description" else context
            yield from ((node.lineno, where, text) for text in templates(shown[key]))
        items = shown.get("items")
        for item in items.elts if isinstance(items, ast.Tuple) else ():
            for where, part in zip((context, "*"), item.elts[1:3], strict=True):
                yield from ((node.lineno, where, text) for text in templates(part))


if __name__ == "__main__":
    print(json.dumps(missing(sys.argv[1]), indent=1, ensure_ascii=False))
