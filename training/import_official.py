# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a model file of the published T2M-GPT checkpoints.

    python -m training import-official VQ.pth GPT.pth -o MODEL.safetensors [--mean M --std S]
                                       [--weights int8]

The statistics are those that the VQ-VAE was trained with: mean.npy and std.npy in the folder
`meta` of VQVAEV3_CB1024_CMT_H1024_NRES3, which T2M-GPT downloads with its evaluators. The dataset's
own Mean.npy and Std.npy are others.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.checkpoint import Checkpoint, file_sha256, write_checkpoint
from t2m_blender.engine.errors import CheckpointError, InputError
from t2m_blender.engine.official import read_official_gpt, read_official_vqvae
from t2m_blender.engine.skeleton import HUMANML3D, KIT, Skeleton

SKELETONS = {skeleton.feature_size: skeleton for skeleton in (HUMANML3D, KIT)}
LICENCE = "Apache-2.0 (code of T2M-GPT); trained on data with terms of its own (AMASS, KIT-ML)"


def import_official(
    vqvae_file: Path,
    gpt_file: Path,
    output: Path,
    *,
    mean: Path | None = None,
    std: Path | None = None,
    heads: int = 16,
    weights: str = "fp32",
) -> None:
    """Writes a model file with the published weights: bit for bit, or smaller (`WEIGHTS`).

    Raises:
        CheckpointError: A file is missing, damaged or not of T2M-GPT, or the two do not belong
            together; tensors are named as in the files.
        InputError: The statistics are missing or of another size.
        OutputError: The file cannot be written.
    """
    vqvae, gpt = read_official_vqvae(vqvae_file), read_official_gpt(gpt_file, heads=heads)
    if vqvae.config.codebook_size != gpt.config.codebook_size:
        raise CheckpointError(
            f"{gpt_file} writes {gpt.config.codebook_size} codes (trans_base.tok_emb.weight, less "
            f"End and Pad), and {vqvae_file} has {vqvae.config.codebook_size} "
            "(vqvae.quantizer.codebook); give two files of one training."
        )
    size = vqvae.config.feature_size
    if size not in SKELETONS:
        raise CheckpointError(
            f"{vqvae_file} reads {size} features a frame (vqvae.encoder.model.0.weight); "
            f"HumanML3D has 263 and KIT-ML 251."
        )
    skeleton = SKELETONS[size]
    tensors = {f"vqvae.{name}": t.numpy() for name, t in vqvae.state_dict().items()}
    tensors |= {f"gpt.{name}": t.numpy() for name, t in gpt.state_dict().items()}
    checkpoint = Checkpoint(
        vqvae=asdict(vqvae.config),
        gpt=asdict(gpt.config),
        tensors=tensors,
        mean=_statistic(mean, vqvae_file, "mean", skeleton),
        std=_statistic(std, vqvae_file, "std", skeleton),
        skeleton=skeleton,
        text_encoder="clip",
        sampling={"guidance": 1.0, "temperature": 1.0, "top_p": 1.0},
        licence=LICENCE,
        origin=(
            "Published checkpoints of T2M-GPT (Zhang et al., CVPR 2023), imported "
            f"{'unchanged' if weights == 'fp32' else f'and rounded to {weights}'}: "
            f"VQ-VAE sha256 {file_sha256(vqvae_file)}, GPT sha256 {file_sha256(gpt_file)}."
        ),
    )
    write_checkpoint(output, checkpoint, weights=weights)


def _statistic(
    path: Path | None, vqvae_file: Path, name: str, skeleton: Skeleton
) -> NDArray[np.float32]:
    path = path or vqvae_file.with_name(f"{name}.npy")
    try:
        values = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(
            f"There is no {path}: name the {name} that the VQ-VAE was trained with by --{name} "
            f"(meta/{name}.npy of VQVAEV3_CB1024_CMT_H1024_NRES3, published with the evaluators)."
        ) from None
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} is no readable .npy file ({error}).") from error
    if not isinstance(values, np.ndarray):
        raise InputError(f"{path} is no readable .npy file (it is an archive).")
    if values.shape != (skeleton.feature_size,):
        raise InputError(
            f"{path} holds {list(values.shape)}; {skeleton.name} needs {skeleton.feature_size} "
            "numbers."
        )
    if not np.isfinite(values).all() or (name == "std" and (values <= 0.0).any()):
        raise InputError(f"{path} holds numbers that cannot be a {name}; give the published file.")
    return values.astype(np.float32)
