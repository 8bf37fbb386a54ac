# SPDX-License-Identifier: GPL-3.0-or-later

"""SMPL bodies from files in the real formats, with synthetic bodies: the real ones are not ours."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="these tests need the bpy wheel (pip install bpy)")

from scene_reading import AS_IT_IS, file_contents

from t2m_blender.blender.placement import place_motion
from t2m_blender.blender.smpl_body import make_body, write_parameters
from t2m_blender.engine.errors import InputError
from t2m_blender.engine.skeleton import HUMANML3D
from t2m_blender.retarget.plain_pickle import read_pickle
from t2m_blender.retarget.smpl import NAMES, read_smpl
from training.data.amass_trials import read_trial, to_y_up
from training.data.body_model import BodyModel, body_joints

VERTICES = {24: 6890, 52: 6890, 55: 10475}


def body_content(joints: int) -> dict[str, np.ndarray]:
    """A body of the real size: clouds of vertices around joints that stand as SMPL's do."""
    random = np.random.default_rng(joints)
    count = VERTICES[joints]
    places = np.zeros((joints, 3))
    places[:22] = HUMANML3D.rest_pose + [0.0, -0.22, 0.03]
    parents = np.array([0, *HUMANML3D.parents[1:], *range(22, joints)])
    hands = {24: (22, 1), 52: (22, 15), 55: (25, 15)}[joints]
    for extra in range(22, hands[0]):  # jaw and eyes
        places[extra], parents[extra] = places[15] + (0.0, 0.05, 0.08), 15
    for side, wrist in ((0, 20), (1, 21)):
        first = hands[0] + side * hands[1]
        for number in range(first, first + hands[1]):
            tip = hands[1] == 15 and (number - first) % 3
            parents[number] = number - 1 if tip else wrist
            outward = (0.03 if side == 0 else -0.03, 0.0, 0.01 * ((number - first) // 3))
            places[number] = places[parents[number]] + outward
    owner = np.arange(count) % joints
    regressor = (owner[None] == np.arange(joints)[:, None]).astype(float)
    regressor /= regressor.sum(axis=1, keepdims=True)
    cloud = random.normal(0.0, 0.04, (count, 3))
    tree = np.stack((parents, np.arange(joints)))
    tree[0, 0] = 2**32 - 1  # as the real files have it
    return {
        "v_template": places[owner] + cloud - (regressor @ cloud)[owner],
        "shapedirs": random.normal(0.0, 0.003, (count, 3, 10)),
        "posedirs": np.zeros((count, 3, 1)),
        "J_regressor": regressor,
        "weights": (owner[:, None] == np.arange(joints)[None]).astype(float),
        "f": np.stack((np.arange(100), np.arange(100) + 1, np.arange(100) + 2), axis=1),
        "kintree_table": tree,
    }


class csc_matrix:  # noqa: N801
    """Pickles as SciPy's does."""

    __module__ = "scipy.sparse._csc"

    def __init__(self, dense: np.ndarray) -> None:
        columns, rows = np.nonzero(dense.T)
        self._shape = dense.shape
        self.data, self.indices = dense[rows, columns], rows.astype(np.int32)
        self.indptr = np.searchsorted(columns, np.arange(dense.shape[1] + 1)).astype(np.int32)


class Ch:
    """Pickles as an array of chumpy's does."""

    __module__ = "chumpy.ch"

    def __init__(self, values: np.ndarray) -> None:
        self.x, self._dirty_vars = values, {"x"}


@pytest.fixture
def as_published(monkeypatch: pytest.MonkeyPatch):
    """Writes a model as SMPL's makers do: a pickle of chumpy's and SciPy's classes."""

    def write(path: Path, content: dict[str, object]) -> None:
        for module, kind in (("scipy.sparse._csc", csc_matrix), ("chumpy.ch", Ch)):
            made = ModuleType(module)
            setattr(made, kind.__name__, kind)
            monkeypatch.setitem(sys.modules, module.partition(".")[0], ModuleType("stub"))
            monkeypatch.setitem(sys.modules, module, made)
        wrapped = dict(content, bs_style="lbs")
        wrapped["J_regressor"] = csc_matrix(content["J_regressor"])
        wrapped["shapedirs"] = Ch(content["shapedirs"])
        path.write_bytes(pickle.dumps(wrapped, protocol=2))
        monkeypatch.undo()

    return write


@pytest.mark.parametrize("joints", [24, 52, 55])
def test_a_body_is_moved_and_its_parameters_say_the_same(
    scene, generated, clip, tmp_path, joints
) -> None:
    scene.render.fps = 20
    path = tmp_path / "model.npz"
    np.savez(path, **body_content(joints))
    betas = np.linspace(-1.0, 1.0, 10)
    armature = make_body(bpy.context, path, betas)
    (body,) = armature.children
    assert len(armature.data.bones) == joints and len(body.data.vertices) == VERTICES[joints]
    rest = np.array([armature.data.bones[name].head_local for name in NAMES[joints][1]])
    model = read_smpl(path)
    vertices, wanted = model.shaped(betas)
    stood = wanted - [0.0, vertices[:, 1].min(), 0.0]
    assert np.allclose(rest, stood[:, [0, 2, 1]] * [1, -1, 1], atol=1e-5)
    assert place_motion(bpy.context, generated(), options=AS_IT_IS) == armature

    saved = tmp_path / "walk.npz"
    assert write_parameters(bpy.context, armature, saved) == clip.frames
    with np.load(saved) as file:
        poses, trans = file["poses"], file["trans"]
        assert poses.shape == (clip.frames, 3 * joints) and np.allclose(file["betas"], betas)
        assert str(file["surface_model_type"]) == NAMES[joints][0]
    # SMPL's own posing, as the trainer has it, against Blender's evaluated bones
    made = BodyModel(model.template, model.shape_directions, model.regressor[:22])
    posed = body_joints(made, poses, betas, trans)
    for frame in (1, 60, 170):
        scene.frame_set(frame)
        bones = armature.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones
        read = np.array([bones[name].head for name in NAMES[joints][1][:22]])
        assert np.abs(read - posed[frame - 1]).max() < 2e-3
    # and the skin: a vertex stays where it is on its bone
    evaluated = body.evaluated_get(bpy.context.evaluated_depsgraph_get())
    vertex = 16 + joints  # a second one of the left shoulder
    bone = bones["L_Shoulder"]
    to_now = bone.matrix @ armature.data.bones["L_Shoulder"].matrix_local.inverted()
    wanted_at = to_now @ body.data.vertices[vertex].co
    assert (evaluated.data.vertices[vertex].co - wanted_at).length < 1e-4


def test_the_trainer_reads_the_parameters_as_amass(scene, generated, clip, tmp_path) -> None:
    scene.render.fps = 20
    np.savez(tmp_path / "model.npz", **body_content(52))
    armature = make_body(bpy.context, tmp_path / "model.npz", np.zeros(10))
    place_motion(bpy.context, generated(), options=AS_IT_IS)
    write_parameters(bpy.context, armature, tmp_path / "walk.npz")
    trial = read_trial(tmp_path / "walk.npz")
    assert trial.fps == 20.0 and len(trial.poses) == clip.frames
    model = read_smpl(tmp_path / "model.npz")
    made = BodyModel(model.template, model.shape_directions, model.regressor[:22])
    joints = to_y_up(body_joints(made, trial.poses, trial.betas, trial.trans))
    hips = joints[:, 1] - joints[:, 2]
    true = (clip.joints[:, 1] - clip.joints[:, 2]) * [-1.0, 1.0, -1.0]  # AMASS looks the other way
    cosine = np.sum(hips * true, axis=-1)
    cosine /= np.linalg.norm(hips, axis=-1) * np.linalg.norm(true, axis=-1)
    assert cosine.min() > 0.999


def test_a_published_pickle_is_read_without_running_it(scene, tmp_path, as_published) -> None:
    content = body_content(24)
    as_published(tmp_path / "basicModel_m_lbs_10_207_0_v1.0.0.pkl", content)
    model = read_smpl(tmp_path / "basicModel_m_lbs_10_207_0_v1.0.0.pkl")
    assert model.kind == "smpl"
    assert np.array_equal(model.regressor, content["J_regressor"])
    assert np.array_equal(model.shape_directions, content["shapedirs"])
    assert np.array_equal(model.faces, content["f"])


class _Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


def test_code_in_a_pickle_is_not_run(tmp_path) -> None:
    (tmp_path / "trap.pkl").write_bytes(pickle.dumps({"f": _Trap(tmp_path / "sprung")}))
    assert set(read_pickle(tmp_path / "trap.pkl")) == {"f"}
    assert not (tmp_path / "sprung").exists()
    with pytest.raises(InputError, match="has no 'v_template'"):
        read_smpl(tmp_path / "trap.pkl")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _text(path: Path) -> None:
    path.write_text("not a model")


def _other(path: Path) -> None:
    np.savez(path, poses=np.zeros((4, 156)))


def _hands(path: Path) -> None:
    np.savez(path, **{**body_content(24), "weights": np.zeros((6890, 16))})


def _nan(path: Path) -> None:
    np.savez(path, **{**body_content(24), "v_template": np.full((6890, 3), np.nan)})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_cut, "cannot be read"),
        (_text, "cannot be read"),
        (Path.unlink, "cannot be read"),
        (_other, "has no 'v_template'"),
        (_hands, "'weights' of shape"),
        (_nan, "numbers that are none"),
    ],
)
def test_what_is_no_model_makes_nothing(scene, add_on, tmp_path, spoil, message) -> None:
    path = tmp_path / "model.npz"
    np.savez(path, **body_content(24))
    spoil(path)
    before = file_contents()
    with pytest.raises(RuntimeError, match=message):
        bpy.ops.t2m.add_smpl_body(filepath=str(path))
    assert file_contents() == before


def test_by_the_buttons(scene, add_on, generated, tmp_path) -> None:
    np.savez(tmp_path / "SMPLX_NEUTRAL.npz", **body_content(55))
    assert bpy.ops.t2m.add_smpl_body(filepath=str(tmp_path / "SMPLX_NEUTRAL.npz")) == {"FINISHED"}
    with pytest.raises(RuntimeError, match="no Action"):
        bpy.ops.t2m.save_smpl_parameters(filepath=str(tmp_path / "out.npz"))
    place_motion(bpy.context, generated())
    assert bpy.ops.t2m.save_smpl_parameters(filepath=str(tmp_path / "out.npz")) == {"FINISHED"}
    assert (tmp_path / "out.npz").is_file()
