# SPDX-License-Identifier: GPL-3.0-or-later
"""Every text that the extension shows is in every dictionary, with its values."""

from __future__ import annotations

import ast
import json
import string
from pathlib import Path

import pytest

from tests.messages import LANGUAGES, PACKAGE, messages, missing, templates

LANGUAGE_FILES = sorted(path.stem for path in LANGUAGES.glob("*.json"))


def _dictionary(language: str) -> dict[str, dict[str, str]]:
    return json.loads((LANGUAGES / f"{language}.json").read_text(encoding="utf-8"))


def test_the_sources_are_read() -> None:
    found = messages()
    assert len(found) > 350
    for message in (
        ("Operator", "Generate Action"),
        ("*", "Text to Motion"),
        ("*", 'The armature "{}" is linked from another file. Make it local or make a library '
              "override first."),
        ("*", "PyTorch is not installed"),
        ("*", "Repairs frames {} to {}"),
        ("*", "Fit the Frame Range"),
    ):  # fmt: skip
        assert message in found
    assert "de" in LANGUAGE_FILES


@pytest.mark.parametrize("language", LANGUAGE_FILES)
def test_nothing_is_missing(language: str) -> None:
    lacking = missing(language)
    assert not lacking, f"python tests/messages.py {language} prints what to translate: {lacking}"


@pytest.mark.parametrize("language", LANGUAGE_FILES)
def test_nothing_is_stale_empty_or_without_its_values(language: str) -> None:
    found = messages()
    for context, texts in _dictionary(language).items():
        for text, translation in texts.items():
            assert (context, text) in found, f"nothing says {text!r} any more"
            assert translation.strip()
            fields = [part[1] for part in string.Formatter().parse(translation)]
            numbers = [field for field in fields if field is not None]
            count = text.count("{}")
            assert len(numbers) == count, text
            assert set(numbers) <= {""} or sorted(numbers) == [str(k) for k in range(count)], text


def test_what_is_put_together_goes_through_a_message() -> None:
    """No label or report is an f-string of words: Blender cannot look that up."""
    for path in sorted((PACKAGE / "blender").glob("*.py")):
        if path.name == "translations.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            function = getattr(node.func, "attr", getattr(node.func, "id", ""))
            where = f"{path.name}:{node.lineno}"
            if function in ("report", "poll_message_set"):
                texts = [text for part in node.args for text in templates(part)]
                assert not any(map(_has_words, texts)), f"{where}: {texts}"
            for word in node.keywords:
                if word.arg == "text" and isinstance(word.value, ast.JoinedStr | ast.IfExp):
                    parts = [p for p in ast.walk(word.value) if isinstance(p, ast.JoinedStr)]
                    said = [text for part in parts for text in templates(part)]
                    assert not any(map(_has_words, said)), f"{where}: {said}"
            if function in ("iface", "rpt"):
                assert isinstance(node.args[0], ast.Constant), where


def _has_words(text: str) -> bool:
    return any(len(word) > 2 and word.isalpha() for word in text.replace("{}", " ").split())


def test_translations_are_no_copies() -> None:
    same = {text for text, translation in _dictionary("de")["*"].items() if text == translation}
    prompts = {"A person ...", "Then ..."}  # English in every language
    assert prompts <= same and len(same) < 20, same


def test_the_dictionaries_are_in_the_zip() -> None:
    import build

    names = {Path(name).name for name in build.staged() if "languages" in name}
    assert {f"{language}.json" for language in LANGUAGE_FILES} <= names
