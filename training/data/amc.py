# SPDX-License-Identifier: GPL-3.0-or-later
"""Acclaim ASF (skeleton) and AMC (motion) files, as CMU publishes them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.rotations import quaternion_conjugate, quaternion_multiply
from training.data.performance import Array, Figure, Performance, euler_to_quaternion, perform

_ROTATIONS = {"rx": "x", "ry": "y", "rz": "z"}
_TRANSLATIONS = ("tx", "ty", "tz")


@dataclass(frozen=True)
class Acclaim:
    """An ASF skeleton.

    Attributes:
        figure: segments; the first is `root`. Directions are of the rest pose, y up.
        channels: per segment its AMC values in order, such as ("rx", "ry", "rz").
        frames: [J, 4] the rotation of each segment's own axes at rest.
        figure_name: the file, for messages.
    """

    figure: Figure
    channels: tuple[tuple[str, ...], ...]
    frames: Array
    figure_name: str


def read_asf(text: str, *, name: str = "ASF file") -> Acclaim:
    """Reads an ASF skeleton.

    Raises:
        InputError: a section, bone or number is missing or wrong.
    """
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        if line.startswith(":"):
            key, _, rest = line[1:].partition(" ")
            current = sections.setdefault(key.lower(), [])
            line = rest.strip()
        if line:
            current.append(line)
    for section in ("root", "bonedata", "hierarchy"):
        if section not in sections:
            raise InputError(f"{name} has no :{section} section. Is it an ASF skeleton?")
    if any("deg" not in line for line in sections.get("units", []) if line.startswith("angle")):
        raise InputError(f"{name} has angles in radians; only degrees are known here.")

    root = {line.split()[0].lower(): line.split()[1:] for line in sections["root"]}
    names = ["root"]
    channels = [tuple(c.lower() for c in root.get("order", []))]
    tips = [np.zeros(3)]
    frames = [
        _axis_frame(root.get("orientation", ["0", "0", "0"]) + root.get("axis", ["XYZ"]), name)
    ]
    for bone in re.split(r"\bbegin\b", "\n".join(sections["bonedata"]))[1:]:
        fields = {
            line.split()[0].lower(): line.split()[1:]
            for line in bone.split("\nend")[0].splitlines()
            if line.split()
        }
        missing = [f for f in ("name", "direction", "length", "axis") if f not in fields]
        if missing:
            raise InputError(f"{name}: a bone has no '{missing[0]}' line: {' '.join(bone.split())}")
        names.append(fields["name"][0])
        length = _numbers(fields["length"], 1, name)[0]
        tips.append(_numbers(fields["direction"], 3, name) * length)
        channels.append(tuple(c.lower() for c in fields.get("dof", [])))
        frames.append(_axis_frame(fields["axis"], name))
    for bone_name, dofs in zip(names, channels, strict=True):
        unknown = set(dofs) - set(_ROTATIONS) - set(_TRANSLATIONS)
        if unknown or (bone_name != "root" and set(dofs) & set(_TRANSLATIONS)):
            raise InputError(f"{name}: bone '{bone_name}' has unknown dof: {' '.join(dofs)}.")

    parent_of: dict[str, str] = {}
    for line in sections["hierarchy"]:
        parent, *children = line.split()
        if parent not in ("begin", "end"):
            parent_of.update(dict.fromkeys(children, parent))
    order = ["root"]
    for parent in order:
        order.extend(child for child, p in parent_of.items() if p == parent)
    strangers = set(order) ^ set(names)
    if strangers:
        raise InputError(
            f"{name}: bone data and hierarchy differ in: {', '.join(sorted(strangers))}."
        )
    at = [names.index(n) for n in order]
    parents = [-1] + [order.index(parent_of[n]) for n in order[1:]]
    tip_array = np.array([tips[i] for i in at])
    offsets = np.array([tip_array[p] if p >= 0 else np.zeros(3) for p in parents])
    return Acclaim(
        Figure(tuple(order), tuple(parents), offsets, tip_array),
        tuple(channels[i] for i in at),
        np.array([frames[i] for i in at]),
        name,
    )


def read_amc(text: str, skeleton: Acclaim, *, name: str = "AMC file") -> Array:
    """Reads the frames of an AMC file.

    Returns:
        [T, C] values, C the channels of all segments in the order of `skeleton.figure`.

    Raises:
        InputError: no frame, a missing or strange bone line, or a value that is no number.
    """
    start = re.search(r"^\s*1\s*$", text, re.MULTILINE)
    if ":DEGREES" not in text[: start.start() if start else len(text)].upper():
        raise InputError(f"{name} does not say :DEGREES before its first frame; is it an AMC file?")
    if start is None:
        raise InputError(f"{name} has no frames.")
    body = text[start.start() :]
    block = re.split(r"^\s*\d+\s*$", body, maxsplit=2, flags=re.MULTILINE)[1]
    order = [line.split()[0] for line in block.splitlines() if line.split()]
    width = 1 + sum(len(c) for c in skeleton.channels)
    wanted = {n for n, c in zip(skeleton.figure.names, skeleton.channels, strict=True) if c}
    numbers = np.array(re.sub(r"^[ \t]*[A-Za-z]\w*", "", body, flags=re.MULTILINE).split())
    try:
        values = numbers.astype(np.float64)
    except ValueError:
        values = np.empty(0)
    names_regular = len(re.findall(r"^[ \t]*[A-Za-z]", body, re.MULTILINE))
    regular = (
        set(order) == wanted
        and len(order) == len(wanted)
        and values.size > 0
        and values.size % width == 0
        and names_regular * width == values.size * len(order)
        and np.array_equal(values[::width], np.arange(1, values.size // width + 1))
    )
    if not regular:
        raise InputError(_first_fault(body, skeleton, name))
    frames = values.reshape(-1, width)
    if not np.isfinite(frames).all():
        raise InputError(f"{name}: frame {np.argwhere(~np.isfinite(frames))[0, 0] + 1} holds NaN.")
    columns: dict[str, list[int]] = {}
    at = 1
    for bone in order:
        count = len(skeleton.channels[skeleton.figure.index(bone)])
        columns[bone] = list(range(at, at + count))
        at += count
    return frames[:, [c for bone in skeleton.figure.names for c in columns.get(bone, [])]]


def perform_amc(skeleton: Acclaim, values: Array) -> Performance:
    """Poses an ASF figure with AMC values [T, C], in the file's unit of length."""
    local = np.zeros((len(values), len(skeleton.figure.names), 4))
    local[..., 0] = 1.0
    root = np.zeros((len(values), 3))
    at = 0
    for j, dofs in enumerate(skeleton.channels):
        for k, dof in enumerate(dofs):
            if dof in _TRANSLATIONS:
                root[:, _TRANSLATIONS.index(dof)] = values[:, at + k]
        turning = [k for k, dof in enumerate(dofs) if dof in _ROTATIONS]
        if turning:  # the value written first turns first, about the segment's own axes
            axes = "".join(_ROTATIONS[dofs[k]] for k in reversed(turning))
            turn = euler_to_quaternion(values[:, [at + k for k in reversed(turning)]], axes)
            frame = skeleton.frames[j]
            turn = quaternion_multiply(turn, quaternion_conjugate(frame))
            local[:, j] = quaternion_multiply(np.broadcast_to(frame, turn.shape), turn)
        at += len(dofs)
    return perform(skeleton.figure, local, root)


def _numbers(words: list[str], count: int, name: str) -> Array:
    try:
        numbers = np.array([float(w) for w in words[:count]])
    except ValueError:
        numbers = np.empty(0)
    if numbers.size != count or not np.isfinite(numbers).all():
        raise InputError(f"{name}: expected {count} numbers, found '{' '.join(words)}'.")
    return numbers


def _axis_frame(words: list[str], name: str) -> Array:
    angles = _numbers(words, 3, name)
    order = words[3].lower() if len(words) > 3 else "xyz"
    return euler_to_quaternion(angles[::-1], order[::-1])


def _first_fault(body: str, skeleton: Acclaim, name: str) -> str:
    """Says what is wrong with the first bad line of an irregular AMC body."""
    expected = {
        n: len(c) for n, c in zip(skeleton.figure.names, skeleton.channels, strict=True) if c
    }
    frame, seen, order = 0, set(expected), list(expected)
    for line in [*body.splitlines(), str(body.count("\n") + 1)]:
        words = line.split()
        if not words:
            continue
        if len(words) == 1 and words[0].isdigit():
            absent = [n for n in order if n not in seen]
            if absent:
                return f"{name}: frame {frame} has no line for bone '{absent[0]}'; re-download it."
            if line != str(body.count("\n") + 1) and int(words[0]) != frame + 1:
                return f"{name}: frame {frame} is followed by frame {words[0]}."
            frame, seen = int(words[0]), set()
            continue
        bone, *rest = words
        if bone not in expected:
            return f"{name}: frame {frame} has bone '{bone}', which {skeleton.figure_name} has not."
        if bone in seen:
            return f"{name}: frame {frame} has two lines for bone '{bone}'."
        if len(rest) != expected[bone]:
            return (
                f"{name}: frame {frame}, bone '{bone}' has {len(rest)} values, "
                f"not {expected[bone]}."
            )
        try:
            [float(w) for w in rest]
        except ValueError:
            return f"{name}: frame {frame}, bone '{bone}' has a value that is no number."
        seen.add(bone)
    return f"{name}: its frames do not list the bones in one order."
