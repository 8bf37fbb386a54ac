# SPDX-License-Identifier: GPL-3.0-or-later
"""Contact sheets: clips as stick figures over time beside their captions, to be looked at.

Every clip is one row: snapshots from the front at the same scale, the floor as a line; then the
root's path from above with arrows for where the body faces. Left limbs are blue, right ones orange.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from t2m_blender.engine.features import features_to_joints
from t2m_blender.engine.skeleton import Skeleton
from training.data.dataset import Clip, Dataset
from training.data.facts import facing
from training.data.floor import Array

_LEFT, _RIGHT, _MIDDLE = "#1f6fd0", "#e0701a", "#444444"
_CAMERA_YAW = np.radians(25.0)
_GAP = 1.15  # metres between snapshots


def draw_sheet(
    dataset: Dataset,
    clips: Sequence[Clip],
    path: Path,
    *,
    snapshots: int = 9,
    columns: int = 2,
    dpi: int = 75,
) -> None:
    """Draws clips of a dataset to a PNG file.

    Args:
        dataset: holds their features.
        clips: one row each.
        path: of the image.
        snapshots: stick figures a clip.
        columns: rows are laid out in so many columns.
        dpi: dots an inch; a cell is 8 by 1.9 inches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = -(-len(clips) // columns)
    figure = Figure(figsize=(8.0 * columns, 1.9 * rows))
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        rows, 2 * columns, width_ratios=[6, 1] * columns,
        left=0.01, right=0.99, top=0.985, bottom=0.01, wspace=0.03, hspace=0.42,
    )  # fmt: skip
    for k, clip in enumerate(clips):
        joints = features_to_joints(dataset.features[clip.id].astype(np.float64), dataset.skeleton)
        row, column = k % rows, k // rows
        front = figure.add_subplot(grid[row, 2 * column])
        above = figure.add_subplot(grid[row, 2 * column + 1])
        draw_snapshots(front, joints, dataset.skeleton, snapshots)
        _draw_path(above, joints, dataset.skeleton)
        caption = clip.captions[0] if clip.captions else "(no caption)"
        title = f"{clip.id}  {clip.source}  {clip.frames / dataset.skeleton.fps:.1f} s: {caption}"
        front.set_title("\n".join(textwrap.wrap(title, 118)[:2]), fontsize=7.5, loc="left", pad=2)
    figure.savefig(path, dpi=dpi)


def draw_snapshots(axes: Any, joints: Array, skeleton: Skeleton, count: int) -> None:
    """Draws `count` moments of a motion [T, J, 3] side by side, seen from the front."""
    times = np.linspace(0, len(joints) - 1, count).astype(int)
    head = skeleton.joint_names.index("head")
    for place, t in enumerate(times):
        pose = joints[t] - joints[t, 0] * [1.0, 0.0, 1.0]
        across = np.cos(_CAMERA_YAW) * pose[:, 0] + np.sin(_CAMERA_YAW) * pose[:, 2]
        x, y = across + place * _GAP, pose[:, 1]
        for joint, parent in enumerate(skeleton.parents):
            if parent < 0:
                continue
            name = skeleton.joint_names[joint]
            colour = {"left": _LEFT, "right": _RIGHT}.get(name.split("_")[0], _MIDDLE)
            axes.plot(x[[parent, joint]], y[[parent, joint]], color=colour, lw=1.3)
        axes.plot(x[head], y[head], "o", color=_MIDDLE, ms=3)
        axes.text(place * _GAP, -0.22, f"{t / skeleton.fps:.1f} s", fontsize=6, ha="center")
    axes.axhline(0.0, color="#999999", lw=0.6)
    axes.set_xlim(-0.8, (count - 1) * _GAP + 0.8)
    axes.set_ylim(-0.25, max(1.9, float(joints[..., 1].max()) + 0.05))
    axes.set_aspect("equal", adjustable="box")
    axes.axis("off")


def _draw_path(axes: Any, joints: Array, skeleton: Skeleton) -> None:
    """From above, +z up the page and +x (the left of someone who faces +z) to the left."""
    root = joints[:, 0]
    axes.plot(-root[:, 0], root[:, 2], color="#777777", lw=0.8)
    yaw = facing(joints, skeleton)
    size = max(1.0, float(np.ptp(root[:, [0, 2]], axis=0).max()))
    for t in np.linspace(0, len(joints) - 1, 6).astype(int):
        step = 0.2 * size * np.array([-np.sin(yaw[t]), np.cos(yaw[t])])
        axes.arrow(-root[t, 0], root[t, 2], *step, head_width=0.06 * size, lw=0.7, color="#b03060")
    axes.plot(0, 0, "o", ms=2.5, color="k")
    middle = (root[:, [0, 2]].max(axis=0) + root[:, [0, 2]].min(axis=0)) / 2
    axes.set_xlim(-middle[0] - 0.75 * size, -middle[0] + 0.75 * size)
    axes.set_ylim(middle[1] - 0.75 * size, middle[1] + 0.75 * size)
    axes.set_aspect("equal", adjustable="box")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(f"{size:.1f} m", fontsize=6, pad=1)
