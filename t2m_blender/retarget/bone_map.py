# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bone of a rig plays which joint of the skeleton.

First by name: the rig family that explains most joints, if the bones stand as a person's do. Else
by shape: legs, arms and what lies between, whatever the bones are called (`shape`). What
is no person is refused in a sentence, never guessed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..engine.errors import InputError
from ..engine.skeleton import HUMANML3D
from .bodies import find_bodies
from .families import Preset, bones_by_name, load_presets
from .figure import Figure, moving_bones
from .names import kinds_of
from .rig import Rig
from .shape import LARGEST_COST, read_body
from .stance import SURE, objection, stance
from .torso import pelvis_of, torso

TORSO = ("pelvis", "spine1", "spine2", "spine3", "neck", "head")
"""From below to above; a rig may lack all but the pelvis."""
LIMBS = tuple(
    f"{side}_{joint}"
    for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
    for side in ("left", "right")
)
READ_JOINTS = ("pelvis", *LIMBS)
"""What must have a bone, for motions to be put on a rig or read off it."""
BY_SHAPE = "by_shape"
"""The family of a rig that was recognised by its shape."""


@dataclass(frozen=True)
class BoneMap:
    """Joint name -> bone name, and how sure that is.

    Attributes:
        family: The rig family as which the names were recognised, or `BY_SHAPE`.
        bones: Joint name -> the bone whose head is that joint; a rig may lack some.
        confidence: Joint name -> 0 to 1; what the user chose is 1.
        score: Share of the skeleton's joints that have a bone, 0 to 1.
        notes: Sentences for the user: what was odd.
    """

    family: str
    bones: Mapping[str, str]
    confidence: Mapping[str, float]
    score: float
    notes: tuple[str, ...] = ()

    def with_bone(self, joint: str, bone: str | None) -> BoneMap:
        """The map after the user gave a joint another bone, or none.

        A bone plays one joint: one that played another is taken from there.

        Raises:
            InputError: There is no such joint.
        """
        if joint not in HUMANML3D.joint_names:
            raise InputError(
                f"There is no joint {joint!r}; the joints are {', '.join(HUMANML3D.joint_names)}."
            )
        bones = {j: b for j, b in self.bones.items() if j != joint and b != bone}
        if bone is not None:
            bones[joint] = bone
        confidence = {j: self.confidence[j] for j in bones if j != joint}
        if bone is not None:
            confidence[joint] = 1.0
        return _bone_map(self.family, bones, confidence, self.notes)

    @property
    def missing(self) -> tuple[str, ...]:
        """Joints of `READ_JOINTS` without a bone: with any of these the map cannot be used."""
        return tuple(joint for joint in READ_JOINTS if joint not in self.bones)


def _bone_map(
    family: str,
    bones: Mapping[str, str],
    confidence: Mapping[str, float],
    notes: tuple[str, ...] = (),
) -> BoneMap:
    names = [joint for joint in HUMANML3D.joint_names if joint in bones]
    return BoneMap(
        family,
        {joint: bones[joint] for joint in names},
        {joint: round(confidence[joint], 3) for joint in names},
        len(names) / HUMANML3D.joint_count,
        notes,
    )


def map_bones(rig: Rig, *, folders: Iterable[Path] = ()) -> BoneMap:
    """The bones of a rig onto which a motion can be put, or off which one can be read.

    Args:
        rig: At rest in any pose.
        folders: Of the user's own presets; see `presets/README.md` for their form.

    Raises:
        InputError: It is no person: the sentence says what is missing and what to do.
    """
    if len(rig.bones) < len(READ_JOINTS):
        raise InputError(
            f"The armature {rig.name!r} has too few bones ({_sample(rig)}): a person needs hips "
            f"and three bones in each arm and leg, {len(READ_JOINTS)} in all. "
            "Select a humanoid armature, or none to get a new figure."
        )
    objections: list[str] = []
    for preset, candidates in _families(rig, load_presets(folders)):
        found = _by_family(rig, preset, candidates, objections)
        if found is not None:
            return found
    notes = [f"Named as {why}: the bones were taken by their shape." for why in objections[:1]]
    found = _by_shape(rig, objections, trust_names=not notes)
    if found is not None:
        return replace(found, notes=(*notes, *found.notes))
    raise InputError(
        f"The armature {rig.name!r} ({_sample(rig)}) is not recognised as a person: "
        f"{objections[-1]}. Select a humanoid armature, choose its bones by hand in the panel Rig, "
        "or add a preset for its names."
    )


def _sample(rig: Rig) -> str:
    names = ", ".join(bone.name for bone in rig.bones[:6])
    return names + (" ..." if len(rig.bones) > 6 else "")


def _families(
    rig: Rig, presets: tuple[Preset, ...]
) -> Iterator[tuple[Preset, dict[str, list[str]]]]:
    """The families that name all that is needed, those that explain most joints first."""
    known = bones_by_name(rig)
    scored = [(*preset.found_in(known), preset) for preset in presets]
    whole = [entry for entry in scored if all(joint in entry[0] for joint in READ_JOINTS)]
    for found, _, preset in sorted(whole, key=lambda entry: -entry[1]):
        yield preset, found


def _by_family(
    rig: Rig, preset: Preset, candidates: Mapping[str, list[str]], objections: list[str]
) -> BoneMap | None:
    """The map by the names of one family, if the bones stand as its names say."""
    likeliest = {bones[0] for bones in candidates.values()}
    figure = Figure(rig, moving_bones(rig) | likeliest)
    joints = _hanging_together(figure, candidates)
    limbs = {joint: joints[joint] for joint in LIMBS}
    against = objection(figure, limbs)
    if against is not None:
        objections.append(f"{preset.title}, but {against}")
        return None
    stands = stance(figure, limbs)
    if stands.evidence < -SURE:
        objections.append(f"{preset.title}, but its left and right are swapped")
        return None
    if preset.by_user:
        named = {joint: figure.names[at] for joint, at in joints.items()}
        return _bone_map(preset.name, named, dict.fromkeys(named, 1.0))
    kinds = [kinds_of(name) for name in figure.names]
    seen = torso(figure, joints, kinds, stands.up, stands.ahead)
    pelvis = pelvis_of(figure, joints)
    if pelvis >= 0 and joints["pelvis"] not in figure.above(pelvis):
        joints["pelvis"] = pelvis
    # The family's own words stand, but where the spine has more bones than it names, or where the
    # legs hang on one of them.
    spine = {at for joint, at in joints.items() if joint.startswith("spine")}
    if "spine3" in seen and (
        seen["spine3"] != joints.get("spine3") or spine & set(figure.above(joints["left_hip"]))
    ):
        joints = {joint: at for joint, at in joints.items() if at not in spine}
    confidence = dict.fromkeys(joints, 1.0)
    for joint, at in seen.items():
        if at not in joints.values():
            joints.setdefault(joint, at)
            confidence.setdefault(joint, 0.8)
    bones = {joint: figure.names[at] for joint, at in joints.items()}
    return _bone_map(preset.name, bones, confidence)


def _hanging_together(figure: Figure, candidates: Mapping[str, list[str]]) -> dict[str, int]:
    """One bone a joint: of several that a family names, the one on which the next joint hangs."""
    found = {joint: figure.index[bones[0]] for joint, bones in candidates.items()}
    for side in ("left", "right"):
        for limb in (("knee", "hip"), ("elbow", "shoulder")):
            lower, upper = (f"{side}_{joint}" for joint in limb)
            for bone in candidates[upper]:
                at = figure.index.get(bone)
                if at is not None and figure.is_below(found[lower], at):
                    found[upper] = at
                    break
    return found


def _by_shape(rig: Rig, objections: list[str], *, trust_names: bool) -> BoneMap | None:
    """The map by what the bones are like; names are one hint among others."""
    everything = {bone.name for bone in rig.bones}
    against = "it has no two arms and two legs of three bones each, alike on both sides"
    for bones in (moving_bones(rig), everything):
        figure = Figure(rig, bones)
        for names in (True, False) if trust_names else (False,):
            kinds = [kinds_of(name) if names else frozenset[str]() for name in figure.names]
            bodies = find_bodies(figure, kinds)
            if bodies and bodies[0].cost < LARGEST_COST:
                read = read_body(figure, bodies[0], kinds)
                if not isinstance(read, str):
                    named = {joint: figure.names[at] for joint, at in read.joints.items()}
                    return _bone_map(BY_SHAPE, named, read.confidence, read.notes)
                against = read
        if bodies:  # a body that is not a person's: controls would not make it one
            break
    objections.append(against)
    return None


def bone_map_to_json(bone_map: BoneMap) -> str:
    """For keeping with an armature; `bone_map_from_json` reads it back."""
    return json.dumps(
        {
            "family": bone_map.family,
            "bones": dict(bone_map.bones),
            "confidence": dict(bone_map.confidence),
            "notes": list(bone_map.notes),
        },
        ensure_ascii=False,
    )


def bone_map_from_json(text: str, rig: Rig) -> BoneMap:
    """The map that was kept with a rig; bones that it no longer has are left out, and noted.

    Raises:
        InputError: The text is not such a map.
    """
    try:
        data = json.loads(text)
        bones = {str(joint): str(bone) for joint, bone in data["bones"].items()}
        confidence = {joint: float(data["confidence"].get(joint, 1.0)) for joint in bones}
        notes = tuple(str(note) for note in data.get("notes", ()))
        family = str(data["family"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"The bone map kept with {rig.name!r} cannot be read ({error}); press Recognise "
            "Again in the panel Rig."
        ) from error
    gone = [bone for bone in bones.values() if bone not in rig.by_name]
    if gone:
        notes = (*notes, f"No longer in the armature: {', '.join(gone)}.")
    kept = {joint: bone for joint, bone in bones.items() if bone in rig.by_name}
    return _bone_map(family, kept, confidence, notes)


def bone_map_to_preset(bone_map: BoneMap, *, name: str, title: str) -> str:
    """The text of a preset file, for a folder of presets: the names of this map as a rig family."""
    preset = {"name": name, "title": title, "bones": dict(bone_map.bones)}
    return json.dumps(preset, indent=2, ensure_ascii=False) + "\n"
