# SPDX-License-Identifier: GPL-3.0-or-later
"""A stage for pictures of motion: the extension's figure, a floor with a grid, a sun, a camera.

Left limbs are blue and right ones orange. Cycles renders, for it needs no graphics card. Blender's
axes: metres, z up; the figure faces -y at first and its left is +x.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector
from numpy.typing import NDArray
from PIL import Image

from t2m_blender.blender.placement import place_motion
from t2m_blender.engine.generate import GeneratedMotion

LEFT, RIGHT = (0.06, 0.28, 0.80), (0.90, 0.26, 0.03)  # linear colours
_FLOOR, _LINE, _PATH = (0.11, 0.12, 0.145), (0.26, 0.28, 0.32), (0.95, 0.68, 0.10)
_SAMPLES = 8  # a pixel, before the denoiser
_FAR = 30.0  # metres of floor each way


@dataclass(frozen=True, eq=False)
class Pose:
    """The body at one moment, where it was.

    Attributes:
        body: an object of the scene.
        moment: seconds.
        ground: the hips' place on the floor, x and y.
        points: [V, 3] the body's vertices.
    """

    body: bpy.types.Object
    moment: float
    ground: Vector
    points: NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """An orthographic camera in front, turned `yaw` to the figure's left, and `pitch` above.

    Attributes:
        yaw, pitch: radians.
    """

    yaw: float
    pitch: float

    @property
    def back(self) -> Vector:
        """From what is seen towards the camera."""
        flat = np.cos(self.pitch)
        return Vector((np.sin(self.yaw) * flat, -np.cos(self.yaw) * flat, np.sin(self.pitch)))

    @property
    def right(self) -> Vector:
        """Along the picture's width."""
        return Vector((np.cos(self.yaw), np.sin(self.yaw), 0.0))

    @property
    def up(self) -> Vector:
        """Along the picture's height."""
        return self.back.cross(self.right)


def figure(made: GeneratedMotion) -> bpy.types.Object:
    """An empty scene with a floor, a light, and the extension's figure that moves: its body."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps = round(made.motion.fps)
    (body,) = place_motion(bpy.context, made).children
    _colour_sides(body)
    _floor(scene)
    _light(scene)
    return body


def poses(made: GeneratedMotion, count: int) -> list[Pose]:
    """Such a scene with the body at `count` moments evenly in time, instead of one that moves."""
    moving = figure(made)
    scene, armature = bpy.context.scene, moving.parent
    found = []
    for frame in np.linspace(0, made.motion.frames - 1, count).round().astype(int):
        scene.frame_set(scene.frame_start + int(frame))
        evaluated = moving.evaluated_get(bpy.context.evaluated_depsgraph_get())
        mesh = bpy.data.meshes.new_from_object(evaluated)
        mesh.transform(moving.matrix_world)
        body = bpy.data.objects.new("pose", mesh)
        scene.collection.objects.link(body)
        points = np.empty(3 * len(mesh.vertices))
        mesh.vertices.foreach_get("co", points)
        hips = armature.matrix_world @ armature.pose.bones["pelvis"].head
        moment = float(frame / made.motion.fps)
        found.append(Pose(body, moment, hips.to_2d(), points.reshape(-1, 3)))
    moving.hide_render = True
    return found


def draw_path(made: GeneratedMotion, thickness: float) -> None:
    """The way of the hips over the floor, with a ball where it begins."""
    joints = made.finished.joints[:, 0]
    line = [Vector((x, -z, thickness)) for x, _, z in joints.tolist()]
    curve = bpy.data.curves.new("path", "CURVE")
    curve.dimensions, curve.bevel_depth = "3D", thickness
    spline = curve.splines.new("POLY")
    spline.points.add(len(line) - 1)
    for point, place in zip(spline.points, line, strict=True):
        point.co = (*place, 1.0)
    material = _material("path", _PATH)
    curve.materials.append(material)
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("path", curve))
    bpy.ops.mesh.primitive_uv_sphere_add(radius=2.5 * thickness, location=line[0])
    bpy.context.object.data.materials.append(material)


def render(view: View, middle: Sequence[float], width: float, size: tuple[int, int]) -> Image.Image:
    """The scene as seen by the view.

    Args:
        view: where from.
        middle: of the picture, in metres.
        width: of the picture, in metres.
        size: width and height in pixels.
    """
    scene = bpy.context.scene
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    camera.data.type, camera.data.ortho_scale = "ORTHO", width
    camera.data.sensor_fit = "HORIZONTAL"
    camera.location = Vector(middle) + 20.0 * view.back
    camera.rotation_euler = (-view.back).to_track_quat("-Z", "Y").to_euler()
    scene.render.resolution_x, scene.render.resolution_y = size
    scene.render.engine = "CYCLES"
    scene.cycles.samples = _SAMPLES
    scene.cycles.max_bounces = 2
    scene.cycles.use_denoising = True
    scene.cycles.denoising_quality = "FAST"
    scene.cycles.denoising_prefilter = "NONE"
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = "PNG"
    with tempfile.TemporaryDirectory() as folder, _silent():
        scene.render.filepath = str(Path(folder) / "picture.png")
        bpy.ops.render.render(write_still=True)
        with Image.open(scene.render.filepath) as picture:
            return picture.convert("RGB")


def _colour_sides(body: bpy.types.Object) -> None:
    """Shells of left and right limbs get their colour; skin weights tell whose they are."""
    mesh = body.data
    sides = {group.index: group.name[-2:] for group in body.vertex_groups}
    whose = [
        sides[max(vertex.groups, key=lambda group: group.weight).group] for vertex in mesh.vertices
    ]
    slots = {}
    for side, colour in ((".L", LEFT), (".R", RIGHT)):
        slots[side] = len(mesh.materials)
        mesh.materials.append(_material(side, colour))
    shell = mesh.materials.find("T2M Shell")
    for face in mesh.polygons:
        if face.material_index == shell:
            face.material_index = slots.get(whose[face.vertices[0]], shell)


def _floor(scene: bpy.types.Scene) -> None:
    """A plane with lines every half metre, stronger ones every metre."""
    _flat(scene, "floor", [((-_FAR, -_FAR), (_FAR, _FAR))], 0.0, _FLOOR)
    for name, places, half in (
        ("metres", np.arange(-_FAR, _FAR + 1.0), 0.010),
        ("halves", np.arange(-_FAR + 0.5, _FAR), 0.004),
    ):
        lines = [((p - half, -_FAR), (p + half, _FAR)) for p in places.tolist()]
        lines += [((-_FAR, p - half), (_FAR, p + half)) for p in places.tolist()]
        _flat(scene, name, lines, 0.002, _LINE)


def _flat(
    scene: bpy.types.Scene,
    name: str,
    boxes: Sequence[tuple[tuple[float, float], tuple[float, float]]],
    height: float,
    colour: tuple[float, float, float],
) -> None:
    """Rectangles that lie at a height; each by two corners."""
    corners = [
        (x, y, height) for (x0, y0), (x1, y1) in boxes
        for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
    ]  # fmt: skip
    faces = [tuple(range(k, k + 4)) for k in range(0, len(corners), 4)]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(corners, [], faces)
    mesh.materials.append(_material(name, colour))
    scene.collection.objects.link(bpy.data.objects.new(name, mesh))


def _light(scene: bpy.types.Scene) -> None:
    sun = bpy.data.lights.new("sun", "SUN")
    sun.energy, sun.angle = 3.2, 0.15
    lamp = bpy.data.objects.new("sun", sun)
    lamp.rotation_euler = (0.66, -0.21, -0.09)
    scene.collection.objects.link(lamp)
    scene.world = bpy.data.worlds.new("sky")
    scene.world.use_nodes = True
    sky = scene.world.node_tree.nodes["Background"].inputs
    sky["Color"].default_value, sky["Strength"].default_value = (0.45, 0.5, 0.6, 1.0), 0.7


def _material(name: str, colour: tuple[float, float, float]) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    surface = material.node_tree.nodes["Principled BSDF"].inputs
    surface["Base Color"].default_value = (*colour, 1.0)
    surface["Roughness"].default_value = 0.45 if name in (".L", ".R") else 0.9
    return material


@contextmanager
def _silent() -> Iterator[None]:
    """Blender tells of every sample on the process's own standard output."""
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
