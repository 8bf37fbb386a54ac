# SPDX-License-Identifier: GPL-3.0-or-later
"""TensorBoard: the curves of a training, and rendered motions.

tensorboard --logdir runs
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.errors import RuntimeMissingError
from t2m_blender.engine.skeleton import Skeleton

from .data.sheet import draw_snapshots

_LEG = 0.8  # metres, thigh and shin


class Board:
    """Writes what `tensorboard` shows.

    Args:
        folder: For its event files.
        step: At which the run goes on; what was shown after it disappears.

    Raises:
        RuntimeMissingError: The package `tensorboard` is not installed.
    """

    def __init__(self, folder: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise RuntimeMissingError(
                "TensorBoard is not installed: pip install tensorboard."
            ) from None
        self._writer: Any = SummaryWriter(str(folder), purge_step=step + 1)

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """A point of each curve; names that begin with "val_" are grouped apart."""
        for name, value in figures.items():
            curve = f"val/{name[4:]}" if name.startswith("val_") else f"train/{name}"
            self._writer.add_scalar(curve, value, step)
        self._writer.flush()

    def pictures(self, step: int, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Images [height, width, 3] by name."""
        for name, picture in pictures.items():
            self._writer.add_image(name, picture, step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def motion_picture(
    motions: Mapping[str, NDArray[np.floating[Any]]], skeleton: Skeleton
) -> NDArray[np.uint8]:
    """Motions [T, J, 3] as stick figures over time, one row and title each: [H, W, 3].

    All are drawn at the size at which the first one's legs are those of a grown-up.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 1.9 * len(motions)), dpi=75)
    figure.subplots_adjust(left=0.01, right=0.99, top=0.95, bottom=0.02, hspace=0.3)
    canvas = FigureCanvasAgg(figure)
    pose, legs = next(iter(motions.values()))[0], list(skeleton.leg_bones)
    parents = np.array(skeleton.parents)[legs]
    scale = _LEG / max(float(np.linalg.norm(pose[legs] - pose[parents], axis=-1).sum()), 1e-6)
    for row, (title, joints) in enumerate(motions.items()):
        axes = figure.add_subplot(len(motions), 1, row + 1)
        draw_snapshots(axes, scale * joints.astype(np.float64), skeleton, 9)
        axes.set_title(title[:118], fontsize=7.5, loc="left", pad=2)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]
