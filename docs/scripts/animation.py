# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders motions side by side as a moving picture.

    python docs/scripts/animation.py OUT.webp "a person walks forward" "someone jumps"

Nothing is selected: the seed is the one given, for every prompt. Needs `bpy` and Pillow.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import bpy
import numpy as np
from PIL import Image, ImageDraw, ImageFont

# a script of a checkout, not a package
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from docs.scripts.stage import View, figure, render
from t2m_blender.engine.generate import GeneratedMotion, generate, load_model

_VIEW = View(yaw=0.58, pitch=0.22)
_WIDTH, _MIDDLE = 2.3, 0.92  # metres that a picture shows, and the height it looks at
_EVERY = 2  # frames of the motion between pictures
_CALM = 31  # frames over which the camera's way is averaged
_LINE = 22  # pixels for the prompt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help=".webp")
    parser.add_argument("prompts", nargs="+")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--model", default="default")
    parser.add_argument("--size", type=int, default=240, help="pixels a picture (240)")
    options = parser.parse_args()
    model = load_model(options.model)
    rows = []
    for prompt in options.prompts:
        made = generate(prompt, model=model, seed=options.seed, seconds=options.seconds)
        rows.append((prompt, pictures(made, options.size)))
    frames = []
    for index in range(max(len(shown) for _, shown in rows)):
        frame = Image.new("RGB", (options.size * len(rows), options.size + _LINE), (28, 30, 35))
        for column, (prompt, shown) in enumerate(rows):
            frame.paste(shown[min(index, len(shown) - 1)], (column * options.size, _LINE))
            place = ((column + 0.5) * options.size, _LINE / 2)
            font = ImageFont.load_default(13)
            ImageDraw.Draw(frame).text(place, prompt, fill=(226, 229, 235), font=font, anchor="mm")
        frames.append(frame)
    milliseconds = round(1000 * _EVERY / model.checkpoint.skeleton.fps)
    frames[0].save(
        options.output, save_all=True, append_images=frames[1:], duration=milliseconds, loop=0,
        quality=60, method=6,
    )  # fmt: skip


def pictures(made: GeneratedMotion, size: int) -> list[Image.Image]:
    """Every other frame, the camera travelling with the hips."""
    figure(made)
    scene = bpy.context.scene
    joints = made.finished.joints[:, 0]
    root = np.pad(joints[:, [0, 2]] * (1, -1), ((_CALM // 2, _CALM // 2), (0, 0)), mode="edge")
    kernel = np.hanning(_CALM) / np.hanning(_CALM).sum()
    way = np.stack([np.convolve(root[:, axis], kernel, "valid") for axis in (0, 1)], axis=1)
    shown = []
    for frame in range(0, made.motion.frames, _EVERY):
        scene.frame_set(scene.frame_start + frame)
        shown.append(render(_VIEW, (*way[frame].tolist(), _MIDDLE), _WIDTH, (size, size)))
    return shown


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the wheel of Blender 4.2 crashes at exit
