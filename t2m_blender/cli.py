# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line, the same in a terminal and in Blender: options in, files and a status out.

Everything that can be refused is refused before the model is loaded, and the model is asked before
anything is written. What there is to say goes to standard error; standard output is empty, or JSON
where that was asked for.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from . import version
from .batch import make_batch
from .batch_rows import read_rows
from .engine.errors import InputError, OutputError, T2MError
from .engine.generated import Part
from .engine.runtime import DEVICES, RUNTIMES
from .engine.skeleton import HUMANML3D
from .manifest import MANIFEST, Shard, read_manifests
from .output import SUFFIXES, check_rig, check_suffix, check_target, write_output
from .recipe import (
    Recipe,
    check_recipe,
    make_motions,
    read_count,
    read_number,
    read_parts,
    read_rig,
    read_seconds,
    read_seed,
)
from .telling import Teller

if TYPE_CHECKING:
    from .engine.generate import TextToMotion

__all__ = ["main"]

DONE, BAD_INPUT, ROWS_FAILED, INTERRUPTED = 0, 2, 3, 130
SCENE_RATE = 24.0
"""Frames a second of a new scene, for --frames where no scene is open."""
_EPILOG = f"""\
Several PROMPTs make one motion, one after the other; "...@2.5" gives a prompt 2.5 seconds.

The suffix of OUT chooses the format: {" ".join(SUFFIXES)}. A single OUT is what you
named: a file of that name is replaced, at the very end and whole; with --takes the files are
NAME-1.SUFFIX, NAME-2.SUFFIX ... With --batch, OUT is a folder (made if its parent exists): files
are OUT/ID.SUFFIX, and OUT/{MANIFEST} has every recipe. Rows that it has finished with the same
recipe are skipped, rows with another recipe are made again. Files that no manifest knows are left
alone without --overwrite.

Exit status: 0 all done, 2 bad usage or input, 3 some rows of a batch failed, 130 interrupted."""


def main(argv: Sequence[str] | None = None, *, in_blender: bool = False) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; None takes them from `sys.argv`.
        in_blender: Whether a Blender with a scene runs us, whose frame rate then counts.

    Returns:
        The exit status.
    """
    tell = Teller()
    try:
        options = _parser(in_blender).parse_intermixed_args(argv)
        tell = Teller(quiet=options.quiet, as_json=options.json)
        run = _run_one if options.batch is None else _run_batch
        return run(options, tell, in_blender)
    except T2MError as error:
        tell.complain(f"error: {error}")
        return BAD_INPUT
    except KeyboardInterrupt:
        tell.complain("interrupted: what is finished stays")
        return INTERRUPTED
    except SystemExit as leaving:  # argparse has printed its help or the version
        return leaving.code if isinstance(leaving.code, int) else DONE


def _run_one(options: argparse.Namespace, tell: Teller, in_blender: bool) -> int:
    if not options.prompt:
        raise InputError('There is no PROMPT: write one in quotes, "a person walks forward".')
    for name in ("format", "shard"):
        if getattr(options, name) is not None:
            raise InputError(f"--{name} is for --batch: here there is one OUT, with its suffix.")
    recipe = replace(_defaults(options, in_blender), parts=read_parts(options.prompt))
    length = _length(options, in_blender)
    if length is not None:
        recipe = recipe.with_length(length)
    recipes = recipe.takes(read_count("takes", options.takes))
    target = _output(options)
    check_suffix(target.suffix)
    check_rig(recipe.rig, [target.suffix])
    targets = [target] if len(recipes) == 1 else _numbered(target, len(recipes))
    for path in targets:
        check_target(path)
    model = _load_model(options)
    check_recipe(recipe, model)
    motions = make_motions(recipes, model, on_progress=tell.progress)
    for warning in dict.fromkeys(text for made in motions for text in made.warnings):
        tell.complain(f"warning: {warning}")
    tell.say(_computing(model))
    for one, made, path in zip(recipes, motions, targets, strict=True):
        write_output(made, path, frames=one.frames, rig=one.rig)
        tell.say(f"wrote {path}: {made.motion.seconds:g} s, seed {made.seed}")
        tell.result(
            {"file": str(path), "length": made.motion.seconds}
            | one.as_json()
            | {"guidance": made.guidance, "temperature": made.temperature}
            | {"model": made.model_name, "model_sha256": made.model_sha256}
            | {"version": version(), "warnings": list(made.warnings)}
        )
    return DONE


def _run_batch(options: argparse.Namespace, tell: Teller, in_blender: bool) -> int:
    if options.prompt:
        raise InputError("A PROMPT and --batch do not go together: put the prompt in the file.")
    defaults = _defaults(options, in_blender)
    defaults = replace(defaults, parts=(Part("", _length(options, in_blender)),))
    shard = None if options.shard is None else Shard.read(options.shard)
    rows = read_rows(options.batch, defaults, takes=read_count("takes", options.takes))
    rows = rows if shard is None else rows[shard.rows]
    names = (options.format or "npz").split(",")
    suffixes = [check_suffix("." + name.strip().lstrip(".")) for name in dict.fromkeys(names)]
    check_rig(defaults.rig, suffixes)
    folder = _output(options)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file: with --batch, name a folder.")
    check_target(folder / MANIFEST if folder.is_dir() else folder)
    read_manifests(folder)
    model = _load_model(options)
    tell.say(_computing(model))
    failed = make_batch(
        rows,
        folder,
        suffixes,
        model=model,
        overwrite=options.overwrite,
        tell=tell,
        shard=shard,
    )
    tell.say(f"{len(rows) - failed} of {len(rows)} rows are in {folder}")
    return ROWS_FAILED if failed else DONE


def _defaults(options: argparse.Namespace, in_blender: bool) -> Recipe:
    """What the line says of every motion but its prompt and length."""
    settings = {
        name: None if value is None else read_number(name, value)
        for name, value in (("guidance", options.guidance), ("temperature", options.temperature))
    }
    rig = None if options.rig is None else read_rig(options.rig)
    if rig is not None and rig.file is None and not in_blender:
        raise InputError(f"There is no open file with {rig} in it: name FILE.blend:{rig}.")
    return Recipe(
        parts=(),
        seed=read_seed(options.seed),
        frames=None if options.frames is None else read_count("frames", options.frames),
        loop=options.loop,
        in_place=options.in_place,
        foot_lock=not options.no_foot_lock,
        rig=rig,
        **settings,
    )


def _length(options: argparse.Namespace, in_blender: bool) -> float | None:
    """Seconds, where the line asks for a length."""
    if options.seconds is not None and options.frames is not None:
        raise InputError("--seconds and --frames both name the length: give one of them.")
    if options.seconds is not None:
        return read_seconds(options.seconds)
    if options.frames is not None:
        frames = read_count("frames", options.frames)
        return max(frames / _scene_rate(in_blender), 1 / HUMANML3D.fps)
    return None


def _numbered(target: Path, count: int) -> list[Path]:
    """A file for every take."""
    return [target.with_stem(f"{target.stem}-{take}") for take in range(1, count + 1)]


def _output(options: argparse.Namespace) -> Path:
    if not options.output:
        what = "a folder" if options.batch is not None else "a file, such as -o walk.blend"
        raise InputError(f"There is no output: name {what} with -o.")
    return Path(options.output)


def _load_model(options: argparse.Namespace) -> TextToMotion:
    from .engine.generate import load_model

    return load_model(options.model, runtime=options.runtime, device=options.device)


def _computing(model: TextToMotion) -> str:
    return f"{model.runtime.name}: {model.choice.reason}"


def _scene_rate(in_blender: bool) -> float:
    if not in_blender:
        return SCENE_RATE
    selection = import_module(".blender.selection", __package__)
    return float(selection.scene_rate(selection.bpy.context.scene))


def _parser(in_blender: bool) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="blender -b [FILE.blend] --command t2m" if in_blender else "python -m t2m_blender",
        description="Make an animated character from a sentence.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("prompt", nargs="*", metavar="PROMPT", help="what the character does, in English")
    add("-o", "--output", metavar="OUT", help="the file, or with --batch the folder, to write")
    add("--seed", default="0", metavar="N", help="another seed gives another motion (0)")
    add("--seconds", metavar="S", help="exact length; without it the model chooses")
    add("--frames", metavar="N", help=f"exact length at the scene's rate ({SCENE_RATE:g} a second)")
    add("--takes", default="1", metavar="K", help="so many motions, of seeds N, N + 1 ... (1)")
    add("--rig", metavar="FILE[:OBJECT]", help="the armature that moves: of a .blend, .fbx or .glb "
        "file" + (", or by its name in the open file" if in_blender else ""))  # fmt: skip
    add("--loop", action="store_true", help="end in the first pose, to be repeated without a seam")
    add("--in-place", action="store_true", help="take the way over the floor out")
    add("--no-foot-lock", action="store_true", help="leave planted feet as the model made them")
    add("--guidance", metavar="G", help="how closely to follow the text (the model's own)")
    add("--temperature", metavar="T", help="how freely to vary; 0 is the likeliest motion")
    add(
        "--model", default="default", metavar="NAME|PATH", help="an embedded model or a file of one"
    )
    add("--runtime", default="auto", choices=RUNTIMES, help="what computes (the fastest here)")
    add("--device", default="auto", choices=DEVICES, help="where it computes (the fastest here)")
    add("--batch", type=Path, metavar="FILE", help="prompts: .jsonl (prompt, id, seed, seconds, "
        "rig), .csv with a header, or .txt with one a line")  # fmt: skip
    add("--format", metavar="F,F", help="with --batch: npz,blend,fbx,glb,bvh,usdc (npz)")
    add("--overwrite", action="store_true", help="with --batch: make finished rows again")
    add("--shard", metavar="i/n", help="with --batch: the rows of the i-th of n machines")
    add("--json", action="store_true", help="print every result as a line of JSON")
    add("--quiet", action="store_true", help="say nothing but warnings and errors")
    add("--version", action="version", version=f"t2m_blender {version()}")
    return parser


class _Parser(argparse.ArgumentParser):
    """Bad usage is an error like every other: one line, status 2."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}. Use --help for the options.")
