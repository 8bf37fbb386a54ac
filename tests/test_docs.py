# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages: links that lead somewhere, and figures and pictures that are of the embedded model."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from docs.scripts.card import MODEL, PAGE, filled
from docs.scripts.card_clips import CLIPS, KINDS, kind_of, shared_trials
from docs.scripts.gallery_items import items
from t2m_blender.engine.checkpoint import file_sha256
from t2m_blender.engine.model import MODELS
from training.data.dataset import Clip

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
EMBEDDED = file_sha256(MODELS / "default.safetensors")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)", text)
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_every_page_is_linked_from_another() -> None:
    linked = set()
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#\s]+\.md)", page.read_text(encoding="utf-8")):
            linked.add((page.parent / link).resolve())
    docs = {page for page in PAGES if page.parent.name == "docs"}
    assert docs <= linked, docs - linked


def test_the_gallery_is_of_the_embedded_model_and_whole() -> None:
    page = (ROOT / "docs/gallery.md").read_text(encoding="utf-8")
    assert EMBEDDED[:16] in page
    shown = re.findall(r"!\[(.*?)\]\((gallery/.*?)\)", page)
    assert shown == [(item.prompt, f"gallery/{item.file}") for item in items()]
    assert len(shown) >= 24
    files = sorted((ROOT / "docs/gallery").iterdir())
    assert sorted(item.file for item in items()) == [file.name for file in files]
    assert sum(file.stat().st_size for file in files) < 5e6


def test_the_card_is_what_its_files_say() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert filled(page) == page, "run python docs/scripts/card.py"


def test_the_figures_are_of_the_embedded_model() -> None:
    for name in ("checks.json", "nearest.json"):
        assert json.loads((MODEL / name).read_text(encoding="utf-8"))["sha256"] == EMBEDDED, name
    sources = json.loads((MODEL / "ladder.json").read_text(encoding="utf-8"))["sources"]
    assert {source["sha256"] for source in sources.values()} == {EMBEDDED}


def test_no_trial_of_val_or_test_was_trained_on() -> None:
    with (MODEL / CLIPS).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert not shared_trials(rows)
    assert {row["kind"] for row in rows} <= set(KINDS)
    assert all(row["licence"] for row in rows)
    assert (MODEL / CLIPS).stat().st_size < 400_000


@pytest.mark.parametrize(
    ("kind", "source", "licence", "origin"),
    [
        ("captured", "02_01", "CMU", "mocap.cs.cmu.edu"),
        ("repeated", "09_01", "CMU", "mocap.cs.cmu.edu, gait repeated"),
        ("keyed", "kaykit/Med_General.glb: Idle_A", "CC0-1.0", "kaykit/Med_General.glb"),
        ("changed", "16_17[0:80] at speed 0.85", "CMU", "mocap.cs.cmu.edu"),
        ("changed", "02_01[0:58] continued to 80 frames, backward", "CMU", "mocap.cs.cmu.edu"),
        ("combined", "29_03[20:90] over the legs of 02_01[0:70]", "CMU", "mocap.cs.cmu.edu"),
        ("drawn", "91_13[0:58] turned on the spot by -92 degrees", "CMU", "mocap.cs.cmu.edu"),
        ("drawn", "16_07[0:16], and points ahead[0:41] then 14_30[0:50]", "CMU", "CMU"),
    ],
)
def test_what_was_made_of_captures_is_named(
    kind: str, source: str, licence: str, origin: str
) -> None:
    clip = Clip("a", "train", (), (), source, 0, 60, 59, "CMU 02", licence, origin, False)
    assert kind_of(clip) == kind


def test_a_shared_trial_would_be_seen() -> None:
    rows = [
        {"split": "train", "clip": "02_01[0:52] then 14_30[16:60]"},
        {"split": "val", "clip": "14_30[90:140]"},
        {"split": "test", "clip": "07_02[0:60]"},
    ]
    assert shared_trials(rows) == {"14_30"}
