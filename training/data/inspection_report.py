# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m training inspect DATASET [-o FOLDER]`: a dataset, told to a person.

Without -o the summary is printed; with it, `report.md` and its pictures are written as well. Exit
status: 0 nothing wrong, 3 clips hold NaN or have broken bones (each is named), 2 no dataset.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from t2m_blender.engine.files import new_file, new_path, unwritable
from training.data.dataset import SPLITS, Clip, counts, origin_kind, read_dataset
from training.data.inspection import Inspection, inspect_dataset
from training.data.sheet import draw_sheet

WINDOW = 64  # frames that stage 1 learns from at a time
_SHOWN = 40  # items of a list in the printed summary; the report has all
_BAR = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `inspect`."""
    parser.add_argument("dataset", type=Path, help="a folder made by prepare")
    parser.add_argument("-o", "--output", type=Path, help="folder for report.md and its pictures")
    parser.add_argument("--clips", type=int, default=24, help="clips on the contact sheet (24)")
    parser.add_argument("--seed", type=int, default=0, help="of their choice (0)")


def run(arguments: argparse.Namespace) -> int:
    """Runs `inspect`; returns the exit status."""
    inspection = inspect_dataset(read_dataset(arguments.dataset))
    written = None
    if arguments.output:
        written = write_report(inspection, arguments.output, arguments.clips, arguments.seed)
    print(summary(inspection, shown=_SHOWN))
    if written:
        print(f"\n{written}")
    return 3 if any(finding.fault for finding in inspection.findings) else 0


def write_report(inspection: Inspection, folder: Path, clips: int = 24, seed: int = 0) -> Path:
    """Writes report.md, figures.png, sheet.png and, where there is any, outliers.png.

    Raises:
        OutputError: the folder cannot be written.
    """
    dataset = inspection.dataset
    broken = {finding.clip for finding in inspection.findings if finding.kind == "NaN"}
    sound = [clip for clip in inspection.originals if clip.id not in broken]
    captioned = [clip for clip in sound if clip.captions] or sound
    some = np.random.default_rng(seed).permutation(len(captioned))[: max(clips, 1)]
    by_id = {clip.id: clip for clip in dataset.clips}
    odd = dict.fromkeys(f.clip for f in inspection.findings if f.clip not in broken)
    sheets = {
        "sheet.png": ([captioned[k] for k in sorted(some)], "Clips, chosen at random"),
        "outliers.png": ([by_id[name] for name in odd][: max(clips, 1)], "Outliers"),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, (rows, _title) in sheets.items():
            if not rows:
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    text = [summary(inspection), "", "## Pictures", "", "![histograms](figures.png)", ""]
    with new_path(folder / "figures.png") as path:
        _draw_figures(inspection, path)
    for name, (rows, title) in sheets.items():
        if rows:
            with new_path(folder / name) as path:
                draw_sheet(dataset, rows, path)
            text += [f"{title} ({len(rows)}):", "", f"![{title}]({name})", ""]
    with new_file(folder / "report.md") as file:
        file.write("\n".join(text).encode())
    return folder / "report.md"


def summary(inspection: Inspection, *, shown: int | None = None) -> str:
    """The report without pictures, as Markdown; long lists are cut after `shown` items."""
    dataset = inspection.dataset
    skeleton = dataset.skeleton
    hours = sum(clip.frames for clip in dataset.clips) / skeleton.fps / 3600
    lines = [
        f"# Dataset {dataset.name}",
        "",
        f"{len(dataset.clips)} clips, {hours:.2f} hours, {skeleton.name} at {skeleton.fps:g} fps, "
        f"{skeleton.feature_size} features a frame.",
        *(f"- {note}" for note in dataset.notes),
        "",
        "| split | clips | captioned | captions | frames | hours |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for split, row in counts(dataset.clips, skeleton.fps).items():
        if row["clips"]:
            cells = ("clips", "captioned", "captions", "frames")
            numbers = " | ".join(f"{row[cell]:.0f}" for cell in cells)
            lines.append(f"| {split} | {numbers} | {row['hours']:.2f} |")
    shared = inspection.shared_sources
    lines += ["", f"Trials with clips in more than one split: {len(shared)}."]
    sections = (_lengths, _captions, _licences, _findings, _left_out)
    for section in sections:
        lines += ["", *section(inspection, shown)]
    return "\n".join(lines)


def _lengths(inspection: Inspection, shown: int | None) -> list[str]:
    lengths = inspection.lengths
    edges = np.arange(0.0, np.ceil(lengths.max()) + 1.0)
    numbers, _ = np.histogram(lengths, edges)
    lines = ["## Lengths", "", "```"]
    for start, number in zip(edges[:-1], numbers, strict=True):
        bar = "#" * int(np.ceil(_BAR * number / numbers.max()))
        lines.append(f"{start:3.0f} - {start + 1:2.0f} s {number:7}  {bar}".rstrip())
    short = [clip.id for clip in inspection.dataset.clips if clip.frames < WINDOW]
    return [
        *lines,
        "```",
        "",
        f"Shortest {lengths.min():.2f} s, median {np.median(lengths):.2f} s, longest "
        f"{lengths.max():.2f} s. {len(short)} clips are shorter than the {WINDOW} frames that "
        "stage 1 takes at a time, and teach it nothing" + _named(short, shown),
    ]


def _captions(inspection: Inspection, shown: int | None) -> list[str]:
    words, sizes = inspection.words, inspection.caption_words
    lines = ["## Captions", ""]
    if not sizes:
        return [*lines, "None."]
    once = sum(1 for number in words.values() if number == 1)
    origins = Counter(origin_kind(o) for c in inspection.originals for o in c.caption_origins)
    common = ", ".join(f"{word} {number}" for word, number in words.most_common(40))
    bare = [clip.id for clip in inspection.originals if not clip.captions]
    return [
        *lines,
        f"{len(sizes)} captions of {np.mean(sizes):.1f} words on average (at most {max(sizes)}), "
        f"{len(words)} distinct words, {once} of them used once (mirrored copies not counted).",
        "",
        "Origins: " + ", ".join(f"{name} {number}" for name, number in origins.most_common()) + ".",
        "",
        f"Most common: {common}.",
        "",
        f"{len(bare)} clips have no caption and serve stage 1 only" + _named(bare, shown),
    ]


def _licences(inspection: Inspection, shown: int | None) -> list[str]:
    dataset = inspection.dataset
    table: dict[tuple[str, str], list[Clip]] = {}
    for clip in dataset.clips:
        table.setdefault((clip.licence, clip.origin), []).append(clip)
    lines = ["## Licences", "", "| licence | origin | clips | people | hours |"]
    lines.append("|---|---|--:|--:|--:|")
    for (licence, origin), clips in sorted(table.items(), key=lambda item: -len(item[1])):
        hours = sum(clip.frames for clip in clips) / dataset.skeleton.fps / 3600
        people = len({clip.subject for clip in clips})
        lines.append(f"| {licence} | {origin} | {len(clips)} | {people} | {hours:.2f} |")
    return [*lines, "", *(text for text in (dataset.licence, dataset.credit) if text)]


def _findings(inspection: Inspection, shown: int | None) -> list[str]:
    findings = inspection.findings
    lines = ["## Faults and outliers", ""]
    if not findings:
        return [
            *lines,
            "None: no NaN, no broken bone, nobody too fast, too high or under the floor.",
        ]
    kinds = Counter(("FAULT: " if f.fault else "") + f.kind for f in findings)
    captions = {clip.id: clip.captions for clip in inspection.dataset.clips}
    lines += [", ".join(f"{kind}: {number}" for kind, number in kinds.most_common()) + ".", ""]
    lines += ["| clip | what | how much | caption |", "|---|---|---|---|"]
    for finding in findings[:shown]:
        said = (captions[finding.clip] or ("",))[0].replace("|", "/")
        kind = f"**{finding.kind}**" if finding.fault else finding.kind
        lines.append(f"| {finding.clip} | {kind} | {finding.value} | {said[:80]} |")
    if shown is not None and len(findings) > shown:
        lines.append(f"\n... and {len(findings) - shown} more (-o writes all of them).")
    return lines


def _left_out(inspection: Inspection, shown: int | None) -> list[str]:
    lines = ["## Left out by prepare", ""]
    skipped = inspection.dataset.skipped
    if not skipped:
        return [*lines, "Nothing."]
    for expected, title in ((False, "Faulty"), (True, "As planned")):
        reasons: dict[str, list[str]] = {}
        for row in skipped:
            if row.expected == expected:
                reasons.setdefault(row.reason, []).append(row.item)
        for reason, items in reasons.items():
            lines.append(f"- {title}: {reason}: {len(items)}{_named(items, shown)}")
    return lines


def _named(items: list[str], shown: int | None) -> str:
    if not items:
        return "."
    rest = "" if shown is None or len(items) <= shown else f" ... and {len(items) - shown} more"
    return f": {' '.join(items[:shown])}{rest}"


def _draw_figures(inspection: Inspection, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.0, 3.2))
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 3)
    speeds = inspection.speeds[np.isfinite(inspection.speeds)]
    splits = [clip.split for clip in inspection.dataset.clips]
    lengths = [inspection.lengths[[s == split for s in splits]] for split in SPLITS]
    panels[0].hist(lengths, bins=20, stacked=True, label=SPLITS)
    panels[0].legend(fontsize=7)
    panels[1].hist(speeds, bins=40)
    panels[2].hist(inspection.caption_words or [0], bins=range(0, 62, 2))
    titles = ("seconds a clip", "fastest moment of the root, m/s", "words a caption")
    for panel, title in zip(panels, titles, strict=True):
        panel.set_title(title, fontsize=9)
        panel.set_ylabel("clips" if title != titles[2] else "captions", fontsize=8)
        panel.tick_params(labelsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
