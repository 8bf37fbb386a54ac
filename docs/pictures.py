# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders generated motion: `python docs/pictures.py OUT.gif|OUT.png PROMPT [PROMPT ...]`.

A .gif shows the motions side by side; a .png is a contact sheet, one row a prompt. Needs `bpy` and
Pillow. Nothing is selected: the seed is the one given, for every prompt.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector
from PIL import Image, ImageDraw, ImageFont

sys.path.insert(
    0, str(Path(__file__).resolve().parents[1])
)  # a script of a checkout, not a package

from t2m_blender.blender.placement import place_motion
from t2m_blender.engine.generate import GeneratedMotion, generate, load_model

BACKGROUND = (0.05, 0.055, 0.065)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("prompts", nargs="+")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--model", default="default")
    parser.add_argument("--size", type=int, default=240, help="pixels a picture")
    parser.add_argument("--columns", type=int, default=8, help="pictures a row of a sheet")
    options = parser.parse_args()
    model = load_model(options.model)
    rows = []
    for prompt in options.prompts:
        made = generate(prompt, model=model, seed=options.seed, seconds=options.seconds)
        animated = options.output.suffix == ".gif"
        count = made.motion.frames // 2 if animated else options.columns
        rows.append((prompt, render(made, count, options.size)))
    if options.output.suffix == ".gif":
        save_animation(rows, options.output)
    else:
        save_sheet(rows, options.output)


def render(made: GeneratedMotion, count: int, size: int) -> list[Image.Image]:
    """`count` pictures evenly over the motion, the camera travelling with the hips."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps = 20
    place_motion(bpy.context, made)
    _floor()
    camera = _camera(scene, size)
    joints = made.motion.joints
    root = np.stack([joints[:, 0, 0], -joints[:, 0, 2]], axis=1)
    kernel = np.hanning(31) / np.hanning(31).sum()
    smooth = np.stack(
        [np.convolve(np.pad(root[:, k], 15, mode="edge"), kernel, "valid") for k in (0, 1)], axis=1
    )
    pictures = []
    with tempfile.TemporaryDirectory() as folder:
        for frame in np.linspace(0, made.motion.frames - 1, count).round().astype(int):
            scene.frame_set(scene.frame_start + int(frame))
            centre = Vector((*smooth[frame], 0.85))
            camera.location = centre + Vector((2.6, -4.2, 0.75))
            camera.rotation_euler = (centre - camera.location).to_track_quat("-Z", "Y").to_euler()
            scene.render.filepath = os.path.join(folder, "frame.png")
            bpy.ops.render.render(write_still=True)
            with Image.open(scene.render.filepath) as picture:
                pictures.append(picture.convert("RGB"))
    return pictures


def _camera(scene: bpy.types.Scene, size: int) -> bpy.types.Object:
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.lens = 62
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.render.image_settings.file_format = "PNG"
    scene.view_settings.view_transform = "Standard"
    shading = scene.display.shading
    shading.light = "STUDIO"
    shading.color_type = "MATERIAL"
    shading.show_shadows = True
    shading.shadow_intensity = 0.45
    shading.show_cavity = True
    scene.display.light_direction = (-0.35, 0.45, 0.82)
    scene.display.render_aa = "8"
    scene.world = bpy.data.worlds.new("world")
    scene.world.color = BACKGROUND
    return camera


def _floor() -> None:
    """Tiles of half a metre, so that travelling shows."""
    count, step = 80, 0.5
    corners, faces, dark = [], [], []
    for i in range(-count // 2, count // 2):
        for j in range(-count // 2, count // 2):
            base = len(corners)
            corners += [
                ((i + a) * step, (j + b) * step, 0.0) for a, b in ((0, 0), (1, 0), (1, 1), (0, 1))
            ]
            faces.append((base, base + 1, base + 2, base + 3))
            dark.append((i + j) % 2)
    mesh = bpy.data.meshes.new("floor")
    mesh.from_pydata(corners, [], faces)
    for shade in (0.16, 0.20):
        material = bpy.data.materials.new("tile")
        material.diffuse_color = (shade, shade * 1.04, shade * 1.12, 1.0)
        mesh.materials.append(material)
    mesh.polygons.foreach_set("material_index", dark)
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("floor", mesh))


def save_sheet(rows: list[tuple[str, list[Image.Image]]], output: Path) -> None:
    size = rows[0][1][0].width
    line = 22
    sheet = Image.new("RGB", (size * len(rows[0][1]), (size + line) * len(rows)), (14, 15, 18))
    for row, (prompt, pictures) in enumerate(rows):
        for column, picture in enumerate(pictures):
            sheet.paste(picture, (column * size, row * (size + line) + line))
        _write(sheet, prompt, (8, row * (size + line) + 4))
    sheet.quantize(128, dither=Image.Dither.NONE).save(output, optimize=True)


def save_animation(rows: list[tuple[str, list[Image.Image]]], output: Path) -> None:
    size, line = rows[0][1][0].width, 22
    frames = []
    for index in range(max(len(pictures) for _, pictures in rows)):
        frame = Image.new("RGB", (size * len(rows), size + line), (14, 15, 18))
        for column, (prompt, pictures) in enumerate(rows):
            frame.paste(pictures[min(index, len(pictures) - 1)], (column * size, line))
            _write(frame, prompt, (column * size + 8, 4))
        frames.append(frame)
    palette = frames[len(frames) // 2].quantize(64, dither=Image.Dither.NONE)
    small = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    small[0].save(
        output, save_all=True, append_images=small[1:], duration=100, loop=0, optimize=True
    )


def _write(image: Image.Image, text: str, place: tuple[int, int]) -> None:
    ImageDraw.Draw(image).text(place, text, fill=(215, 218, 224), font=ImageFont.load_default(13))


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the wheel of Blender 4.2 crashes at exit
