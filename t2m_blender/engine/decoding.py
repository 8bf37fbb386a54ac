# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens, features and motions of a model, both ways."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .errors import CheckpointError
from .features import Facing, feature_columns, features_to_joints, rigid_joints
from .joining import local_features
from .model import TextToMotion
from .motion import Motion
from .rotations import Array
from .writing import Tokens

__all__ = ["check_shown", "features_to_motion", "read_tokens", "tokens_to_features"]


def check_shown(model: TextToMotion) -> None:
    """Whether the model's motion can be put on a figure.

    Raises:
        CheckpointError: Its skeleton has no bone lengths.
    """
    if model.checkpoint.skeleton.bone_lengths is None:
        raise CheckpointError(
            f"{model.name} makes motion of {model.checkpoint.skeleton.name}, which can be trained "
            "and measured but not yet be shown on a figure; name a model of humanml3d-22."
        )


def tokens_to_features(tokens: Tokens, model: TextToMotion) -> NDArray[np.float32]:
    """Features [L * frames_per_token, D] of tokens [L, Q], no longer normalised."""
    decoded = model.runtime.decode(tokens[None])[0]
    return decoded * model.checkpoint.std + model.checkpoint.mean


def features_to_motion(features: NDArray[np.float32], model: TextToMotion) -> Motion:
    """The motion of features [T, D], its bones as long as the model's skeleton has them."""
    skeleton = model.checkpoint.skeleton
    contacts = features[:, feature_columns(skeleton)["contacts"]].clip(0.0, 1.0)
    joints = rigid_joints(features_to_joints(features, skeleton), skeleton)
    return Motion(joints, skeleton.fps, skeleton, contacts)


def read_tokens(joints: Array, model: TextToMotion) -> tuple[Tokens, Facing]:
    """Tokens [T // frames_per_token, Q] of joints [T, J, 3] on the model's skeleton.

    A model file does not say whose heading its features turn with (see `motion_to_features`): the
    one is taken in which the model rebuilds them better.
    """
    facings: tuple[Facing, ...] = ("body", "continuous")
    rows = len(joints) // model.frames_per_token * model.frames_per_token
    mean, std = model.checkpoint.mean, model.checkpoint.std
    read = []
    for facing in facings:
        features = local_features(joints, model.checkpoint.skeleton, facing)[:rows]
        normalised = ((features - mean) / std).astype(np.float32)
        tokens = model.runtime.encode(normalised[None])[0]
        error = float(np.mean((model.runtime.decode(tokens[None])[0] - normalised) ** 2))
        read.append((error, tokens, facing))
    _, tokens, facing = min(read, key=lambda one: one[0])
    return tokens, facing
