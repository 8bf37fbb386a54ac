# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel's fields ask for, as values that a thread may hold: nothing here is of Blender's
data but names and numbers. Main thread only, but for `make_motions`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import bpy

from ..engine.errors import InputError
from ..engine.generated import Part
from . import models
from .rig_keys import PlacementOptions
from .selection import scene_rate
from .task import IsCancelled, OnProgress
from .transfer_panel import placement_options

if TYPE_CHECKING:
    from ..engine.generate import GeneratedMotion, TextToMotion

Where = Literal["START", "PLAYHEAD", "STRIP"]

_CLOSENESS = {"LOOSE": 0.7, "NORMAL": 1.0, "CLOSE": 1.35}  # times the model's guidance
_VARIETY = {"CALM": 0.75, "NORMAL": 1.0, "WILD": 1.2}  # times the model's temperature


@dataclass(frozen=True, kw_only=True)
class ModelAsked:
    """Which model, and what computes it: the arguments of `models.loaded`."""

    path: str
    runtime: str
    device: str

    def load(self) -> TextToMotion:
        return models.loaded(self.path, self.runtime, self.device)


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How freely the model draws: words, or numbers where they are given.

    Attributes:
        closeness, variety: Of the panel.
        guidance, temperature: None takes what the words say.
    """

    closeness: str = "NORMAL"
    variety: str = "NORMAL"
    guidance: float | None = None
    temperature: float | None = None

    def numbers(self, model: TextToMotion) -> dict[str, float]:
        """The arguments `guidance` and `temperature` of every way to generate."""
        own = model.checkpoint.sampling
        guidance, temperature = self.guidance, self.temperature
        if guidance is None:
            guidance = own["guidance"] * _CLOSENESS[self.closeness]
        if temperature is None:
            temperature = own["temperature"] * _VARIETY[self.variety]
        return {"guidance": guidance, "temperature": temperature}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a motion goes.

    Attributes:
        scene: Its name.
        armature: Session number of the one that moves; None for a new figure.
        name: Of that armature, for messages.
        where: A new Action or a strip.
        frame_start: Of the first key.
        frames: Exactly so many keys; None takes the motion's own length.
        track: Of the NLA; empty for a new one.
        blend: Frames over which a strip fades in and out.
        options: How it is put on the rig.
    """

    scene: str
    armature: int | None
    name: str
    where: Where
    frame_start: int
    frames: int | None
    track: str
    blend: tuple[float, float]
    options: PlacementOptions

    def find_armature(self) -> bpy.types.Object | None:
        """The armature, wherever undo and renaming have put it; None for a new figure.

        Raises:
            InputError: It is gone.
        """
        if self.armature is None:
            return None
        for object in bpy.data.objects:
            if object.session_uid == self.armature:
                return object
        raise InputError(
            f'The armature "{self.name}" is gone, so the motion waits: undo the deletion and press '
            "Place Again, or discard it."
        )


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Motions to make, and where they go.

    Attributes:
        parts: Prompts in a row.
        seeds: One a take.
        loop: See `engine.generate.Settings`.
        manner, model, place: How, by what, where to.
    """

    parts: tuple[Part, ...]
    seeds: tuple[int, ...]
    loop: bool
    manner: Manner
    model: ModelAsked
    place: Place


def make_motions(
    asked: Asked, on_progress: OnProgress, is_cancelled: IsCancelled
) -> list[GeneratedMotion]:
    """The motions, side by side; may run in a thread.

    Raises:
        T2MError: See `engine.generate.generate_sequences`.
    """
    from ..engine.generate import generate_sequences

    model = asked.model.load()
    options = asked.place.options
    return generate_sequences(
        [asked.parts] * len(asked.seeds),
        model=model,
        seeds=asked.seeds,
        loop=asked.loop,
        in_place=options.travel == "none",
        foot_lock=options.foot_lock,
        on_progress=on_progress,
        is_cancelled=is_cancelled,
        **asked.manner.numbers(model),
    )


def asked_in_panel(context: bpy.types.Context, armature: bpy.types.Object | None) -> Asked:
    """What the panel's fields ask for.

    Raises:
        InputError: A field that cannot be used.
    """
    settings = context.scene.t2m
    place = place_in_panel(context, armature)
    parts = _parts(settings, place, scene_rate(context.scene))
    return Asked(
        parts=parts,
        seeds=tuple(range(settings.seed, settings.seed + settings.takes)),
        loop=settings.loop,
        manner=manner_in_panel(settings),
        model=model_asked(settings.model),
        place=place,
    )


def manner_in_panel(settings: bpy.types.PropertyGroup) -> Manner:
    """How freely the panel lets the model draw."""
    return Manner(
        closeness=settings.closeness,
        variety=settings.variety,
        guidance=settings.guidance if settings.use_numbers else None,
        temperature=settings.temperature if settings.use_numbers else None,
    )


def place_in_panel(context: bpy.types.Context, armature: bpy.types.Object | None) -> Place:
    """Where the panel's fields put a motion.

    Raises:
        InputError: The frame range is empty.
    """
    scene, settings = context.scene, context.scene.t2m
    first = scene.frame_start if settings.where == "START" else scene.frame_current
    frames = settings.frames if settings.length == "FRAMES" else None
    if settings.length == "RANGE":
        frames = scene.frame_end - first + 1
        if frames < 2:
            raise InputError(
                "Nothing of the frame range is left after the playhead. Move it, or choose another "
                "length."
            )
    return Place(
        scene=scene.name,
        armature=armature.session_uid if armature else None,
        name=armature.name if armature else "",
        where=settings.where,
        frame_start=first,
        frames=frames,
        track=settings.track,
        blend=(settings.blend_in, settings.blend_out),
        options=placement_options(scene),
    )


def model_asked(name: str) -> ModelAsked:
    """A model by its name in the list, on what the preferences say.

    Raises:
        InputError: There is no such model.
    """
    from .preferences import asked

    return ModelAsked(path=models.path_of(name), **asked())


def asked_again(
    context: bpy.types.Context, armature: bpy.types.Object, action: bpy.types.Action
) -> Asked:
    """What the recipe of an Action asks for, with the sentence as it is edited now.

    Raises:
        InputError: It has no recipe, or a damaged one; or its model is not here.
    """
    try:
        recipe = recipe_in(action)
        seconds = float(recipe["seconds"]) if recipe["length"] == "exact" else None
        parts = tuple(Part(str(p), s) for p, s in json.loads(recipe.get("parts", "[]")))
        prompt = action.t2m_prompt_edit
        if not parts or prompt != recipe["prompt"]:
            parts = (Part(prompt, seconds),)
        first, last = action.curve_frame_range
        usual = placement_options(context.scene)
        kept = json.loads(action.get("t2m_free_pose", "{}"))
        options = replace(
            usual,
            foot_lock=bool(recipe.get("foot_lock", True)),
            travel=kept.get("travel", usual.travel),
            ik=frozenset(kept["ik"]) if "ik" in kept else usual.ik,
            key_error=kept.get("key_error", usual.key_error),
        )
        return Asked(
            parts=parts,
            seeds=(int(recipe["seed"]),),
            loop=bool(recipe.get("loop", False)),
            manner=Manner(
                guidance=float(recipe["guidance"]), temperature=float(recipe["temperature"])
            ),
            model=model_asked(str(recipe["model"])),
            place=Place(
                scene=context.scene.name,
                armature=armature.session_uid,
                name=armature.name,
                where="START",
                frame_start=round(first),
                frames=round(last - first) + 1 if seconds is not None else None,
                track="",
                blend=(0.0, 0.0),
                options=options,
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f'The Action "{action.name}" holds no recipe: only what this add-on has generated can '
            "be made again."
        ) from error


def recipe_in(action: bpy.types.Action) -> Mapping[str, Any]:
    """The recipe that an Action keeps; empty if it was not generated."""
    keys = ("prompt", "seed", "seconds", "length", "guidance", "temperature", "model",
            "model_sha256", "parts", "loop", "foot_lock", "edits", "version")  # fmt: skip
    return {key: action[f"t2m_{key}"] for key in keys if f"t2m_{key}" in action}


def _parts(settings: bpy.types.PropertyGroup, place: Place, rate: float) -> tuple[Part, ...]:
    """The prompts in a row; what is left of an exact length goes to parts without their own."""
    rows = [(row.prompt, row.seconds if row.exact else None) for row in settings.next_prompts]
    rows = [(prompt, seconds) for prompt, seconds in rows if prompt.strip()]
    if settings.length == "FREE":
        return tuple(Part(*row) for row in [(settings.prompt, None), *rows])
    whole = settings.seconds if place.frames is None else place.frames / rate
    rows = [(settings.prompt, None), *rows]
    open_parts = sum(seconds is None for _, seconds in rows)
    share = (whole - sum(seconds or 0.0 for _, seconds in rows)) / open_parts
    if share <= 0.0:
        raise InputError(
            f"The parts together are longer than the {whole:g} s that were asked for. Make them "
            "shorter, or the whole longer."
        )
    return tuple(Part(prompt, share if s is None else s) for prompt, s in rows)
