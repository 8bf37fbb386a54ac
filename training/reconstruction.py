# SPDX-License-Identifier: GPL-3.0-or-later
"""How far rebuilt motion is from the real one: the losses and the score of stage 1.

The paper's losses are distances of normalised features. Small errors of turning and speed add up
along a clip without showing there, and joints whose features vary little count as much as hands and
feet: three further losses, off by default, are mean distances in space, in metres and seconds: of
the root's path over the window, of the joints about the root, and of their velocities.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor

from t2m_blender.engine.features import feature_columns, features_to_joints
from t2m_blender.engine.skeleton import Skeleton
from t2m_blender.engine.vqvae import VQVAE

from .config import VQVAETraining
from .data.dataset import Dataset

_DISTANCES: dict[str, Callable[..., Tensor]] = {
    "smooth_l1": functional.smooth_l1_loss,
    "l1": functional.l1_loss,
    "l2": functional.mse_loss,
}


class ReconstructionLoss:
    """The loss of windows of features, as `VQVAETraining` weighs it.

    Args:
        settings: Distance and weights.
        dataset: Its skeleton and statistics.
        device: Of the windows.
    """

    def __init__(self, settings: VQVAETraining, dataset: Dataset, device: torch.device) -> None:
        self.distance = _DISTANCES[settings.reconstruction]
        self.skeleton = dataset.skeleton
        columns = feature_columns(dataset.skeleton)
        self.positions = columns["positions"]
        share = torch.ones(dataset.skeleton.feature_size, device=device)
        share[columns["rotations"]] = settings.rotation_weight
        self.share = share / share.mean()
        self.mean = torch.from_numpy(dataset.mean).to(device)
        self.std = torch.from_numpy(dataset.std).to(device)
        self.fast_weight = settings.fast_weight
        self.weights = {
            "features": 1.0,
            "positions": settings.position_weight,
            "commitment": settings.commitment_weight,
            "path": settings.path_weight,
            "joints": settings.joint_weight,
            "speed": settings.speed_weight,
        }

    def __call__(
        self, rebuilt: Tensor, real: Tensor, commitment: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        """The weighted sum for windows [B, T, D], and each loss by itself."""
        rebuilt, real = rebuilt.float(), real.float()
        features = (self.distance(rebuilt, real, reduction="none") * self.share).mean()
        losses = {"features": features, "commitment": commitment}
        if self.weights["positions"]:
            columns = self.positions
            losses["positions"] = self.distance(rebuilt[..., columns], real[..., columns])
        if any(self.weights[name] for name in ("path", "joints", "speed")):
            losses |= self._in_space(rebuilt, real)
        total = sum(self.weights[name] * loss for name, loss in losses.items())
        assert isinstance(total, Tensor)
        return total, {name: float(loss.detach()) for name, loss in losses.items()}

    def _in_space(self, rebuilt: Tensor, real: Tensor) -> dict[str, Tensor]:
        rebuilt, real = rebuilt * self.std + self.mean, real * self.std + self.mean
        turn, path, joints = root_and_joints(rebuilt, self.skeleton)
        turn_to, path_to, joints_to = root_and_joints(real, self.skeleton)
        posture, posture_to = (
            still_joints(features, self.skeleton) for features in (rebuilt, real)
        )
        velocity, velocity_to = (self.skeleton.fps * j.diff(dim=1) for j in (joints, joints_to))
        share = 1.0 + self.fast_weight * velocity_to.norm(dim=-1)
        return {
            "path": _length(path - path_to) + (turn - turn_to).abs().mean(),
            "joints": _length(posture - posture_to),
            "speed": _length(velocity - velocity_to, share),
        }


def _length(vectors: Tensor, share: Tensor | float = 1.0) -> Tensor:
    """The mean length of vectors [..., n], each counting its share [...]; its gradient stays finite
    where they vanish.
    """
    return ((vectors.square().sum(dim=-1) + 1e-12).sqrt() * share).mean()


def root_and_joints(features: Tensor, skeleton: Skeleton) -> tuple[Tensor, Tensor, Tensor]:
    """What features [B, T, D] say, not normalised, as `features_to_joints` reads them.

    Returns:
        The root's turn since frame 0 [B, T] in radians, its path on the floor [B, T, 2] (x, z) and
        all joints [B, T, J, 3], both in the skeleton's unit.
    """
    columns = feature_columns(skeleton)
    before = functional.pad(features[:, :-1, :3], (0, 0, 1, 0))  # what leads to each frame
    turn = 2.0 * before[..., 0].cumsum(dim=1)
    cos, sin = turn.cos(), turn.sin()
    x, z = before[..., 1], before[..., 2]
    path = torch.stack((cos * x - sin * z, sin * x + cos * z), dim=-1).cumsum(dim=1)
    height = features[..., columns["root_height"]]
    root = torch.cat((path[..., :1], height, path[..., 1:]), dim=-1)
    local = features[..., columns["positions"]]
    x, y, z = local[..., 0::3], local[..., 1::3], local[..., 2::3]
    cos, sin = cos[..., None], sin[..., None]
    x, z = cos * x - sin * z + path[..., :1], sin * x + cos * z + path[..., 1:]
    joints = torch.cat((root[..., None, :], torch.stack((x, y, z), dim=-1)), dim=-2)
    return turn, path, joints


def still_joints(features: Tensor, skeleton: Skeleton) -> Tensor:
    """Joints [B, T, J, 3] of features [B, T, D], neither turned nor carried along by the root."""
    columns = feature_columns(skeleton)
    height = functional.pad(features[..., columns["root_height"]], (1, 1))
    local = features[..., columns["positions"]]
    local = local.reshape(*local.shape[:-1], -1, 3)
    return torch.cat((height[..., None, :], local), dim=-2)


def reconstruction_error(network: VQVAE, dataset: Dataset, split: str) -> float:
    """Mean joint error of a split's whole clips through the VQ-VAE, heading and place aligned.

    Every frame is compared relative to its root's floor point and facing, as the position columns
    hold it; the root's own path is not judged. In the skeleton's unit (metres for HumanML3D).
    """
    errors = []
    for clip in dataset.split(split):
        if not clip.mirrored:
            real = whole_tokens(dataset.features[clip.id], network)
            rebuilt = rebuilt_features(network, real, dataset)
            real, rebuilt = still(real, dataset.skeleton), still(rebuilt, dataset.skeleton)
            errors.append(np.linalg.norm(real - rebuilt, axis=-1).mean(axis=-1))
    return float(np.concatenate(errors).mean())


def whole_tokens(features: NDArray[np.float32], network: VQVAE) -> NDArray[np.float32]:
    """Features [T, D] cut to a multiple of a token's frames."""
    step = network.config.frames_per_token
    return features[: len(features) // step * step]


@torch.no_grad()
def rebuilt_features(
    network: VQVAE, features: NDArray[np.float32], dataset: Dataset
) -> NDArray[np.float32]:
    """Features [T, D] through the network and back, not normalised."""
    device = next(network.parameters()).device
    normal = torch.from_numpy((features - dataset.mean) / dataset.std)[None].to(device)
    decoded: NDArray[Any] = network.decode(network.encode(normal))[0].float().cpu().numpy()
    return decoded * dataset.std + dataset.mean


def still(features: NDArray[np.float32], skeleton: Skeleton) -> NDArray[np.float32]:
    """Joints [T, J, 3] of features with the root's turning and travelling taken out."""
    features = features.copy()
    features[:, :3] = 0.0
    return features_to_joints(features, skeleton)
