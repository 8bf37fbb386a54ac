# SPDX-License-Identifier: GPL-3.0-or-later
"""Joints of the SMPL-H body from AMASS's pose parameters.

Joints depend on shape and pose, not on the skinned surface, so no vertex is ever posed: they are
regressed from the shaped body at rest, and each turns what hangs on it. They equal those of the
package `smplx` (tested), which is not needed: its licence allows non-commercial research only, and
its class SMPLH does not load the model that AMASS itself gives out ("Extended SMPL+H" has no hand
components; vchoutas/smplx, issue 210).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.kinematics import forward_kinematics
from t2m_blender.engine.rotations import (
    normalise,
    quaternion_from_axis_angle,
    quaternion_multiply,
)
from t2m_blender.engine.skeleton import HUMANML3D
from training.data.arrays import read_arrays

Array = NDArray[np.float64]

BODY_JOINTS = 22
GENDERS = ("male", "female", "neutral")
_BETAS = 10  # as many as HumanML3D uses
_VERTICES = 6890
_ARRAYS = ("v_template", "shapedirs", "J_regressor", "kintree_table")


@dataclass(frozen=True, eq=False)
class BodyModel:
    """What of an SMPL-H model the body's joints need.

    Attributes:
        template: [V, 3] the mean body in metres.
        shape_directions: [V, 3, B] its change with each shape coefficient.
        regressor: [22, V] joints from vertices.
    """

    template: Array
    shape_directions: Array
    regressor: Array


def find_body_model(folder: Path, gender: str) -> Path | None:
    """The model file of a gender: AMASS's `male/model.npz` or smplx's `SMPLH_MALE.npz`."""
    names = (f"{gender}/model.npz", f"SMPLH_{gender.upper()}.npz")
    places = (folder, folder / "smplh")
    return next((p / n for p in places for n in names if (p / n).is_file()), None)


def read_body_models(folder: Path) -> dict[str, BodyModel]:
    """The models of all genders that the folder has.

    Raises:
        InputError: it has none, one is damaged or of another kind, or two are the same body.
    """
    paths = {gender: find_body_model(folder, gender) for gender in GENDERS}
    models = {gender: read_body_model(path) for gender, path in paths.items() if path}
    if not models:
        raise InputError(
            f"{folder} has no SMPL-H model: it needs smplh/male/model.npz and smplh/female/"
            "model.npz (Extended SMPL+H of mano.is.tue.mpg.de; they may not be passed on)."
        )
    male, female = models.get("male"), models.get("female")
    if male and female and np.array_equal(male.template, female.template):
        raise InputError(
            f"{paths['male']} and {paths['female']} hold the same body; one of them is of the "
            "wrong gender. Copy the right file there."
        )
    return models


def read_body_model(path: Path) -> BodyModel:
    """Reads an SMPL-H model in .npz form.

    Raises:
        InputError: it is damaged or no SMPL-H model.
    """
    try:
        stored = read_arrays(path, _ARRAYS)
    except InputError as error:
        raise InputError(f"{error} The body model is {path}; get its .npz form again.") from None
    missing = [name for name in _ARRAYS if name not in stored]
    if missing:
        raise InputError(f"{path} is no SMPL-H model: it has no '{missing[0]}'.")
    template, directions, regressor, tree = (stored[name] for name in _ARRAYS)
    joints = regressor.shape[0]
    if template.shape != (_VERTICES, 3) or joints != 52 or directions.shape[:2] != (_VERTICES, 3):
        raise InputError(
            f"{path} has {joints} joints and {len(template)} vertices; SMPL-H has 52 and 6890. "
            "SMPL (24 joints) and SMPL-X (55) do not fit AMASS's 'SMPL+H G' files."
        )
    if tuple(tree[0, 1:BODY_JOINTS]) != HUMANML3D.parents[1:]:
        raise InputError(f"{path} joins its bones in another order than SMPL-H does.")
    return BodyModel(
        template.astype(np.float64),
        directions[..., :_BETAS].astype(np.float64),
        regressor[:BODY_JOINTS].astype(np.float64),
    )


def body_joints(model: BodyModel, poses: Array, betas: Array, trans: Array) -> Array:
    """Positions of the 22 body joints in the axes of the poses (AMASS: z up).

    Args:
        model: of the performer's gender.
        poses: [T, >= 66] axis angles, the root's orientation first.
        betas: [>= 1] shape.
        trans: [T, 3] the root's place.

    Returns:
        [T, 22, 3] metres.
    """
    used = min(len(betas), model.shape_directions.shape[-1])
    body = model.template + model.shape_directions[..., :used] @ betas[:used]
    rest = model.regressor @ body
    vectors = poses[:, : 3 * BODY_JOINTS].reshape(-1, BODY_JOINTS, 3)
    turns = quaternion_from_axis_angle(normalise(vectors), np.linalg.norm(vectors, axis=-1))
    for joint in range(1, BODY_JOINTS):  # parents come before their children
        parent = HUMANML3D.parents[joint]
        turns[:, joint] = quaternion_multiply(turns[:, parent], turns[:, joint])
    return forward_kinematics(turns, rest[0] + trans, rest, HUMANML3D)
