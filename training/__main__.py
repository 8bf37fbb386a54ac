# SPDX-License-Identifier: GPL-3.0-or-later
"""The other door: `python -m training prepare|inspect|train-vqvae|train-gpt ...`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from t2m_blender.engine.errors import InputError, T2MError


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
    from .data import augment, inspection_report, prepare

    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("prepare", help="turn motion capture and captions into a dataset")
    prepare.add_arguments(command)
    command.set_defaults(run=prepare.run)

    command = commands.add_parser("augment", help="make more training clips of those in a dataset")
    augment.add_arguments(command)
    command.set_defaults(run=augment.run)

    command = commands.add_parser("inspect", help="tell what is in a dataset: counts, outliers ...")
    inspection_report.add_arguments(command)
    command.set_defaults(run=inspection_report.run)

    command = commands.add_parser("train-vqvae", help="stage 1: motion <-> tokens")
    _add_common(command)
    command.set_defaults(run=_train_vqvae)

    command = commands.add_parser("train-gpt", help="stage 2: text -> tokens; writes the model")
    _add_common(command)
    command.add_argument("--vqvae", type=Path, required=True, help="vqvae.safetensors of stage 1")
    command.add_argument("--licence", default="", help="of the weights (as the data's)")
    command.set_defaults(run=_train_gpt)
    return parser


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("data", type=Path, help="dataset folder made by prepare")
    command.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")
    command.add_argument("--config", default="embedded", help="name or .toml path (embedded)")
    command.add_argument("--device", default="cpu", help="torch device: cpu, cuda, mps ... (cpu)")


def _check_device(device: str) -> None:
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"torch cannot use the device '{device}' ({reason}); try cpu.") from error


def _train_vqvae(arguments: argparse.Namespace) -> int:
    from .config import read_config
    from .train_vqvae import train_vqvae

    config = read_config(arguments.config)
    _check_device(arguments.device)
    print(train_vqvae(config, arguments.data, arguments.output, device=arguments.device))
    return 0


def _train_gpt(arguments: argparse.Namespace) -> int:
    from .config import read_config
    from .train_gpt import train_gpt

    config = read_config(arguments.config)
    _check_device(arguments.device)
    file = train_gpt(
        config,
        arguments.data,
        arguments.vqvae,
        arguments.output,
        licence=arguments.licence,
        device=arguments.device,
    )
    print(file)
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    if "bpy" in sys.modules:  # with Blender loaded, Python's own winding down may hang or crash
        os._exit(status)
    sys.exit(status)
