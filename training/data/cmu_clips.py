# SPDX-License-Identifier: GPL-3.0-or-later
"""Which clips are cut from the CMU trials, for which split, with which captions.

HumanML3D's clips are cut where it cuts them. A trial with any clip in val or test gives nothing to
training: its train clips are left out, and so is what HumanML3D does not caption. That rest of the
other trials is cut into windows of at most 200 frames, whose captions are in
`cmu_descriptions.json`:

    {"descriptions": {"salsa dance": {"any": ["a person dances the salsa"], "facts": false},
                      "run/jog, sudden stop": {"whole": ["a person jogs and stops suddenly"]}, ...},
     "windows": {"14_27": [{"start": 2.0, "end": 7.5, "captions": ["a person sits down"]}, ...]}}

A description's sentences are those of all trials that CMU describes so: "any" for those true of any
part of the trial, "whole" for those true of the whole; "facts": false says that measured facts
would mislead (dancing is not walking). A window (seconds from the trial's first frame) becomes a
clip of its own. What has no words of these has none, unless the motion itself leaves no doubt
(`training.data.sentences`); it still serves the VQ-VAE. Short straight runs are repeated
(`training.data.gait`).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.skeleton import Skeleton
from training.data.captions import Caption, part_letters, read_caption
from training.data.cmu import Trial
from training.data.cmu_files import Pair, Trials
from training.data.dataset import SPLITS, Skipped
from training.data.facts import find_actions
from training.data.floor import Array
from training.data.gait import repeated_gait
from training.data.sentences import describe

LONGEST = 200  # frames of a clip of HumanML3D
SHORTEST = 40

# Why something is left out.
TOO_SHORT = f"shorter than {SHORTEST} frames"
LEFT_OUT = "a train clip of a trial with val or test clips"
HELD_OUT_REST = "what has no caption in a trial with val or test clips"

_SHORT_GAIT = 45  # frames of a trial under which a straight walk or run is repeated ...
_REPEATED = 100  # ... to so many

_OURS = Path(__file__).with_name("cmu_descriptions.json")


@dataclass(frozen=True)
class Cut:
    """A clip to be: frames [start, end) of a trial.

    Attributes:
        id: of the clip.
        start, end: frames of the trial at the target's rate.
        split: train, val or test.
        captions: (sentence, origin).
        repeated: the motion is a gait repeated to so many frames; 0 where it is as captured.
    """

    id: str
    start: int
    end: int
    split: str
    captions: tuple[tuple[str, str], ...]
    repeated: int = 0

    def joints(self, trial: Trial, skeleton: Skeleton) -> Array:
        """The cut's joints [T, J, 3].

        Raises:
            InputError: the gait cannot be repeated.
        """
        joints = trial.joints[self.start : self.end]
        if not self.repeated:
            return joints
        repeated = repeated_gait(joints, skeleton, frames=self.repeated)
        if repeated is None:
            raise InputError(f"{self.id} holds no straight walk or run that can be repeated.")
        return repeated


@dataclass(frozen=True)
class Plan:
    """What is to be cut from every trial.

    Attributes:
        captioned: trial -> HumanML3D's clips in it that are used.
        left_out: trial with clips in val or test -> its train clips, which are not used.
        held_out: trials with clips in val or test.
        descriptions, windows: of cmu_descriptions.json.
        names: trial -> CMU's description.
        skipped: clips that will not be cut.
    """

    captioned: dict[str, list[Pair]]
    left_out: dict[str, list[Pair]]
    held_out: frozenset[str]
    descriptions: dict[str, dict[str, Any]]
    windows: dict[str, list[dict[str, Any]]]
    names: dict[str, str]
    skipped: list[Skipped] = field(default_factory=list)

    def cuts(self, name: str, trial: Trial, skeleton: Skeleton) -> tuple[list[Cut], list[Skipped]]:
        """The clips of one trial, and what of it is left out: too short, held out, or faulty."""
        cuts: list[Cut] = []
        skipped: list[Skipped] = []
        taken: list[tuple[int, int]] = []
        for pair in self.captioned.get(name, []):
            start, end = max(pair.start, trial.first), min(pair.end, len(trial.joints))
            taken.append((start, end))
            made, faults = _pair_cuts(pair, start, end, skeleton.fps)
            skipped += faults
            for cut in made:
                if cut.end - cut.start < SHORTEST:
                    skipped.append(Skipped(cut.id, TOO_SHORT, expected=True))
                else:
                    cuts.append(cut)
        count = len(trial.joints)
        if name in self.held_out:
            taken += [(pair.start, pair.end) for pair in self.left_out.get(name, [])]
            skipped += [
                Skipped(f"cmu_{name}_{start:04d}", HELD_OUT_REST, expected=True)
                for start, end in rest(taken, trial.first, count)
            ]
            return cuts, skipped
        for window in self.windows.get(name, []):
            start = max(round(window["start"] * skeleton.fps), trial.first)
            end = min(round(window["end"] * skeleton.fps), len(trial.joints))
            taken.append((start, end))
            captions = tuple((text, "hand") for text in window["captions"])
            id = f"cmu_{name}_{start:04d}"
            if any(cut.id == id for cut in cuts):  # windows may overlap
                id += f"_{end:04d}"
            cuts.append(Cut(id, start, end, "train", captions))
        words = self.descriptions.get(self.names[name], {})
        if count - trial.first < _SHORT_GAIT and words.get("facts", True):
            gait = repeated_gait(trial.joints[trial.first :], skeleton, frames=_REPEATED)
            facts = (
                tuple((t, "facts") for t in describe(gait, skeleton)) if gait is not None else ()
            )
            if facts:
                cut = Cut(f"cmu_{name}_gait", trial.first, count, "train", facts, _REPEATED)
                cuts.append(cut)
        for start, end in rest(taken, trial.first, count):
            whole = (start, end) == (trial.first, count)
            sentences = [(text, "cmu description") for text in words.get("any", [])]
            sentences += [(text, "cmu description") for text in words.get("whole", []) if whole]
            pieces = [(start, end)]
            measured = words.get("facts", True)
            if measured and not sentences:
                pieces = _split(trial.joints, start, end, skeleton)
            for a, b in pieces:
                said = describe(trial.joints[a:b], skeleton) if measured else []
                captions = (*sentences, *((text, "facts") for text in said))
                cuts.append(Cut(f"cmu_{name}_{a:04d}", a, b, "train", captions))
        return cuts, skipped


def plan_clips(trials: Trials, captions: Path | None = None) -> Plan:
    """Decides splits, and which clips of HumanML3D are used.

    Raises:
        InputError: the captions file is malformed.
    """
    held_out = frozenset(pair.trial for pair in trials.pairs if pair.split != "train")
    captioned: dict[str, list[Pair]] = {}
    left_out: dict[str, list[Pair]] = {}
    skipped: list[Skipped] = []
    for pair in trials.pairs:
        if pair.trial not in trials.table:
            skipped.append(Skipped(pair.id, f"its trial {pair.trial} is not in trials.json", False))
        elif pair.split not in SPLITS:
            skipped.append(Skipped(pair.id, f"its split is '{pair.split}'", False))
        elif pair.split == "train" and pair.trial in held_out:
            skipped.append(Skipped(pair.id, LEFT_OUT, expected=True))
            left_out.setdefault(pair.trial, []).append(pair)
        else:
            captioned.setdefault(pair.trial, []).append(pair)
    ours = _read_captions(captions or _OURS)
    names = {name: trials.description(name) for name in trials.names}
    return Plan(
        captioned, left_out, held_out, ours["descriptions"], ours["windows"], names, skipped
    )


def rest(taken: list[tuple[int, int]], first: int, count: int) -> list[tuple[int, int]]:
    """Windows [start, end) of at most 200 and at least 40 frames outside the taken ones."""
    windows: list[tuple[int, int]] = []
    at = first
    for start, end in [*sorted(taken), (count, count)]:
        length = start - at
        if length >= SHORTEST:
            parts = math.ceil(length / LONGEST)
            edges = [at + round(length * k / parts) for k in range(parts + 1)]
            windows += list(pairwise(edges))
        at = max(at, end)
    return windows


def _split(joints: Array, start: int, end: int, skeleton: Skeleton) -> list[tuple[int, int]]:
    """A stretch cut where its actions begin and end; what lies between is cut as `rest` does."""
    actions = [
        (start + a, start + b)
        for a, b in find_actions(joints[start:end], skeleton)
        if describe(joints[start + a : start + b], skeleton)
    ]
    return sorted(actions + rest(actions, start, end))


def _pair_cuts(pair: Pair, start: int, end: int, fps: float) -> tuple[list[Cut], list[Skipped]]:
    """One clip with the captions about all of it, and one for each caption about a part."""
    captions: list[Caption] = []
    faults: list[Skipped] = []
    for number, line in enumerate(pair.captions, start=1):
        try:
            captions.append(read_caption(line))
        except InputError as error:
            faults.append(Skipped(f"{pair.id}, caption {number}", str(error), expected=False))
    whole = tuple((c.text, "humanml3d") for c in captions if math.isinf(c.end))
    cuts = [Cut(pair.id, start, end, pair.split, whole)]
    for k, c in enumerate(c for c in captions if not math.isinf(c.end)):
        from_, to = start + round(c.start * fps), min(start + round(c.end * fps), end)
        part = Cut(f"{pair.id}{part_letters(k)}", from_, to, pair.split, ((c.text, "humanml3d"),))
        cuts.append(part)
    return cuts, faults


def _read_captions(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        descriptions, windows = content["descriptions"], content["windows"]
        for words in descriptions.values():
            assert set(words) <= {"any", "whole", "facts"}
            assert all(s.strip() for s in [*words.get("any", []), *words.get("whole", [])])
        for rows in windows.values():
            for row in rows:
                assert 0 <= float(row["start"]) < float(row["end"])
                assert all(isinstance(s, str) and s.strip() for s in row["captions"])
    except OSError as error:
        raise InputError(f"The captions file {path} cannot be read ({error.strerror}).") from None
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise InputError(
            f"The captions file {path} is malformed ({error!r}): it needs 'descriptions' "
            "(text -> sentences) and 'windows' (trial -> start, end, captions)."
        ) from None
    return {"descriptions": descriptions, "windows": windows}
