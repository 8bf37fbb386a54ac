# SPDX-License-Identifier: GPL-3.0-or-later
"""The ladder on paper: Markdown for people, JSON with all that decided it."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .ladder import (
    BOOTSTRAP_DRAWS,
    DIVERSITY,
    FEW_CLIPS,
    FID,
    MM_DIST,
    MODALITY,
    R_PRECISION,
    separated,
)
from .metrics import POOL, Estimate, repeat_interval

FORMAT = "t2m_blender ladder 1"
_COLUMNS = (*R_PRECISION, FID, MM_DIST, DIVERSITY, MODALITY)
_SHORT = ("R1 ↑", "R2 ↑", "R3 ↑", "FID ↓", "MM-Dist ↓", "Diversity →", "MModality")


@dataclass(frozen=True, eq=False)
class Ladder:
    """All that an evaluation found.

    Attributes:
        dataset, split: What was asked about.
        clips, captions: How many; each caption of each clip counts.
        resampled: The protocol; see `training.ladder`.
        repeats, seed: Of it.
        evaluator: Name, file's sha256 and embedding size.
        rows: Label -> figures of the embeddings, real motion first.
        quality: Label -> what an animator sees.
        noise_floor: FIDs of two random halves of the real clips.
        sources: Label -> file's sha256 and sampling.
        checksums: File of the dataset -> sha256.
        published: Rows of the papers, where they compare.
    """

    dataset: str
    split: str
    clips: int
    captions: int
    resampled: bool
    repeats: int
    seed: int
    evaluator: dict[str, Any]
    rows: dict[str, dict[str, Estimate]]
    quality: dict[str, dict[str, Estimate]]
    noise_floor: tuple[float, ...]
    sources: dict[str, dict[str, Any]]
    checksums: dict[str, str]
    published: dict[str, dict[str, float]] = field(default_factory=dict)


def ladder_to_json(ladder: Ladder) -> str:
    """The same ladder always gives the same text; there is no date in it."""
    content = {"format": FORMAT, **asdict(ladder)}
    content["pool"], content["bootstrap_draws"] = POOL, BOOTSTRAP_DRAWS
    content["orderings"] = separated(ladder.rows)
    content["versions"] = _versions()
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def ladder_to_markdown(ladder: Ladder, picture: str | None = None) -> str:
    """The tables with their intervals, what they allow to say, and how they were made."""
    floor = float(np.mean(ladder.noise_floor))
    text = [f"# {ladder.dataset}, split {ladder.split}", "", *_protocol(ladder), ""]
    rows = {
        label: [_shown(row.get(name), 3) for name in _COLUMNS] for label, row in ladder.rows.items()
    }
    for label, published in ladder.published.items():
        rows[f"*{label}* (published)"] = [
            f"{published[name]:.3f}" if name in published else "" for name in _COLUMNS
        ]
    text += _table(("", *_SHORT), rows)
    text += [
        "",
        f"Noise floor: two random halves of the real clips ({ladder.clips // 2} each) are "
        f"{floor:.3f} ± {repeat_interval(ladder.noise_floor):.3f} apart in FID. A model's FID is "
        "measured on more motions than a half has, and rebuilt clips are the same clips: both "
        "may lie lower.",
    ]
    size = ladder.evaluator["embedding_size"]
    if ladder.clips <= size:
        text += [
            "",
            f"With {ladder.clips} clips and {size} numbers an embedding, covariances are singular: "
            "FID is exact for these motions and says little about others.",
        ]
    text += ["", "## What an animator sees", "", *_quality(ladder)]
    said = separated(ladder.rows)
    text += ["", "## What the intervals allow to say", ""]
    text += [f"- {sentence}" for sentence in said] or ["Nothing: all intervals overlap."]
    text += ["", "Two rows are ordered only where their bootstrap intervals do not overlap."]
    if picture:
        text += ["", "## Pictures", "", f"![real and generated motion]({picture})"]
    return "\n".join([*text, "", "## Made of", "", *_made_of(ladder)]) + "\n"


def _protocol(ladder: Ladder) -> list[str]:
    asked = f"{ladder.clips} clips, {ladder.captions} captions, {ladder.repeats} repeats"
    if ladder.resampled:
        how = (
            f"This is a small set (under {FEW_CLIPS} clips): every caption is asked in every "
            f"repeat, each in a pool of its own motion and one of each of {POOL - 1} other clips, "
            "drawn anew; mirrored copies are left out. Diversity is the mean distance of all pairs "
            "of motions of different clips."
        )
    else:
        how = (
            "As published: every clip once a repeat with one of its captions, in random order, in "
            f"pools of {POOL}, the last rest dropped; Diversity of 300 pairs."
        )
    return [
        f"{asked}, seed {ladder.seed}. {how} Chance is "
        f"{', '.join(f'{k / POOL:.3f}' for k in (1, 2, 3))} for R1, R2, R3.",
        "",
        "± is the published 95 % interval (1.96 sigma over the repeats' root), for the choice of "
        f"pools and random numbers; [ , ] the 95 % interval of {BOOTSTRAP_DRAWS} bootstrap draws "
        "of the clips.",
        "",
        f"Evaluator: {ladder.evaluator['name']}. Its numbers compare with those of the same "
        "evaluator only.",
    ]


def _quality(ladder: Ladder) -> list[str]:
    names = list(dict.fromkeys(name for row in ladder.quality.values() for name in row))
    columns = list(ladder.quality)
    table = {
        name: [_shown(ladder.quality[label].get(name), 2) for label in columns] for name in names
    }
    return [
        *_table(("", *columns), table),
        "",
        "Of the first repeat, on joints as the networks wrote them, before anything is cleaned up; "
        "finished: as they are shown, with limbs of one length and planted feet held.",
    ]


def _made_of(ladder: Ladder) -> list[str]:
    lines = [f"- {name}: {value}" for name, value in _versions().items()]
    lines += [f"- evaluator: sha256 {ladder.evaluator['sha256']}"]
    for label, source in ladder.sources.items():
        lines.append(f"- {label}: " + ", ".join(f"{key} {value}" for key, value in source.items()))
    return lines + [f"- {name}: sha256 {value}" for name, value in ladder.checksums.items()]


def _table(header: Sequence[str], rows: Mapping[str, Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *([label, *cells] for label, cells in rows.items())]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _shown(estimate: Estimate | None, digits: int) -> str:
    if estimate is None:
        return ""
    value, low, high = (
        f"{number:.{digits}f}" for number in (estimate.value, estimate.low, estimate.high)
    )
    around = "" if estimate.repeat is None else f" ± {estimate.repeat:.{digits}f}"
    return f"{value}{around} [{low}, {high}]"


def _versions() -> dict[str, str]:
    return {
        "t2m_blender": _commit(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
    }


def _commit() -> str:
    """Of a checkout the commit, with "+" where files differ; of an installation the version."""
    folder = Path(__file__).resolve().parents[1]
    if not (folder / ".git").exists():
        try:
            return f"version {metadata.version('t2m_blender')}"
        except metadata.PackageNotFoundError:
            return "unknown: neither a git checkout nor installed"
    try:
        head, changed = (
            subprocess.run(
                ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
            ).stdout.strip()
            for arguments in (
                ("rev-parse", "HEAD"),
                ("status", "--porcelain", "--", "training", "t2m_blender"),
            )
        )
    except (OSError, subprocess.CalledProcessError) as error:
        return f"unknown: git does not answer ({type(error).__name__})"
    return f"commit {head}" + ("+" if changed else "")
