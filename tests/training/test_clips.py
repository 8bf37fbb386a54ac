# SPDX-License-Identifier: GPL-3.0-or-later
"""Animation files to a dataset: tables, cycles, and `prepare clips` and `prepare actions`."""

from __future__ import annotations

import json
import shutil
import struct
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from t2m_blender.engine.errors import InputError, RuntimeMissingError
from t2m_blender.engine.features import features_to_joints, rigid_joints
from t2m_blender.engine.skeleton import HUMANML3D
from training.__main__ import main
from training.data.clip_table import read_clip_table
from training.data.clips import ClipOptions, licence_beside, read_file
from training.data.cycles import repeated, travelling
from training.data.dataset import Dataset, read_dataset

CAPTIONS = Path(__file__).parents[2] / "training" / "data" / "cc0_captions.csv"
BASE = "mesh2motion/human-base-animations.50clips.glb"
ADVANCED = "kaykit/Med_MovementAdvanced.glb"
SIMULATION = "kaykit/Med_Simulation.glb"


@pytest.fixture(scope="session")
def bpy():
    return pytest.importorskip("bpy", reason="needs Blender's Python module")


@pytest.fixture(scope="module")
def clip(parity: Path) -> np.ndarray:
    with np.load(parity / "humanml3d_012314.npz") as data:
        return rigid_joints(data["joints"].astype(np.float64), HUMANML3D)


def prepare(*arguments: object) -> int:
    return main(["prepare", *(str(argument) for argument in arguments), "--quiet"])


def glb_clips(path: Path) -> list[str]:
    """Names of the animations in a GLB file, without the armature in front."""
    content = path.read_bytes()
    (length,) = struct.unpack("<I", content[12:16])
    scene = json.loads(content[20 : 20 + length])
    return [row["name"].split("|")[-1] for row in scene.get("animations", [])]


def joints_of(dataset: Dataset, name: str) -> np.ndarray:
    return features_to_joints(dataset.features[name].astype(np.float64), HUMANML3D)


# Tables


def test_a_table_holds_several_captions_and_repeats_of_a_clip(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(
        "\ufeff# made by hand\nfile,clip,caption,repeat,travel,split,licence,skip\n"
        'a/b.glb,Walk,"a person walks, slowly",,,val,CC-BY-4.0,\n'
        "a/b.glb,Walk,someone strolls#tail,,,,,\n"
        "a/b.glb,Walk,a person walks on and on,5,feet,,,\n"
        "a/b.glb,Pose,,,,,,a still pose\n"
        "c.fbx,,,,,,,the same again\n"
        ",Wave,a person waves,,,,,\n",
        encoding="utf-8",
    )
    table = read_clip_table(path)
    assert table.faults == ()
    walk = table.clip("a/b.glb", "Walk")
    assert walk is not None
    assert walk.captions == {
        1: ["a person walks, slowly", "someone strolls"],
        5: ["a person walks on and on"],
    }
    assert (walk.split, walk.licence, walk.travel, walk.skip) == ("val", "CC-BY-4.0", True, "")
    assert table.skipped_file("c.fbx") == "the same again"
    assert table.skipped_file("a/b.glb") == ""
    assert table.clip("any.bvh", "Wave") is not None and table.clip("any.bvh", "Walk") is None
    assert table.without_clip() == ["a/b.glb: Pose"]


def test_bad_rows_are_named_and_the_others_kept(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(
        "file,clip,caption,repeat,travel,split\n"
        "a.glb,Run,a person runs,,,\n"
        "a.glb,,a person runs,,,\n"
        "a.glb,B,a person runs,many,,\n"
        "a.glb,C,a person runs,0,,\n"
        "a.glb,D,a person runs,,hands,\n"
        "a.glb,E,a person runs,,,holdout\n"
        "a.glb,F,a person runs, slowly,,,,\n"
        "a.glb,G,#only/NOUN#0.0#0.0,,,\n"
    )
    table = read_clip_table(path)
    assert [fault.item for fault in table.faults] == [f"table.csv row {k}" for k in range(2, 9)]
    told = " ".join(fault.reason for fault in table.faults)
    for word in ("names no clip", "many", "0", "hands", "holdout", "quotes", "no sentence"):
        assert word in told
    assert table.clip("a.glb", "Run") is not None and table.clip("a.glb", "B") is None
    with pytest.raises(InputError, match="cannot be read"):
        read_clip_table(tmp_path / "none.csv")


def test_our_table_speaks_of_every_clip_of_the_libraries(shared: Path) -> None:
    folder = shared / "data" / "cc0_clips"
    table = read_clip_table(CAPTIONS)
    assert table.faults == ()
    said = Counter()
    for path in sorted(folder.rglob("*.glb")):
        file = path.relative_to(folder).as_posix()
        if table.skipped_file(file):
            continue
        for name in glb_clips(path):
            row = table.clip(file, name)
            assert row is not None, f"{file}: {name} is not in the table"
            captions = [text for texts in row.captions.values() for text in texts]
            assert bool(row.skip) != bool(captions), f"{file}: {name}: captions or a reason"
            said["skipped" if row.skip else "captioned"] += 1
    assert table.without_clip() == []
    assert said["captioned"] > 80


# Cycles


def test_a_cycle_repeats_without_a_seam(clip: np.ndarray) -> None:
    there_and_back = np.concatenate((clip[:40], clip[38::-1]))
    there_and_back[-1, 1:] += 0.01  # does not close quite
    played = repeated(there_and_back, 3, HUMANML3D)
    length = len(there_and_back) - 1
    assert len(played) == 3 * length + 1
    steps = np.linalg.norm(np.diff(played, axis=0), axis=-1)
    assert steps.max() < np.linalg.norm(np.diff(clip[:40], axis=0), axis=-1).max() + 0.005
    assert np.allclose(played[:length], played[length : 2 * length], atol=1e-6)
    with pytest.raises(InputError, match="cm from its first"):
        repeated(clip[:40], 2, HUMANML3D)


def test_a_cycle_with_a_way_goes_on(clip: np.ndarray) -> None:
    there_and_back = np.concatenate((clip[:40], clip[38::-1]))
    way = np.linspace(0.0, 1.5, len(there_and_back))[:, None, None] * [0.0, 0.0, 1.0]
    played = repeated(there_and_back + way, 4, HUMANML3D)
    assert np.allclose(played[-1, 0] - played[0, 0], [0.0, 0.0, 6.0], atol=1e-6)


def test_what_has_no_standing_foot_cannot_travel(clip: np.ndarray) -> None:
    turning = clip.copy()
    angle = np.arange(len(clip)) * 0.7
    turning[..., 0] += 2.0 * np.cos(angle)[:, None]
    turning[..., 2] += 2.0 * np.sin(angle)[:, None]
    with pytest.raises(InputError, match="cannot travel"):
        travelling(turning, HUMANML3D, fps=20.0)


# Options


def test_splits_are_shares_and_always_the_same() -> None:
    options = ClipOptions(val=0.2, test=0.1)
    names = [f"file.glb/clip {number}" for number in range(2000)]
    shares = Counter(map(options.split, names))
    assert shares["val"] == pytest.approx(400, abs=60)
    assert shares["test"] == pytest.approx(200, abs=50)
    wider = ClipOptions(val=0.2, test=0.2)
    assert all(wider.split(n) == "test" for n in names if options.split(n) == "test")
    for bad in ({"val": -0.1}, {"val": 0.6, "test": 0.4}, {"test": float("nan")}):
        with pytest.raises(InputError, match="less than 1"):
            ClipOptions(**bad)


def test_the_licence_is_read_off_its_file(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "cc0_clips"
    for file in (BASE, SIMULATION):
        assert licence_beside(folder / file, folder) == "CC0-1.0"
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert licence_beside(deep / "x.glb", tmp_path) == "unknown"
    (tmp_path / "License.txt").write_text("\nCreative Commons Attribution 4.0\n...")
    found = licence_beside(deep / "x.glb", tmp_path)
    assert found == "Creative Commons Attribution 4.0 (License.txt)"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# CC0 1.0 Universal\n...", "CC0-1.0"),
        ("Rigs and clips\nSPDX-License-Identifier: CC0-1.0", "CC0-1.0"),
        (
            "All rights reserved; this is not CC0.",
            "All rights reserved; this is not CC0. (LICENSE)",
        ),
        ("", "unknown"),
    ],
)
def test_only_the_deed_itself_is_cc0(tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / "licenses").mkdir()
    assert licence_beside(tmp_path / "x.glb", tmp_path) == "unknown"
    (tmp_path / "LICENSE").write_text(text)
    assert licence_beside(tmp_path / "x.glb", tmp_path) == found


def test_clips_shorter_than_two_tokens_are_refused() -> None:
    assert ClipOptions(shortest=0.4).shortest == 0.4
    for bad in (0.1, 0.0, float("nan")):
        with pytest.raises(InputError, match=r"--shortest 0\.4 or more"):
            ClipOptions(shortest=bad)


def test_without_blender_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("t2m_blender.blender.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "bpy", None)
    with pytest.raises(RuntimeMissingError, match="pip install bpy"):
        read_file(tmp_path / "x.glb", fps=20.0, on_skip=lambda name, reason: None)


# Through Blender


@pytest.fixture(scope="module")
def cc0(bpy, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Three files of the two libraries, with our captions."""
    root = tmp_path_factory.mktemp("cc0")
    source = shared / "data" / "cc0_clips"
    for file in (BASE, ADVANCED, SIMULATION, "kaykit/LICENSE", "mesh2motion/LICENSE-CC0.MD"):
        (root / "clips" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / file, root / "clips" / file)
    rows = CAPTIONS.read_text(encoding="utf-8").splitlines()
    files = ("#", "file,", BASE, ADVANCED, SIMULATION)
    (root / "table.csv").write_text("\n".join(r for r in rows if r.startswith(files)))
    table = root / "table.csv"
    status = prepare("clips", root / "clips", "--captions", table, "-o", root / "out", "--val", 0.2)
    assert status == 0
    return read_dataset(root / "out")


def test_prepared_clips_are_captioned_people_on_the_floor(cc0: Dataset) -> None:
    assert cc0.name == "clips" and cc0.licence == "CC0-1.0" and cc0.skeleton is HUMANML3D
    plain = [clip for clip in cc0.clips if not clip.mirrored]
    assert len(plain) == len(cc0.clips) / 2 > 30
    assert all(clip.captions for clip in plain)
    assert {clip.split for clip in plain} == {"train", "val"}
    assert {clip.licence for clip in plain} == {"CC0-1.0"}
    assert all(skip.expected for skip in cc0.skipped) and len(cc0.skipped) > 20
    by_id = {clip.id: clip for clip in cc0.clips}
    for clip in plain:
        assert by_id["M" + clip.id].split == clip.split
        joints = joints_of(cc0, clip.id)
        assert -0.1 < joints[..., 1].min() < 0.06, clip.id
        assert joints[0, :, 1].max() < 2.4
        bones = np.linalg.norm(joints - joints[:, list(HUMANML3D.parents)], axis=-1)[:, 1:]
        assert np.abs(bones - HUMANML3D.bone_lengths[1:]).max() < 1e-3, clip.id
    wave = by_id["Mkaykit.med_simulation.waving"]
    assert wave.captions[0] == "a person waves with the left hand raised over the head"
    hands = joints_of(cc0, wave.id)[:, [20, 21], 1]
    assert (hands[:, 0] > hands[:, 1] + 0.3).all()


def test_a_walk_on_the_spot_travels_at_the_pace_of_its_feet(cc0: Dataset) -> None:
    walk = joints_of(cc0, "mesh2motion.human-base-animations.50clips.walk_loop.x4")
    assert len(walk) == pytest.approx(4 * 1.333 * 20, abs=1)
    speed = (walk[-1, 0] - walk[0, 0]) / (len(walk) - 1) * 20
    assert 0.8 < speed[2] < 1.4 and abs(speed[0]) < 0.15
    feet = walk[:, [7, 8, 10, 11]]
    lowest = feet[..., 1].argmin(axis=1)
    steps = np.linalg.norm(np.diff(feet[..., [0, 2]], axis=0), axis=-1) * 20
    standing = steps[np.arange(len(steps)), lowest[:-1]]
    assert np.median(standing) < 0.15
    cycle = round(1.333 * 20 * 3)  # three cycles are 80 frames exactly
    assert np.abs((walk[80:] - walk[:-80]) - (walk[80, 0] - walk[0, 0])).max() < 0.02, cycle


def test_bad_files_are_named_and_the_rest_is_kept(
    bpy, shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    source = shared / "data" / "cc0_clips"
    shutil.copy(source / SIMULATION, folder / "good.glb")
    shutil.copy(source / "mesh2motion" / "rig-human.glb", folder / "still.glb")
    (folder / "broken.glb").write_bytes(b"glTF" + bytes(40))
    (folder / "worm.bvh").write_text(
        "HIERARCHY\nROOT Head\n{\nOFFSET 0 0 0\nCHANNELS 3 Zrotation Xrotation Yrotation\n"
        "End Site\n{\nOFFSET 0 0 1\n}\n}\nMOTION\nFrames: 2\nFrame Time: 0.05\n0 0 0\n0 0 0\n"
    )
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.mesh.primitive_cube_add()
    bpy.ops.export_scene.gltf(filepath=str(folder / "cube.glb"))
    table = tmp_path / "table.csv"
    table.write_text(
        "file,clip,caption\ngood.glb,Waving,a person waves with the right hand\n"
        "good.glb,Nowhere,a person does nothing\nlost.glb,Waving,a person waves\n"
    )
    status = prepare("clips", folder, "--captions", table, "-o", tmp_path / "out", "--no-mirror")
    assert status == 3
    told = capsys.readouterr().out
    dataset = read_dataset(tmp_path / "out")
    faults = {skip.item: skip.reason for skip in dataset.skipped if not skip.expected}
    assert set(faults) == {
        "broken.glb", "cube.glb", "still.glb: animation", "worm.bvh: worm",
        "good.glb: Nowhere", "lost.glb: Waving",
    }  # fmt: skip
    assert "no armature" in faults["cube.glb"] and "cannot be read" in faults["broken.glb"]
    assert "too few bones" in faults["worm.bvh: worm"]
    assert all(item in told for item in faults)
    assert {clip.id: clip.captions for clip in dataset.clips if clip.captions} == {
        "good.waving": ("a person waves with the right hand",)
    }
    assert len(dataset.clips) > 8
    assert any("without a caption" in note and "Cheering" in note for note in dataset.notes)
    assert {clip.licence for clip in dataset.clips} == {"unknown"}

    table.write_text("clip;text\nWaving;a person waves\n")
    for file in ("still.glb", "broken.glb", "worm.bvh", "cube.glb"):
        (folder / file).unlink()
    arguments = ("-o", tmp_path / "out", "--licence", "CC0-1.0")
    assert prepare("clips", folder, "--captions", table, *arguments) == 3
    assert "the table has the columns clip;text" in capsys.readouterr().out
    kept = read_dataset(tmp_path / "out").clips
    assert kept and not any(clip.captions for clip in kept)
    assert {clip.licence for clip in kept} == {"CC0-1.0"}


def test_unusable_sources_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    out = ("-o", tmp_path / "out")
    assert prepare("clips", empty, *out) == 2
    assert prepare("clips", tmp_path / "none", *out) == 2
    assert prepare("actions", tmp_path / "none.blend", *out) == 2
    assert prepare("actions", empty, *out) == 2
    assert prepare("clips", empty, *out, "--val", "1.5") == 2
    told = capsys.readouterr().err
    for words in ("holds no .glb", "is no folder", "no file", "no .blend file", "less than 1"):
        assert words in told
    assert not (tmp_path / "out").exists()


def test_actions_of_a_blend_become_a_dataset(bpy, tmp_path: Path, clip: np.ndarray) -> None:
    from t2m_blender.blender.action import write_action
    from t2m_blender.blender.armature import armature_to_rig, make_default_armature
    from t2m_blender.blender.channels import pose_channels
    from t2m_blender.engine.motion import Motion
    from t2m_blender.retarget import map_bones, motion_to_pose

    bpy.ops.wm.read_factory_settings(use_empty=True)
    armature = make_default_armature(bpy.context)
    rig = armature_to_rig(armature)
    captions = {
        "My walk": {"caption": "a person walks to the left"},
        "Short": {"caption": "a person twitches"},
        "Turn": {"t2m_prompt": "a person turns around"},
        "Untold": {},
    }
    frames = {"My walk": slice(0, 100), "Short": slice(0, 10), "Turn": slice(90, 160)}
    for name, properties in captions.items():
        part = Motion(clip[frames.get(name, slice(0, 80))], 20.0)
        track = motion_to_pose(part, rig, map_bones(rig), rate=24.0)
        channels, _ = pose_channels(armature, track)
        action = write_action(armature, channels, name=name, frame_start=1, recipe={})
        for key, value in properties.items():
            action[key] = value
    bpy.data.actions.new("Empty").use_fake_user = True
    blend = tmp_path / "mine.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend), copy=True)
    bpy.ops.wm.read_factory_settings(use_empty=True)

    out = tmp_path / "out"
    assert prepare("actions", blend, "-o", out, "--licence", "mine") == 3
    dataset = read_dataset(out)
    assert {(s.item, s.expected) for s in dataset.skipped} == {
        ("mine.blend: Empty", False),
        ("mine.blend: Short", True),
    }
    assert {clip.id: clip.captions for clip in dataset.clips} == {
        "mine.my_walk": ("a person walks to the left",),
        "Mmine.my_walk": ("a person walks to the right",),
        "mine.turn": ("a person turns around",),
        "Mmine.turn": ("a person turns around",),
        "mine.untold": (),
        "Mmine.untold": (),
    }
    assert dataset.name == "actions" and dataset.licence == "mine"
    assert any("Untold" in note for note in dataset.notes)
    table = tmp_path / "table.csv"
    table.write_text(
        "file,clip,caption,skip\n,Turn,someone turns,\nmine.blend,Turn,a man turns about,\n"
        ",Empty,,holds nothing\n,Untold,a person walks,\n"
    )
    assert prepare("actions", blend, "-o", out, "--captions", table, "--no-mirror") == 0
    told = {clip.id: clip.captions for clip in read_dataset(out).clips}
    assert told["mine.untold"] == ("a person walks",)
    assert told["mine.turn"] == ("a man turns about", "someone turns")
    assert told["mine.my_walk"] == ("a person walks to the left",)
