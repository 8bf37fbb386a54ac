# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m training evaluate DATA --evaluator FILE -o FOLDER`: the ladder of a dataset.

Real motion, clips through the VQ-VAE, and what each model generates from the captions, measured by
one evaluator. Writes ladder.md, ladder.json and pictures.png; the same seed gives the same files.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from t2m_blender.engine.checkpoint import file_sha256
from t2m_blender.engine.errors import InputError
from t2m_blender.engine.files import new_file, new_path, unwritable

from .candidate import Candidate, Rebuilder, check_skeleton, load_candidate, load_rebuilder
from .data.dataset import Clip, Dataset, read_dataset
from .data.inspection import in_metres
from .data.sheet import draw_sheet
from .evaluator import Evaluator, read_evaluator
from .ladder import Questions, questions_of
from .ladder_report import Ladder, ladder_to_json, ladder_to_markdown
from .ladder_rows import REAL, Asker, Row, drawn_seeds
from .paper_results import paper_rows
from .ranks import Ranks
from .train_vqvae import checked_dataset

_FILES = ("dataset.json", "clips.jsonl", "features.npz", "statistics.npz")


def run(arguments: argparse.Namespace) -> int:
    """Runs `evaluate`; returns the exit status."""
    if arguments.repeats < 1 or arguments.seed < 0:
        raise InputError("Give --repeats of at least 1 and a --seed not below 0.")
    device = str(Ranks(arguments.device).device)
    dataset = checked_dataset(read_dataset(arguments.data), arguments.split)
    questions = questions_of(dataset, arguments.split)
    shown = _shown_clips(questions, arguments.show, arguments.seed)
    evaluator = _evaluator(arguments, questions, device)
    check_skeleton(arguments.evaluator, evaluator.skeleton, dataset.skeleton)
    candidates = [
        load_candidate(
            *_named(given), dataset, device=device,
            guidance=arguments.guidance, temperature=arguments.temperature,
        )
        for given in arguments.model
    ]  # fmt: skip
    if len({candidate.label for candidate in candidates}) < len(candidates):
        raise InputError("Two models have one label; give each its own: --model LABEL=FILE.")
    rebuilder = None
    if arguments.vqvae:
        rebuilder = load_rebuilder(arguments.vqvae, dataset, device=device)
    elif candidates:
        rebuilder = candidates[0].rebuilder
    folder: Path = arguments.output
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error

    asker = Asker(dataset, questions, evaluator, repeats=arguments.repeats, seed=arguments.seed)
    rows = climb(asker, rebuilder, candidates)
    comparable = arguments.evaluator.suffix == ".tar" and arguments.split == "test"
    ladder = Ladder(
        dataset=dataset.name,
        split=arguments.split,
        clips=len(questions.clips),
        captions=len(questions.clip_of),
        resampled=questions.resampled,
        repeats=arguments.repeats,
        seed=arguments.seed,
        evaluator={
            "name": evaluator.name,
            "sha256": evaluator.sha256,
            "embedding_size": evaluator.embedding_size,
        },
        rows={label: row.figures for label, row in rows.items()},
        quality={label: row.quality for label, row in rows.items()}
        | {f"{label}, finished": row.finished for label, row in rows.items() if row.finished},
        noise_floor=asker.noise_floor(),
        sources={label: row.source for label, row in rows.items() if row.source},
        checksums={name: file_sha256(arguments.data / name) for name in _FILES},
        published=paper_rows(dataset.name) if comparable else {},
    )
    with new_path(folder / "pictures.png") as path:
        draw_side_by_side(dataset, shown, rebuilder, candidates, path, seed=arguments.seed)
    with new_file(folder / "ladder.json") as file:
        file.write(ladder_to_json(ladder).encode())
    text = ladder_to_markdown(ladder, "pictures.png")
    with new_file(folder / "ladder.md") as file:
        file.write(text.encode())
    print(text)
    print(folder / "ladder.md")
    return 0


def climb(
    asker: Asker, rebuilder: Rebuilder | None, candidates: Sequence[Candidate]
) -> dict[str, Row]:
    """Every row of the ladder, from real motion upwards."""
    rows = {REAL: asker.of_real()}
    if rebuilder:
        rows[rebuilder.label] = asker.of_rebuilt(rebuilder)
    for candidate in candidates:
        rows[candidate.label] = asker.of_generated(candidate)
    return rows


def draw_side_by_side(
    dataset: Dataset,
    clips: Sequence[Clip],
    rebuilder: Rebuilder | None,
    candidates: Sequence[Candidate],
    path: Path,
    *,
    seed: int,
) -> None:
    """A page of pictures: a line a clip; real, rebuilt, and each model's answer to its caption."""
    columns = {REAL: [dataset.features[clip.id] for clip in clips]}
    if rebuilder:
        columns[rebuilder.label] = [rebuilder.rebuild(clip) for clip in columns[REAL]]
    captions = [clip.captions[0] for clip in clips]
    seeds = drawn_seeds([seed, 6], len(clips))
    for candidate in candidates:
        columns[candidate.label] = candidate.generate(
            captions, seeds, on_progress=lambda done: None
        )
    rows, features = [], {}
    for label, made in columns.items():
        for clip, array in zip(clips, made, strict=True):
            name = f"{label}, {clip.id}"
            rows.append(replace(clip, id=name, frames=len(array), source=""))
            features[name] = array
    page = in_metres(replace(dataset, clips=tuple(rows), features=features))
    draw_sheet(page, rows, path, columns=len(columns))


def _evaluator(arguments: argparse.Namespace, questions: Questions, device: str) -> Evaluator:
    own_files = ("statistics", "glove", "texts")
    given = [name for name in own_files if getattr(arguments, name)]
    if arguments.evaluator.suffix != ".tar":
        if given:
            raise InputError(f"--{given[0]} goes with the published finest.tar only.")
        return read_evaluator(arguments.evaluator, device=device)
    from .official_evaluator import load_official

    if len(given) < len(own_files):
        raise InputError("The published evaluator needs --statistics, --glove and --texts as well.")
    return load_official(
        arguments.evaluator,
        statistics=arguments.statistics,
        glove=arguments.glove,
        texts=arguments.texts,
        clips=questions.clips,
    )


def _named(given: str) -> tuple[str, Path]:
    label, _, file = given.rpartition("=")
    return label or Path(file).stem, Path(file)


def _shown_clips(questions: Questions, wanted: Sequence[str], seed: int) -> list[Clip]:
    by_id = {clip.id: clip for clip in questions.clips}
    missing = [name for name in wanted if name not in by_id]
    if missing:
        raise InputError(f"There is no clip {missing[0]} among those asked about, to be shown.")
    if wanted:
        return [by_id[name] for name in wanted]
    drawn = np.random.default_rng([seed, 7]).permutation(len(questions.clips))[:6]
    return [questions.clips[k] for k in sorted(drawn)]
