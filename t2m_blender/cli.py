# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line, the same in a terminal and in Blender: options in, files and a status out.

Everything that can be refused is refused before the model is loaded, and the model is asked before
anything is written. Standard output stays empty; what there is to say goes to standard error.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from . import version
from .batch import MANIFEST, make_batch, read_manifest, read_rows
from .engine.errors import InputError, OutputError, T2MError
from .engine.runtime import DEVICES, RUNTIMES
from .engine.skeleton import HUMANML3D
from .output import SUFFIXES, check_suffix, check_target, write_output
from .recipe import Recipe, read_count, read_number, read_prompt, read_seconds, read_seed

if TYPE_CHECKING:
    from .engine.generate import TextToMotion

__all__ = ["main"]

DONE, BAD_INPUT, ROWS_FAILED, INTERRUPTED = 0, 2, 3, 130
SCENE_RATE = 24.0
"""Frames a second of a new scene, for --frames where no scene is open."""
_SILENCE = 2.0  # seconds

_NOT_BUILT = (
    "--takes",
    "--rig",
    "--in-place",
    "--loop",
    "--no-foot-lock",
    "--shard",
    "--json",
)
_EPILOG = f"""\
The suffix of OUT chooses the format: {" ".join(SUFFIXES)}. A single OUT is what you
named: a file of that name is replaced, at the very end and whole. With --batch, OUT is a folder
(made if its parent exists): files are OUT/ID.SUFFIX, and OUT/{MANIFEST} has every recipe. Rows
that it has finished with the same recipe are skipped, rows with another recipe are made again.
Files that no manifest knows are left alone without --overwrite.

Exit status: 0 all done, 2 bad usage or input, 3 some rows of a batch failed, 130 interrupted.
Not built yet: {", ".join(_NOT_BUILT)}, several PROMPTs, "...@2.5", .usdc."""


def main(argv: Sequence[str] | None = None, *, in_blender: bool = False) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; None takes them from `sys.argv`.
        in_blender: Whether a Blender with a scene runs us, whose frame rate then counts.

    Returns:
        The exit status.
    """
    try:
        options = _parser(in_blender).parse_intermixed_args(argv)
        say = _silent if options.quiet else _tell
        if options.batch is not None:
            return _run_batch(options, say, in_blender)
        return _run_one(options, say, in_blender)
    except T2MError as error:
        _tell(f"error: {error}")
        return BAD_INPUT
    except KeyboardInterrupt:
        _tell("interrupted: what is finished stays")
        return INTERRUPTED
    except SystemExit as leaving:  # argparse has printed its help or the version
        return leaving.code if isinstance(leaving.code, int) else DONE


def _run_one(options: argparse.Namespace, say: Callable[[str], None], in_blender: bool) -> int:
    if not options.prompt:
        raise InputError('There is no PROMPT: write one in quotes, "a person walks forward".')
    if len(options.prompt) > 1:
        raise InputError("Several PROMPTs are not built yet: give one sentence, in quotes.")
    if options.format is not None:
        raise InputError("--format is for --batch: here the suffix of -o chooses the format.")
    recipe = _recipe(options, read_prompt(options.prompt[0]), in_blender)
    target = _output(options)
    check_target(target)
    check_suffix(target.suffix)
    model = _load_model(options)
    generated = recipe.make(model, on_progress=_teller_of_progress(say))
    for warning in generated.warnings:
        _tell(f"warning: {warning}")
    write_output(generated, target, frames=recipe.frames)
    say(_computing(model))
    say(f"wrote {target}: {generated.motion.seconds:g} s, seed {generated.seed}")
    return DONE


def _run_batch(options: argparse.Namespace, say: Callable[[str], None], in_blender: bool) -> int:
    if options.prompt:
        raise InputError("A PROMPT and --batch do not go together: put the prompt in the file.")
    defaults = _recipe(options, "", in_blender)
    rows = read_rows(options.batch, defaults)
    names = (options.format or "npz").split(",")
    suffixes = [check_suffix("." + name.strip().lstrip(".")) for name in dict.fromkeys(names)]
    folder = _output(options)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file: with --batch, name a folder.")
    check_target(folder / MANIFEST if folder.is_dir() else folder)
    read_manifest(folder)
    model = _load_model(options)
    say(_computing(model))
    failed = make_batch(
        rows, folder, suffixes, model=model, overwrite=options.overwrite, say=say, complain=_tell
    )
    say(f"{len(rows) - failed} of {len(rows)} rows are in {folder}")
    return ROWS_FAILED if failed else DONE


def _recipe(options: argparse.Namespace, prompt: str, in_blender: bool) -> Recipe:
    """Check the numbers on the line."""
    if options.seconds is not None and options.frames is not None:
        raise InputError("--seconds and --frames both name the length: give one of them.")
    seconds = frames = None
    if options.seconds is not None:
        seconds = read_seconds(options.seconds)
    if options.frames is not None:
        frames = read_count("frames", options.frames)
        seconds = max(frames / _scene_rate(in_blender), 1 / HUMANML3D.fps)
    settings = {
        name: None if value is None else read_number(name, value)
        for name, value in (("guidance", options.guidance), ("temperature", options.temperature))
    }
    return Recipe(
        prompt=prompt, seed=read_seed(options.seed), seconds=seconds, frames=frames, **settings
    )


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
    placement = import_module(".blender.placement", __package__)
    return float(placement.scene_rate(placement.bpy.context.scene))


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
    add("--guidance", metavar="G", help="how closely to follow the text (the model's own)")
    add("--temperature", metavar="T", help="how freely to vary; 0 is the likeliest motion")
    add(
        "--model", default="default", metavar="NAME|PATH", help="an embedded model or a file of one"
    )
    add("--runtime", default="auto", choices=RUNTIMES, help="what computes (the fastest here)")
    add("--device", default="auto", choices=DEVICES, help="where it computes (the fastest here)")
    add("--batch", type=Path, metavar="FILE", help="prompts: .jsonl (prompt, id, seed, seconds), "
        ".csv with a header, or .txt with one a line")  # fmt: skip
    add("--format", metavar="F,F", help="with --batch: npz,blend,fbx,glb,bvh (npz)")
    add("--overwrite", action="store_true", help="with --batch: make finished rows again")
    add("--quiet", action="store_true", help="say nothing but warnings and errors")
    add("--version", action="version", version=f"t2m_blender {version()}")
    for name in _NOT_BUILT:
        add(name, action=_Refuse, nargs="?", help=argparse.SUPPRESS)
    return parser


class _Parser(argparse.ArgumentParser):
    """Bad usage is an error like every other: one line, status 2."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}. Use --help for the options.")


class _Refuse(argparse.Action):
    """An option of the contract that waits for its issue."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        raise InputError(f"{option} is not built yet: leave it out.")


def _tell(text: str) -> None:
    print(f"t2m: {' '.join(text.split())}", file=sys.stderr, flush=True)


def _teller_of_progress(say: Callable[[str], None]) -> Callable[[int, int], None]:
    """Tell of long work now and then, and of short work nothing."""
    told = time.monotonic()

    def on_progress(done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told > _SILENCE:
            told = time.monotonic()
            say(f"generating: {done} of at most {total} tokens")

    return on_progress


def _silent(text: str) -> None:
    """Say nothing."""
