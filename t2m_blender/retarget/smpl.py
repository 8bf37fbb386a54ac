# SPDX-License-Identifier: GPL-3.0-or-later
"""SMPL, SMPL-H and SMPL-X bodies out of the user's own model file: a rig, its skin, its parameters.

The package `smplx` is not used. Its licence allows non-commercial research only, it needs PyTorch,
and what it computes Blender does by itself: the joints are regressed from the shaped body at rest,
and the skin follows the bones by the model's own weights (linear blend skinning, an Armature
modifier). What is left out are the pose-dependent corrections of the surface (`posedirs`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ..engine.errors import InputError
from ..engine.rotations import (
    matrix_to_quaternion,
    normalise,
    quaternion_conjugate,
    quaternion_continuous,
    quaternion_multiply,
)
from .plain_pickle import as_array, read_pickle
from .posing import rotation_part
from .rig import Array, Bone, Rig
from .solve import FIGURE_TO_MOTION

_BODY = (
    "Pelvis L_Hip R_Hip Spine1 L_Knee R_Knee Spine2 L_Ankle R_Ankle Spine3 L_Foot R_Foot Neck "
    "L_Collar R_Collar Head L_Shoulder R_Shoulder L_Elbow R_Elbow L_Wrist R_Wrist"
).split()
_FINGERS = [
    f"{side}_{finger}{number}"
    for side in ("L", "R")
    for finger in ("Index", "Middle", "Pinky", "Ring", "Thumb")
    for number in (1, 2, 3)
]
NAMES = {
    24: ("smpl", [*_BODY, "L_Hand", "R_Hand"]),
    52: ("smplh", [*_BODY, *_FINGERS]),
    55: ("smplx", [*_BODY, "Jaw", "L_Eye", "R_Eye", *_FINGERS]),
}
"""Kind of model and its bones, by the number of joints."""
_ARRAYS = ("v_template", "shapedirs", "J_regressor", "weights", "f", "kintree_table")
_POINTS_AT = {"Pelvis": "Spine1", "Spine3": "Neck", "L_Wrist": "L_Middle1", "R_Wrist": "R_Middle1"}
_TIP = 0.06  # metres of a bone that ends a chain
_FORWARD, _UP = np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True, eq=False)
class SmplModel:
    """A body model.

    Attributes:
        kind: "smpl", "smplh" or "smplx".
        names: J bones, parents before their children.
        parents: Of each, -1 for the pelvis.
        template: [V, 3] the mean body in metres, y up, facing +z.
        shape_directions: [V, 3, B] its change with each shape coefficient.
        regressor: [J, V] joints from vertices.
        weights: [V, J] how much each vertex follows each bone.
        faces: [F, 3] triangles.
    """

    kind: str
    names: tuple[str, ...]
    parents: tuple[int, ...]
    template: Array
    shape_directions: Array
    regressor: Array
    weights: Array
    faces: NDArray[np.int64]

    def shaped(self, betas: Array) -> tuple[Array, Array]:
        """Vertices [V, 3] and joints [J, 3] at rest of a body with these shape coefficients."""
        used = min(len(betas), self.shape_directions.shape[-1])
        vertices = self.template + self.shape_directions[..., :used] @ betas[:used]
        return vertices, self.regressor @ vertices


def read_smpl(path: Path) -> SmplModel:
    """Reads a model file as SMPL's makers give it out: .npz or .pkl.

    Nothing in a .pkl is run; what it takes to read one safely is in `plain_pickle`.

    Raises:
        InputError: It is missing, damaged or no body model of these kinds.
    """
    if path.suffix.lower() == ".pkl":
        content = read_pickle(path)
        stored = {name: as_array(content.get(name)) for name in _ARRAYS}
    else:
        stored = _npz_arrays(path)
    missing = [name for name in _ARRAYS if stored.get(name) is None]
    if missing:
        raise InputError(
            f"{path.name} is no SMPL, SMPL-H or SMPL-X model: it has no '{missing[0]}'."
        )
    return _checked(path, {name: np.asarray(stored[name]) for name in _ARRAYS})


def _npz_arrays(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in _ARRAYS if name in file.files}
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise InputError(
            f"{path.name} cannot be read ({error}); choose the .npz or .pkl file of a body model."
        ) from error


def _checked(path: Path, stored: dict[str, NDArray[Any]]) -> SmplModel:
    joints = stored["J_regressor"].shape[0] if stored["J_regressor"].ndim == 2 else 0
    vertices = len(stored["v_template"])
    shapes = {
        "v_template": (vertices, 3),
        "J_regressor": (joints, vertices),
        "weights": (vertices, joints),
        "kintree_table": (2, joints),
    }
    wrong = [name for name, shape in shapes.items() if stored[name].shape != shape]
    if joints not in NAMES or wrong or stored["shapedirs"].shape[:2] != (vertices, 3):
        raise InputError(
            f"{path.name} has {joints} joints and {vertices} vertices, and "
            f"'{(wrong or ['shapedirs'])[0]}' of shape "
            f"{list(stored[(wrong or ['shapedirs'])[0]].shape)}; SMPL has 24 joints, SMPL-H 52 and "
            "SMPL-X 55."
        )
    kind, names = NAMES[joints]
    parents = (-1, *(int(parent) for parent in stored["kintree_table"][0, 1:]))
    faces = stored["f"].astype(np.int64)
    in_order = all(0 <= parent < joint for joint, parent in enumerate(parents) if joint)
    if not in_order or faces.shape[1:] != (3,) or faces.min() < 0 or faces.max() >= vertices:
        raise InputError(f"{path.name} is damaged: its bones or its faces name what is not there.")
    numbers = ("v_template", "shapedirs", "J_regressor", "weights")
    template, directions, regressor, weights = (stored[n].astype(np.float64) for n in numbers)
    if not all(np.isfinite(a).all() for a in (template, directions, regressor, weights)):
        raise InputError(f"{path.name} is damaged: it holds numbers that are none.")
    return SmplModel(kind, tuple(names), parents, template, directions, regressor, weights, faces)


def smpl_rig(model: SmplModel, betas: Array, name: str) -> Rig:
    """The model's skeleton at rest, standing on z = 0 in Blender's axes.

    Bones point at their child; those of hands, feet and head, which have none or several, ahead.
    """
    vertices, joints = model.shaped(betas)
    joints = joints - [0.0, vertices[:, 1].min(), 0.0]
    bones: list[Bone] = []
    for number, bone in enumerate(model.names):
        head = joints[number]
        tail = _tail(model, joints, number)
        parent = model.parents[number]
        above = model.names[parent] if parent >= 0 else None
        bones.append(_bone(bone, above, FIGURE_TO_MOTION.T @ head, FIGURE_TO_MOTION.T @ tail))
    return Rig(name, tuple(bones))


def _tail(model: SmplModel, joints: Array, number: int) -> Array:
    name, head = model.names[number], joints[number]
    children = [child for child, parent in enumerate(model.parents) if parent == number]
    at = _POINTS_AT.get(name)
    if at in model.names:
        return joints[model.names.index(at)]
    if len(children) == 1:
        return joints[children[0]]
    parent = model.parents[number]
    way = _FORWARD if name.endswith(("Foot", "Eye", "Jaw")) else normalise(head - joints[parent])
    return head + _TIP * (_UP if name == "Head" else way)


def _bone(name: str, parent: str | None, head: Array, tail: Array) -> Bone:
    y = normalise(tail - head)
    forward, up = FIGURE_TO_MOTION.T @ _FORWARD, FIGURE_TO_MOTION.T @ _UP
    x = normalise(np.cross(y, up if y @ forward > 0.7 else forward))
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack((x, y, np.cross(x, y)), axis=-1)
    matrix[:3, 3] = head
    return Bone(name, parent, head, tail, matrix)


def pose_parameters(
    model: SmplModel, betas: Array, rig: Rig, posed: Array, world: Array
) -> dict[str, NDArray[Any]]:
    """What AMASS stores of a motion: `poses`, `trans`, `betas`, and how they are to be read.

    Args:
        model: The body.
        betas: Its shape.
        rig: From `smpl_rig`, whose bones these are.
        posed: [T, J, 4, 4] armature-space matrices of the bones.
        world: [T, 4, 4] of the armature object.

    Returns:
        `poses` [T, 3 J] axis angles, the root's first, and `trans` [T, 3] in metres, z up.
    """
    number = {bone.name: k for k, bone in enumerate(rig.bones)}
    order = [number[name] for name in model.names]
    rest = rotation_part(np.stack([rig.bones[k].matrix for k in order]))
    # turns of the body at rest (y up, as the model has it) in the world (z up)
    turns = rotation_part(world)[:, None] @ rotation_part(posed[:, order]) @ np.swapaxes(rest, 1, 2)
    turns = turns @ FIGURE_TO_MOTION.T
    rotations = quaternion_continuous(matrix_to_quaternion(turns))
    local = rotations.copy()
    for joint, parent in enumerate(model.parents):
        if parent >= 0:
            local[:, joint] = quaternion_multiply(
                quaternion_conjugate(rotations[:, parent]), rotations[:, joint]
            )
    _, joints = model.shaped(betas)
    root = np.einsum("tij,tj->ti", world[:, :3, :3], posed[:, order[0], :3, 3]) + world[:, :3, 3]
    return {
        "poses": _axis_angles(local).reshape(len(posed), -1),
        "trans": root - joints[0],
        "betas": np.asarray(betas),
        "surface_model_type": np.array(model.kind),
    }


def _axis_angles(rotations: Array) -> Array:
    """Axis times angle [..., 3] of unit quaternions, the angle at most half a turn."""
    shortest = rotations * np.where(rotations[..., :1] < 0.0, -1.0, 1.0)
    sine = np.linalg.norm(shortest[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, shortest[..., :1])
    return np.asarray(shortest[..., 1:] * np.where(sine > 1e-9, angle / np.maximum(sine, 1e-9), 2))
