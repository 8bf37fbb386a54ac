# SPDX-License-Identifier: GPL-3.0-or-later
"""AMASS through SMPL-H: real motion as AMASS would hold it, on a synthetic body model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.features import features_to_joints, motion_to_features, placed_joints
from t2m_blender.engine.kinematics import forward_kinematics, recover_rotations
from t2m_blender.engine.rotations import quaternion_conjugate, quaternion_multiply
from t2m_blender.engine.skeleton import HUMANML3D
from training.__main__ import main
from training.data.amass_trials import read_trial, times_of, to_y_up
from training.data.annotations import Row
from training.data.body_model import body_joints, read_body_model, read_body_models
from training.data.dataset import Dataset, read_dataset
from training.data.mirror import mirrored_joints

IDS = {"000001": "train", "000002": "train", "000003": "val", "000004": "test", "000005": "train"}


def write_body_model(path: Path, gender: str, *, for_smplx: bool = False) -> np.ndarray:
    """A body of 6,890 vertices in clouds around its 52 joints; returns the joints [52, 3] at rest.

    With `for_smplx` the file has all that the class smplx.SMPLH asks for; AMASS's own has not.
    """
    random = np.random.default_rng(GENDERS.index(gender))
    size = (1.0, 0.93, 0.96)[GENDERS.index(gender)]
    joints = np.zeros((52, 3))
    # SMPL's rest pose is z-forward and y-up as HUMANML3D's is; its pelvis is not at the origin
    joints[:22] = HUMANML3D.rest_pose * size + [0.0, -0.22, 0.03]
    for hand, wrist in ((22, 20), (37, 21)):
        joints[hand : hand + 15] = joints[wrist] + random.normal(0.0, 0.03, (15, 3))
    parents = np.array([0, *HUMANML3D.parents[1:], *[20] * 15, *[21] * 15])
    owner = np.arange(6890) % 52
    regressor = (owner[None] == np.arange(52)[:, None]).astype(float)
    regressor /= regressor.sum(axis=1, keepdims=True)
    cloud = random.normal(0.0, 0.05, (6890, 3))
    template = joints[owner] + cloud - (regressor @ cloud)[owner]
    tree = np.stack((parents, np.arange(52)))
    tree[0, 0] = 2**32 - 1  # as the real files have it
    content: dict[str, Any] = {
        "v_template": template,
        "shapedirs": random.normal(0.0, 0.01, (6890, 3, 16)),
        "J_regressor": regressor,
        "kintree_table": tree,
    }
    if for_smplx:
        content |= {
            "f": np.zeros((4, 3), dtype=np.uint32),
            "posedirs": random.normal(0.0, 0.001, (6890, 3, 1)) * np.zeros(459),
            "weights": (owner[:, None] == np.arange(52)[None]).astype(float),
            "hands_componentsl": np.eye(45),
            "hands_componentsr": np.eye(45),
            "hands_meanl": np.zeros(45),
            "hands_meanr": np.zeros(45),
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **content)
    return joints


GENDERS = ("male", "female", "neutral")


def amass_trial(joints: np.ndarray, rest: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Real joints [T, 22, 3], y up, as AMASS's parameters at 120 fps.

    Returns:
        The file's content (each frame is held for six), and the joints that it stands for.
    """
    turns = recover_rotations(joints, rest, HUMANML3D)
    truth = forward_kinematics(turns, joints[:, 0], rest, HUMANML3D)
    # AMASS's world has z up: turn by (x, y, z) -> (-x, z, y), which is a half turn, its own inverse
    half_turn = np.array([0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)])
    turns = quaternion_multiply(np.broadcast_to(half_turn, turns.shape), turns)
    local = turns.copy()
    parents = list(HUMANML3D.parents)
    local[:, 1:] = quaternion_multiply(quaternion_conjugate(turns[:, parents[1:]]), turns[:, 1:])
    local *= np.where(local[..., :1] < 0, -1.0, 1.0)
    angle = 2.0 * np.arctan2(np.linalg.norm(local[..., 1:], axis=-1), local[..., 0])
    axis = local[..., 1:] / np.maximum(np.linalg.norm(local[..., 1:], axis=-1, keepdims=True), 1e-9)
    poses = np.zeros((len(joints), 156))
    poses[:, :66] = (axis * angle[..., None]).reshape(len(joints), 66)
    trans = truth[:, 0][:, [0, 2, 1]] * [-1.0, 1.0, 1.0] - rest[0]
    content = {
        "poses": poses.repeat(6, axis=0),
        "trans": trans.repeat(6, axis=0),
        "betas": np.zeros(16),
        "gender": np.array("male"),
        "mocap_framerate": np.array(120.0),
    }
    return content, truth


@pytest.fixture(scope="module")
def clip(parity: Path) -> np.ndarray:
    with np.load(parity / "humanml3d_012314.npz") as file:
        return file["joints"].astype(np.float64)[:100]


@pytest.fixture
def place(tmp_path: Path, clip: np.ndarray) -> Path:
    """amass/, models/, notes/ (the annotations) and one trial for each of IDS."""
    rest = write_body_model(tmp_path / "models/smplh/male/model.npz", "male")
    write_body_model(tmp_path / "models/smplh/female/model.npz", "female")
    content, _ = amass_trial(clip, rest[:22])
    folders = {
        "000001": "CMU/02",
        "000002": "CMU/05",
        "000003": "MPI_HDM05/dg",
        "000004": "KIT/3",
        "000005": "ACCAD/Female1General_c3d",
    }
    rows = ["source_path,start_frame,end_frame,new_name"]
    for name, folder in folders.items():
        mine = dict(content)
        if name == "000003":  # three seconds come before what index.csv counts
            for key in ("poses", "trans"):
                mine[key] = np.concatenate((mine[key][:1].repeat(360, axis=0), mine[key]))
        if name == "000005":
            mine["gender"] = np.array(b"female")
        path = tmp_path / "amass" / folder / "walk_poses.npz"
        path.parent.mkdir(parents=True)
        np.savez(path, **mine)
        rows.append(f"./pose_data/{folder}/walk_poses.npy,10,90,{name}.npy")
    rows.append("./pose_data/SFU/0005/a_poses.npy,0,90,000008.npy")
    rows.append("./pose_data/humanact12/humanact12/P07G01R01.npy,0,-1,000009.npy")
    (tmp_path / "amass/humanact12/humanact12").mkdir(parents=True)
    np.save(
        tmp_path / "amass/humanact12/humanact12/P07G01R01.npy",
        np.concatenate((clip, clip[:, :2]), axis=1),
    )
    notes = tmp_path / "notes"
    (notes / "texts").mkdir(parents=True)
    (notes / "index.csv").write_text("\n".join(rows) + "\n")
    for split in ("train", "val", "test"):
        names = [n for n, s in {**IDS, "000008": "train", "000009": "train"}.items() if s == split]
        (notes / f"{split}.txt").write_text("\n".join(names + ["M" + n for n in names]) + "\n")
    for name in [*IDS, "000009"]:
        (notes / "texts" / f"{name}.txt").write_text(
            "he raises the left hand#he/PRON#0.0#0.0\nhe turns clockwise#he/PRON#0.5#3.0\n"
        )
    (notes / "texts" / "M000002.txt").write_text("their own words#own/ADJ#0.0#0.0\n")
    return tmp_path


def prepare(place: Path, *options: str) -> int:
    folders = ["--body-models", str(place / "models"), "--annotations", str(place / "notes")]
    arguments = ["prepare", "amass", str(place / "amass"), *folders, "-o", str(place / "out")]
    return main([*arguments, "--quiet", *options])


def edit(place: Path, folder: str, **changes: Any) -> None:
    path = place / "amass" / folder / "walk_poses.npz"
    with np.load(path) as file:
        content = {**{key: file[key] for key in file.files}, **changes}
    np.savez(path, **{key: value for key, value in content.items() if value is not None})


def skipped_of(dataset: Dataset) -> dict[str, tuple[str, bool]]:
    return {row.item: (row.reason, row.expected) for row in dataset.skipped}


def random_trial() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Poses [5, 156], betas [16] and trans [5, 3]."""
    random = np.random.default_rng(3)
    poses, trans = random.normal(0.0, 0.4, (5, 156)), random.normal(0.0, 1.0, (5, 3))
    return poses, random.normal(0.0, 1.0, 16), trans


@pytest.mark.parametrize("gender", ["male", "female"])
def test_joints_equal_what_smplx_gave(tmp_path: Path, gender: str) -> None:
    """smplx_joints.npz is what smplx 0.1.28 made of this model and these poses (see below)."""
    path = tmp_path / "model.npz"
    write_body_model(path, gender)
    ours = body_joints(read_body_model(path), *random_trial())
    with np.load(Path(__file__).with_name("smplx_joints.npz")) as file:
        np.testing.assert_allclose(ours, file[gender], atol=2e-5)


@pytest.mark.parametrize("gender", ["male", "female"])
def test_joints_equal_those_of_smplx(tmp_path: Path, gender: str) -> None:
    """Runs where smplx is installed; its licence is not for everybody, so no extra brings it."""
    torch, smplx = pytest.importorskip("torch"), pytest.importorskip("smplx")
    path = tmp_path / f"SMPLH_{gender.upper()}.npz"
    write_body_model(path, gender, for_smplx=True)
    poses, betas, trans = random_trial()
    model = smplx.create(
        str(path), model_type="smplh", gender=gender, ext="npz", use_pca=False, num_betas=10,
        batch_size=5, flat_hand_mean=True,
    )  # fmt: skip
    tensors = {
        "global_orient": poses[:, :3],
        "body_pose": poses[:, 3:66],
        "left_hand_pose": poses[:, 66:111],
        "right_hand_pose": poses[:, 111:],
        "transl": trans,
        "betas": np.broadcast_to(betas[:10], (5, 10)),
    }
    with torch.no_grad():
        whole = model(**{k: torch.tensor(v, dtype=torch.float32) for k, v in tensors.items()})
    ours = body_joints(read_body_model(path), poses, betas, trans)
    assert whole.vertices.shape == (5, 6890, 3)
    np.testing.assert_allclose(ours, whole.joints[:, :22].numpy(), atol=2e-5)


def test_real_motion_comes_through(place: Path, clip: np.ndarray) -> None:
    assert prepare(place) == 0
    dataset = read_dataset(place / "out")
    clips = {row.id: row for row in dataset.clips}
    rest = HUMANML3D.rest_pose
    _, truth = amass_trial(clip, rest)
    assert np.linalg.norm(truth - clip, axis=-1).mean() < 0.005
    expected = motion_to_features(truth[10:90], HUMANML3D)
    for name in ("000001", "000003", "000004"):
        np.testing.assert_allclose(dataset.features[name], expected, atol=1e-4)
    back = features_to_joints(dataset.features["000001"].astype(np.float64), HUMANML3D)
    there = placed_joints(truth[10:90], HUMANML3D)[:-1]
    assert np.linalg.norm(back - there, axis=-1).max() < 1e-3
    # another body, the same motion: on the uniform skeleton nearly the same again
    np.testing.assert_allclose(dataset.features["000005"][:, :-4], expected[:, :-4], atol=0.05)
    assert (clips["000003"].start_frame, clips["000003"].end_frame) == (70, 149)
    assert clips["000001"].subject == "CMU 02"
    assert clips["000001"].origin == "AMASS CMU"
    assert "HumanAct12" in clips["000009"].licence
    humanact = motion_to_features(clip, HUMANML3D)
    np.testing.assert_allclose(dataset.features["000009"], humanact, atol=1e-4)
    skipped = skipped_of(dataset)
    assert skipped["SFU"] == ("this set's folder is not there (1 clips of index.csv)", True)


def test_mirrored_copies_have_mirrored_captions(place: Path, clip: np.ndarray) -> None:
    assert prepare(place) == 0
    dataset = read_dataset(place / "out")
    clips = {row.id: row for row in dataset.clips}
    assert clips["000001"].captions == ("he raises the left hand",)
    assert clips["000001a"].captions == ("he turns clockwise",)
    assert clips["000001a"].frames == 50
    assert clips["M000001"].captions == ("he raises the right hand",)
    assert clips["M000001a"].captions == ("he turns counterclockwise",)
    assert clips["M000002"].captions == ("their own words",)
    # the raw motion is mirrored, then put on the uniform skeleton, whose sides differ by a few mm
    _, truth = amass_trial(clip, HUMANML3D.rest_pose)
    expected = motion_to_features(mirrored_joints(truth[10:90], HUMANML3D), HUMANML3D)
    np.testing.assert_allclose(dataset.features["M000001"], expected, atol=1e-4)
    assert prepare(place, "--no-mirror") == 0
    assert not any(row.mirrored for row in read_dataset(place / "out").clips)


def test_z_up_becomes_y_up() -> None:
    np.testing.assert_array_equal(to_y_up(np.eye(3)), [[-1, 0, 0], [0, 0, 1], [0, 1, 0]])
    assert np.linalg.det(to_y_up(np.eye(3))) == pytest.approx(1.0)  # no mirroring


@pytest.mark.parametrize(
    ("fps", "collection", "times", "slower"),
    [
        (120.0, "CMU", [60, 66, 72, 78], 1.0),
        (100.0, "KIT", [50, 55, 60, 65], 1.0),
        (120.0, "MPI_HDM05", [420, 426, 432, 438], 1.0),
        (120.0, "Transitions_mocap", [120, 126, 132, 138], 1.0),
        (59.0, "SSM_synced", [20, 22.95, 25.9], 1.475),  # HumanML3D: 20, 22, 24, 26 at 29.5 fps
    ],
)
def test_frames_are_those_of_the_published_scripts(
    fps: float, collection: str, times: list[float], slower: float
) -> None:
    found, factor = times_of(Row("1", f"{collection}/1/a", 10, 14), 1000, fps)
    np.testing.assert_allclose(found, times)
    assert factor == pytest.approx(slower)


def test_another_rate_plays_at_its_true_speed(place: Path) -> None:
    """HumanML3D would make 80 frames, 4 s, of these 160 source frames; they last 2.7 s."""
    with np.load(place / "amass/CMU/05/walk_poses.npz") as file:
        still = file["poses"][:1].repeat(600, axis=0)
    glide = np.arange(600)[:, None] * [0.01, 0.0, 0.0]
    edit(place, "CMU/05", mocap_framerate=np.array(59.0), poses=still, trans=glide)
    (place / "notes/texts/000002.txt").write_text(
        "he kneels#he/PRON#0.0#3.5\nhe nods#he/PRON#0.5#3.0\n"
    )
    assert prepare(place, "--no-mirror") == 0
    dataset = read_dataset(place / "out")
    frames = {row.id: row.frames for row in dataset.clips}
    assert frames["000002"] == 54
    speed = np.linalg.norm(dataset.features["000002"][:, 1:3], axis=1)
    np.testing.assert_allclose(speed, speed[0], rtol=1e-4)  # between source frames as on them
    # captions were timed on the slow clip: 3.5 s there are 2.37 s, and 2.5 s are 1.69 s
    assert frames["000002a"] == 47
    assert skipped_of(dataset)["000002b"] == ("its part of 34 frames is shorter than 40", True)


def test_faults_are_named_and_the_rest_is_kept(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(place, "CMU/05", gender=np.array("other"))
    edit(place, "KIT/3", poses=np.full((600, 156), np.nan))
    edit(place, "MPI_HDM05/dg", poses=np.zeros((0, 156)), trans=np.zeros((0, 3)))
    edit(place, "ACCAD/Female1General_c3d", mocap_framerate=None)
    with (place / "notes/index.csv").open("a") as file:
        file.write("./pose_data/CMU/02/walk_poses.npy,0,30,000010.npy\n")
        file.write("./pose_data/CMU/02/walk_poses.npy,500,600,000011.npy\n")
        file.write("./pose_data/CMU/02/walk_poses.npy,20,120,000012.npy\n")
        file.write("./pose_data/CMU/02/gone_poses.npy,0,90,000013.npy\n")
        file.write("./pose_data/CMU/02/gone_poses.npy,0,90,000014.npy\n")
    with (place / "notes/train.txt").open("a") as file:
        file.write("000010\n000011\n000012\n000013\n")
    for name in ("000010", "000011", "000012", "000013"):
        (place / f"notes/texts/{name}.txt").write_text("he walks#he/PRON#0.0#0.0\n")
    assert prepare(place, "--no-mirror") == 3
    printed = capsys.readouterr().out
    dataset = read_dataset(place / "out")
    skipped = skipped_of(dataset)
    gender = skipped["CMU/05/walk_poses"]
    assert "gender 'other'" in gender[0]
    assert "male, female" in gender[0]
    assert not gender[1]
    assert "poses holds NaN" in skipped["KIT/3/walk_poses"][0]
    assert "has no frames" in skipped["MPI_HDM05/dg/walk_poses"][0]
    assert "no mocap_framerate" in skipped["ACCAD/Female1General_c3d/walk_poses"][0]
    assert "gone_poses.npz is missing" in skipped["CMU/02/gone_poses"][0]
    assert skipped["000013"] == ("its trial CMU/02/gone_poses is unusable", False)
    assert skipped["000014"] == ("is in no split file", True)
    assert "shorter than 40" in skipped["000010"][0]
    assert "lie outside" in skipped["000011"][0]
    assert "ends 20 frames before" in skipped["000012"][0]
    for item in skipped:
        assert item in printed
    assert {row.source for row in dataset.clips} == {
        "CMU/02/walk_poses",
        "humanact12/humanact12/P07G01R01",
    }


def test_body_models_that_do_not_fit(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    male, female = (place / f"models/smplh/{g}/model.npz" for g in ("male", "female"))
    female.unlink()
    assert prepare(place) == 3  # what needs the female body is named, the rest is kept
    assert "of gender 'female', and the body models are: male" in capsys.readouterr().out
    female.write_bytes(male.read_bytes())
    with pytest.raises(InputError, match="wrong gender"):
        read_body_models(place / "models")
    np.savez(female, v_template=np.zeros((10475, 3)))
    with pytest.raises(InputError, match="has no 'shapedirs"):
        read_body_models(place / "models")
    np.savez(
        female, v_template=np.zeros((6890, 3)), shapedirs=np.zeros((6890, 3, 10)),
        J_regressor=np.zeros((24, 6890)), kintree_table=np.zeros((2, 24)),
    )  # fmt: skip
    with pytest.raises(InputError, match="24 joints"):
        read_body_models(place / "models")
    female.write_bytes(b"")
    assert prepare(place) == 2
    assert "cannot be read" in capsys.readouterr().err
    for path in (male, female):
        path.unlink()
    assert prepare(place) == 2
    assert "has no SMPL-H model" in capsys.readouterr().err


def test_a_folder_without_the_sets_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "amass").rename(place / "elsewhere")
    assert prepare(place) == 2
    (place / "amass").mkdir()
    assert prepare(place) == 2
    assert "none of the sets of index.csv" in capsys.readouterr().err


def test_pickled_files_are_refused(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "a.npz", poses=np.array([{}], dtype=object), trans=0, betas=0, gender="male",
        mocap_framerate=120,
    )  # fmt: skip
    with pytest.raises(InputError, match="cannot be read"):
        read_trial(tmp_path / "a.npz")


def test_a_half_downloaded_file_is_named_and_the_rest_is_kept(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut, spoilt = (place / f"amass/{name}/walk_poses.npz" for name in ("CMU/05", "KIT/3"))
    cut.write_bytes(cut.read_bytes()[:5000])
    with np.load(spoilt) as file:
        np.savez_compressed(spoilt, **dict(file))
    content = bytearray(spoilt.read_bytes())
    content[200:400] = bytes(200)
    spoilt.write_bytes(content)
    assert prepare(place, "--no-mirror") == 3
    skipped = skipped_of(read_dataset(place / "out"))
    for name in ("CMU/05/walk_poses", "KIT/3/walk_poses"):
        assert "walk_poses.npz cannot be read" in skipped[name][0] and not skipped[name][1]
    assert "CMU/02/walk_poses" in {row.source for row in read_dataset(place / "out").clips}
    model = place / "models/smplh/male/model.npz"
    model.write_bytes(model.read_bytes()[:5000])
    assert prepare(place) == 2
    assert "model.npz cannot be read" in capsys.readouterr().err
