# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m training prepare SOURCE FOLDER -o OUTPUT`: the one door through which datasets come.

What it writes is described in `training.data.dataset`. Exit status: 0 everything kept that should
be, 3 some items were skipped for a fault of theirs (each is named), 2 unusable input.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from t2m_blender.engine.errors import T2MError
from training.data.amass import prepare_amass
from training.data.clips import ClipOptions, prepare_actions, prepare_clips
from training.data.cmu_dataset import prepare_cmu
from training.data.dataset import Dataset, check_output, counts, origin_kind
from training.data.published import EDITIONS, prepare_published

Progress = Callable[[int, int], None]

_NAMED = 100  # items a line of the summary


def report(dataset: Dataset) -> str:
    """Counts and what was skipped, for people."""
    lines = [f"{'split':18}{'clips':>7}{'captioned':>11}{'captions':>10}{'frames':>9}{'hours':>8}"]
    for split, row in counts(dataset.clips, dataset.skeleton.fps).items():
        if row["clips"]:
            lines.append(
                f"{split:18}{row['clips']:7}{row['captioned']:11}{row['captions']:10}"
                f"{row['frames']:9}{row['hours']:8.2f}"
            )
    origins = Counter(
        origin_kind(o) for c in dataset.clips if not c.mirrored for o in c.caption_origins
    )
    lines.append("captions by origin: " + ", ".join(f"{n} {o}" for o, n in origins.most_common()))
    lines += dataset.notes
    for expected in (True, False):
        rows = [s for s in dataset.skipped if s.expected == expected]
        reasons: dict[str, list[str]] = {}
        for s in rows:
            reasons.setdefault(s.reason, []).append(s.item)
        for reason, items in reasons.items():
            more = len(items) - _NAMED
            names = " ".join(items[:_NAMED])
            names += f" ... and {more} more, named in dataset.json" if more > 0 else ""
            lines.append(
                f"{'left out' if expected else 'SKIPPED'}: {reason}: {len(items)}: {names}"
            )
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the sources of `prepare` and their options."""
    sources = parser.add_subparsers(dest="source", required=True, metavar="SOURCE")
    for name, source in SOURCES.items():
        command = sources.add_parser(name, help=source.summary, description=source.summary)
        command.add_argument("folder", type=Path, help=source.folder)
        command.add_argument(
            "-o",
            "--output",
            type=Path,
            required=True,
            help="the dataset folder to make, or to replace as a whole",
        )
        command.add_argument("--quiet", action="store_true", help="show no progress")
        source.add_options(command)


def run(args: argparse.Namespace) -> int:
    """Runs `prepare`; returns the exit status."""

    def show(done: int, total: int) -> None:
        if done == total or done % max(total // 500, 1) == 0:
            print(f"\r{done} of {total}", end="" if done < total else "\n", file=sys.stderr)

    try:
        check_output(args.output)
        dataset = SOURCES[args.source].prepare(args, None if args.quiet else show)
    except T2MError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(report(dataset))
    return 0 if all(s.expected for s in dataset.skipped) else 3


@dataclass(frozen=True)
class Source:
    """One kind of data that `prepare` knows.

    Attributes:
        summary: what it is, for --help.
        folder: what the folder holds, for --help.
        add_options: declares the options of its own.
        prepare: makes and writes the dataset from the parsed options.
    """

    summary: str
    folder: str
    add_options: Callable[[argparse.ArgumentParser], None]
    prepare: Callable[[argparse.Namespace, Progress | None], Dataset]


def _mirror_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-mirror", action="store_true", help="add no mirrored copies")


def _cmu_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--captions", type=Path, help="captions of your own (JSON; see cmu_clips.py)"
    )
    _mirror_option(parser)


def _cmu(args: argparse.Namespace, on_progress: Progress | None) -> Dataset:
    return prepare_cmu(
        args.folder,
        args.output,
        captions=args.captions,
        mirror=not args.no_mirror,
        on_progress=on_progress,
    )


def _published_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--as-published",
        action="store_true",
        help="keep the yaw signs that the published code flips",
    )


def _published(args: argparse.Namespace, on_progress: Progress | None) -> Dataset:
    return prepare_published(
        args.folder,
        args.output,
        edition=EDITIONS[args.source],
        mend=not args.as_published,
        on_progress=on_progress,
    )


def _amass_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--body-models", type=Path, required=True, help="smplh/male/model.npz, smplh/female/..."
    )
    parser.add_argument(
        "--annotations",
        type=Path,
        required=True,
        help="HumanML3D's index.csv, train.txt, val.txt, test.txt and texts/ (or texts.zip)",
    )
    _mirror_option(parser)


def _amass(args: argparse.Namespace, on_progress: Progress | None) -> Dataset:
    return prepare_amass(
        args.folder,
        args.output,
        body_models=args.body_models,
        annotations=args.annotations,
        mirror=not args.no_mirror,
        on_progress=on_progress,
    )


def _clip_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--captions", type=Path, help="CSV with file, clip, caption ... (see clip_table.py)"
    )
    parser.add_argument("--licence", help="of the motion (from the licence file beside it)")
    parser.add_argument(
        "--shortest", type=float, default=1.0, help="seconds a clip has at least (1)"
    )
    parser.add_argument("--val", type=float, default=0.0, help="share of clips for val (0)")
    parser.add_argument("--test", type=float, default=0.0, help="share of clips for test (0)")
    _mirror_option(parser)


def _clips(args: argparse.Namespace, on_progress: Progress | None) -> Dataset:
    prepare = prepare_clips if args.source == "clips" else prepare_actions
    options = ClipOptions(not args.no_mirror, args.shortest, args.val, args.test, args.licence)
    return prepare(
        args.folder,
        args.output,
        captions=args.captions,
        options=options,
        on_progress=on_progress,
    )


SOURCES = {
    "cmu": Source(
        "CMU trials (ASF/AMC, BVH) with HumanML3D's captions and ours",
        "trials.json, pairs.json, cmu.tar.xz or NN/ folders",
        _cmu_options,
        _cmu,
    ),
    "humanml3d": Source(
        "HumanML3D as it is published",
        "new_joint_vecs/, texts/, train.txt, val.txt, test.txt",
        _published_options,
        _published,
    ),
    "kit": Source(
        "KIT-ML as it is published with HumanML3D",
        "new_joint_vecs/, texts/, train.txt, val.txt, test.txt",
        _published_options,
        _published,
    ),
    "amass": Source(
        "AMASS with SMPL-H body models and HumanML3D's annotations",
        "AMASS's sets (CMU/, KIT/ ...) and humanact12/",
        _amass_options,
        _amass,
    ),
    "clips": Source(
        "animation files (.glb, .gltf, .fbx, .bvh) read through Blender",
        "a folder of animation files",
        _clip_options,
        _clips,
    ),
    "actions": Source(
        "the Actions of a .blend file, with a caption each",
        "the .blend file",
        _clip_options,
        _clips,
    ),
}
