# SPDX-License-Identifier: GPL-3.0-or-later
"""The other door: `python -m training prepare|inspect|train-vqvae|train-gpt ...`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from t2m_blender.engine.checkpoint import WEIGHTS
from t2m_blender.engine.errors import T2MError


def main(argv: list[str] | None = None) -> int:
    """Runs one command.

    Exit status: 0 done, 2 bad usage or input, 3 faulty items were left out, 130 interrupted.
    """
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except T2MError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _parser() -> argparse.ArgumentParser:
    from .checks import nearest
    from .checks import run as checks
    from .data import augment, inspection_report, merge, prepare

    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("prepare", help="turn motion capture and captions into a dataset")
    prepare.add_arguments(command)
    command.set_defaults(run=prepare.run)

    command = commands.add_parser("merge", help="make several datasets into one")
    merge.add_arguments(command)
    command.set_defaults(run=merge.run)

    command = commands.add_parser("augment", help="make more training clips of those in a dataset")
    augment.add_arguments(command)
    command.set_defaults(run=augment.run)

    command = commands.add_parser("inspect", help="tell what is in a dataset: counts, outliers ...")
    inspection_report.add_arguments(command)
    command.set_defaults(run=inspection_report.run)

    command = commands.add_parser("check-prompts", help="does a model do what it is asked")
    checks.add_arguments(command)
    command.set_defaults(run=checks.run)

    command = commands.add_parser("nearest", help="how far is what a model makes from its data")
    nearest.add_arguments(command)
    command.set_defaults(run=nearest.run)

    command = commands.add_parser("train-vqvae", help="stage 1: motion <-> tokens")
    _add_common(command)
    _add_board(command)
    command.add_argument(
        "--start-from", type=Path, metavar="FILE",
        help="vqvae.safetensors of another run, to learn on from there",
    )  # fmt: skip
    command.add_argument(
        "--decoder-only", action="store_true",
        help="with --start-from: the tokens stay what they are, and a GPT trained on them right",
    )  # fmt: skip
    command.set_defaults(run=_train_vqvae)

    command = commands.add_parser("train-gpt", help="stage 2: text -> tokens; writes the model")
    _add_common(command)
    _add_board(command)
    command.add_argument(
        "--vqvae", type=Path, required=True,
        help="vqvae.safetensors of stage 1, or a model whose stage 1 is used",
    )  # fmt: skip
    command.add_argument(
        "--start-from", type=Path, metavar="FILE",
        help="model.safetensors of another run with tokens like these, to learn on from there",
    )  # fmt: skip
    command.add_argument("--licence", default="", help="of the weights (as the data's)")
    command.set_defaults(run=_train_gpt)

    command = commands.add_parser("train-text", help="a model learns to read its wordings")
    _add_common(command)
    command.add_argument(
        "--start-from", type=Path, required=True, metavar="FILE",
        help="model.safetensors of train-gpt, whose text encoder is changed",
    )  # fmt: skip
    command.set_defaults(run=_train_text)

    command = commands.add_parser("import-official", help="a model of published T2M-GPT files")
    command.add_argument("vqvae", type=Path, help="published VQ-VAE, such as VQVAE/net_last.pth")
    command.add_argument("gpt", type=Path, help="published GPT, such as net_best_fid.pth")
    command.add_argument("-o", "--output", type=Path, required=True, help="MODEL.safetensors")
    command.add_argument("--mean", type=Path, help="mean.npy (default: beside the VQ-VAE)")
    command.add_argument("--std", type=Path, help="std.npy (default: beside the VQ-VAE)")
    command.add_argument("--heads", type=int, default=16, help="of the GPT's attention (16)")
    command.add_argument("--weights", choices=WEIGHTS, default="fp32", help="of the file (fp32)")
    command.set_defaults(run=_import_official)

    command = commands.add_parser("narrow", help="the same model in a smaller file")
    command.add_argument("model", type=Path, help="MODEL.safetensors, as trained or imported")
    command.add_argument("-o", "--output", type=Path, required=True, help="the smaller file")
    command.add_argument("--weights", choices=WEIGHTS[:2], default="int8", help="(int8)")
    command.set_defaults(run=_narrow)

    command = commands.add_parser("blend", help="a model between two, one learnt on from the other")
    command.add_argument("first", type=Path, help="MODEL.safetensors, before")
    command.add_argument("second", type=Path, help="MODEL.safetensors that learnt on from it")
    command.add_argument("-o", "--output", type=Path, required=True, help="the model between")
    command.add_argument("--share", type=float, default=0.5, help="of the second's weights (0.5)")
    command.add_argument("--weights", choices=WEIGHTS[:2], default="int8", help="(int8)")
    command.set_defaults(run=_blend)

    command = commands.add_parser("fetch-clip", help="download CLIP for the text (338 MB, MIT)")
    command.add_argument("-o", "--output", type=Path, help="encoder file (default: beside MiniLM)")
    command.add_argument("--vocabulary", type=Path, help="default: of the package openai-clip")
    command.add_argument("--url", help="another place of ViT-B-32.pt")
    command.set_defaults(run=_fetch_clip)

    command = commands.add_parser("train-evaluator", help="text <-> motion, for evaluate")
    _add_common(command)
    command.set_defaults(run=_train_evaluator)

    command = commands.add_parser("evaluate", help="real, rebuilt and generated motion, measured")
    _add_evaluate(command)
    command.set_defaults(run=_evaluate)
    return parser


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("data", type=Path, help="dataset folder made by prepare")
    command.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")
    command.add_argument("--config", default="embedded", help="name or .toml path (embedded)")
    command.add_argument("--device", default="cpu", help="torch device: cpu, cuda, mps ... (cpu)")


def _add_board(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--tensorboard", action="store_true", help="curves and motions in -o/board"
    )


def _add_evaluate(command: argparse.ArgumentParser) -> None:
    command.add_argument("data", type=Path, help="dataset folder made by prepare")
    command.add_argument("-o", "--output", type=Path, required=True, help="folder of the report")
    command.add_argument(
        "--evaluator", type=Path, required=True, metavar="FILE",
        help="evaluator.safetensors of train-evaluator, or the published finest.tar",
    )  # fmt: skip
    for name, files in (
        ("statistics", "mean.npy and std.npy"),
        ("glove", "our_vab_data.npy ..."),
        ("texts", "texts/ or texts.zip"),
    ):
        text = f"with finest.tar: the folder that holds {files}"
        command.add_argument(f"--{name}", type=Path, metavar="FOLDER", help=text)
    command.add_argument(
        "--vqvae", type=Path, metavar="FILE", help="vqvae.safetensors (that of the first model)"
    )
    command.add_argument(
        "--model", action="append", default=[], metavar="[LABEL=]FILE",
        help="a model to measure; may be given several times",
    )  # fmt: skip
    command.add_argument("--guidance", type=float, help="of all models (each its own)")
    command.add_argument("--temperature", type=float, help="of all models (each its own)")
    command.add_argument("--split", default="test", choices=("train", "val", "test"), help="(test)")
    command.add_argument("--repeats", type=int, default=20, help="(20)")
    command.add_argument("--seed", type=int, default=0, help="of everything random (0)")
    command.add_argument(
        "--show", action="append", default=[], metavar="CLIP",
        help="a clip for the page of pictures; may be given several times (six at random)",
    )  # fmt: skip
    command.add_argument("--device", default="cpu", help="torch device: cpu, cuda, mps ... (cpu)")


def _train_vqvae(arguments: argparse.Namespace) -> int:
    from .config import read_config
    from .train_vqvae import train_vqvae

    config = read_config(arguments.config)
    file = train_vqvae(
        config,
        arguments.data,
        arguments.output,
        start_from=arguments.start_from,
        decoder_only=arguments.decoder_only,
        device=arguments.device,
        board=arguments.tensorboard,
    )
    print(file)
    return 0


def _train_gpt(arguments: argparse.Namespace) -> int:
    from .config import read_config
    from .train_gpt import train_gpt

    config = read_config(arguments.config)
    file = train_gpt(
        config,
        arguments.data,
        arguments.vqvae,
        arguments.output,
        start_from=arguments.start_from,
        licence=arguments.licence,
        device=arguments.device,
        board=arguments.tensorboard,
    )
    print(file)
    return 0


def _train_text(arguments: argparse.Namespace) -> int:
    from .config import read_config
    from .train_text import train_text

    config = read_config(arguments.config)
    file = train_text(
        config, arguments.data, arguments.start_from, arguments.output, device=arguments.device
    )
    print(file)
    return 0


def _train_evaluator(arguments: argparse.Namespace) -> int:
    from .config import read_config
    from .train_evaluator import train_evaluator

    config = read_config(arguments.config)
    print(train_evaluator(config, arguments.data, arguments.output, device=arguments.device))
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    from .evaluate import run

    return run(arguments)


def _import_official(arguments: argparse.Namespace) -> int:
    from .import_official import import_official

    import_official(
        arguments.vqvae,
        arguments.gpt,
        arguments.output,
        mean=arguments.mean,
        std=arguments.std,
        heads=arguments.heads,
        weights=arguments.weights,
    )
    print(arguments.output)
    return 0


def _blend(arguments: argparse.Namespace) -> int:
    from .blend import blend_models

    blend_models(
        arguments.first,
        arguments.second,
        arguments.output,
        share=arguments.share,
        weights=arguments.weights,
    )
    print(arguments.output)
    return 0


def _narrow(arguments: argparse.Namespace) -> int:
    from .narrow import narrow_model

    narrow_model(arguments.model, arguments.output, weights=arguments.weights)
    before, after = (file.stat().st_size / 1e6 for file in (arguments.model, arguments.output))
    print(f"{arguments.output}: {after:.1f} MB, of {before:.1f}")
    return 0


def _fetch_clip(arguments: argparse.Namespace) -> int:
    from .fetch_clip import fetch_clip

    print(fetch_clip(arguments.output, url=arguments.url, vocabulary=arguments.vocabulary))
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    if "bpy" in sys.modules:  # with Blender loaded, Python's own winding down may hang or crash
        os._exit(status)
    sys.exit(status)
