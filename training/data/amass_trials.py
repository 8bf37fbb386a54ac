# SPDX-License-Identifier: GPL-3.0-or-later
"""AMASS's files: poses of a trial, and which of its frames a clip of HumanML3D is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from t2m_blender.engine.errors import InputError
from training.data.annotations import FPS, Row
from training.data.arrays import DAMAGED, read_arrays
from training.data.floor import Array

_TRIAL_KEYS = ("poses", "trans", "betas", "gender")
_RATE_KEYS = ("mocap_framerate", "mocap_frame_rate")


@dataclass(frozen=True, eq=False)
class Trial:
    """One AMASS file.

    Attributes:
        poses: [T, 156] axis angles.
        trans: [T, 3] metres, z up.
        betas: [B] shape.
        gender: of the body model.
        fps: frames a second.
    """

    poses: Array
    trans: Array
    betas: Array
    gender: str
    fps: float


def read_trial(path: Path) -> Trial:
    """Reads an AMASS .npz file.

    Raises:
        InputError: it is missing, damaged, empty, holds NaN, or has no SMPL-H poses.
    """
    stored = read_arrays(path, (*_TRIAL_KEYS, *_RATE_KEYS))
    rate = next((key for key in _RATE_KEYS if key in stored), None)
    missing = [key for key in _TRIAL_KEYS if key not in stored]
    if missing or rate is None:
        raise InputError(f"{path.name} has no {(missing or [_RATE_KEYS[0]])[0]}.")
    try:
        poses, trans, betas = (
            np.asarray(stored[key], dtype=np.float64) for key in ("poses", "trans", "betas")
        )
        fps = float(stored[rate])
        said = stored["gender"].item()
    except (ValueError, TypeError) as error:
        raise InputError(f"{path.name} cannot be read ({error}).") from None
    if poses.ndim != 2 or poses.shape[1] != 156 or trans.shape != (len(poses), 3):
        raise InputError(
            f"{path.name} has poses {list(poses.shape)} and trans {list(trans.shape)}; AMASS's "
            "'SMPL+H G' files have [T, 156] and [T, 3]."
        )
    if len(poses) == 0:
        raise InputError(f"{path.name} has no frames.")
    for key, values in (("poses", poses), ("trans", trans), ("betas", betas)):
        if not np.isfinite(values).all():
            raise InputError(f"{path.name}: {key} holds NaN.")
    if not fps >= FPS:
        raise InputError(f"{path.name} has {fps} frames a second; at least {FPS} are needed.")
    gender = said.decode() if isinstance(said, bytes) else str(said)
    return Trial(poses, trans, betas.reshape(-1), gender.lower(), fps)


def to_y_up(joints: Array) -> Array:
    """Positions [..., 3] from AMASS's z-up axes to y-up: (x, y, z) -> (-x, z, y)."""
    return joints[..., [0, 2, 1]] * np.array([-1.0, 1.0, 1.0])


def times_of(row: Row, frames: int, fps: float) -> tuple[Array, float]:
    """When the frames of a clip are, at 20 fps.

    Args:
        row: says which stretch, in frames of HumanML3D.
        frames: of the trial.
        fps: of the trial.

    Returns:
        Times [T] in frames of the trial (whole numbers where its rate is a multiple of 20), and how
        many times slower the clip plays in HumanML3D.

    Raises:
        InputError: the stretch lies outside the trial.
    """
    step = int(fps / FPS)
    first = row.first * step
    last = min((row.first + row.end - row.start) * step, frames)
    if row.start < 0 or row.end <= row.start or first >= last:
        raise InputError(
            f"frames {row.start} to {row.end} of index.csv lie outside its trial of "
            f"{frames / fps:.1f} s"
        )
    slower = fps / (step * FPS)
    count = int(np.ceil((last - first) / (step * slower) - 1e-9))
    return first + np.arange(count) * step * slower, slower


def read_joints(path: Path) -> Array:
    """HumanAct12's joints as HumanML3D gives them out: [T, >= 22, 3], y up."""
    try:
        joints = np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
    except FileNotFoundError:
        raise InputError(f"{path.name} is missing.") from None
    except DAMAGED as error:
        raise InputError(f"{path.name} cannot be read ({error}).") from None
    if joints.ndim != 3 or joints.shape[1] < 22 or joints.shape[2] != 3:
        raise InputError(f"{path.name} has joints {list(joints.shape)}, not [T, 22 or more, 3].")
    return joints[:, :22]
