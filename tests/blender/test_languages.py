# SPDX-License-Identifier: GPL-3.0-or-later

"""What Blender has registered has a tooltip and is in the dictionary; sentences are found again."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

bpy = pytest.importorskip("bpy", reason="these tests need the bpy wheel (pip install bpy)")

from t2m_blender.blender import registration, task, translations
from t2m_blender.engine.errors import InputError

pytestmark = pytest.mark.usefixtures("scene", "add_on")


@pytest.fixture
def german(monkeypatch) -> dict[str, dict[str, str]]:
    """The wheels are built without translations: as a Blender that is switched to German."""
    known = translations._languages()["de"]

    def look_up(message: str, context: str = "*") -> str:
        return known[context].get(message, message)

    fake = SimpleNamespace(locale="de_DE", pgettext_rpt=look_up, pgettext_iface=look_up)
    monkeypatch.setattr(
        translations, "bpy", SimpleNamespace(app=SimpleNamespace(translations=fake))
    )
    return known


def _own(kind: type) -> list[object]:
    """The fields of a class that are ours or Blender's own data; not what every group has."""
    known = {*bpy.types.PropertyGroup.bl_rna.properties.keys(), "bl_idname"}
    return [one for one in kind.bl_rna.properties if one.identifier not in known]


def test_all_that_is_registered_has_a_tooltip_and_a_translation() -> None:
    known = translations._languages()["de"]
    lacking, seen = [], 0

    def check(where: str, label: str, tooltip: str, context: str) -> None:
        nonlocal seen
        seen += 1
        if label and label not in known[context]:
            lacking.append((where, context, label))
        if tooltip not in known["*"]:
            lacking.append((where, "tooltip", tooltip))

    def check_fields(where: str, fields: list[object]) -> None:
        for field in fields:
            here = f"{where}.{field.identifier}"
            check(here, field.name, field.description, field.translation_context)
            for item in getattr(field, "enum_items", ()):
                told = item.name, item.description, field.translation_context
                check(f"{here}.{item.identifier}", *told)

    files = {"rna_type", "filepath", "filter_glob", "check_existing", "filename_ext"}
    for name in dir(bpy.ops.t2m):
        operator = getattr(bpy.ops.t2m, name).get_rna_type()
        check(name, operator.name, operator.description, operator.translation_context)
        check_fields(name, [one for one in operator.properties if one.identifier not in files])
    for kind in registration._CLASSES:
        name = kind.__name__
        if name.startswith(("T2M_PT_", "T2M_MT_")):
            assert kind.bl_label in known["*"], name
        elif name.startswith(("T2M_PG_", "T2M_AP_")):
            check_fields(name, [one for one in _own(kind) if one.identifier != "defaults"])
    groups = ("t2m_rig", "t2m_takes")
    for owner in (bpy.types.Action, bpy.types.Object):
        ours = [one for one in _own(owner) if one.identifier.startswith("t2m_")]
        check_fields(owner.__name__, [one for one in ours if one.identifier not in groups])
    assert seen > 120
    assert not lacking, lacking


def test_sentences_are_found_again_with_their_values(german) -> None:
    error = InputError('The armature "Held" is linked from another file. Make it local or make a '
                       "library override first.")  # fmt: skip
    said = translations.translated(str(error))
    assert said.startswith("Das Skelett „Held“ ist aus einer anderen Datei verknüpft")
    notice = task.notice_of(error)
    assert notice.text == said and "library override" in notice.details
    before = translations.translated(
        'Nothing moves "Held" before frame 7. Move the playhead into the motion that is to go on.'
    )
    assert before.startswith("Vor Bild 7 bewegt nichts „Held“.")
    nested = translations.translated(
        "the fastest for a model of this size; PyTorch 2.13.0 is for the CPU"
    )
    assert (
        nested == "das Schnellste für ein Modell dieser Größe; PyTorch 2.13.0 ist für den Prozessor"
    )
    assert translations.translated("Nobody has said this, ever.") == "Nobody has said this, ever."


def test_every_message_with_values_is_found_by_itself(german) -> None:
    for message in german["*"]:
        values = [f"<{number}>" for number in range(message.count("{}"))]
        if not values or sum(map(str.isalpha, message)) < translations._TELLING:
            continue
        expected = german["*"][message].format(*values)
        assert translations.translated(message.format(*values)) == expected, message


def test_another_language_leaves_everything_as_it_is(monkeypatch) -> None:
    assert translations.translated("There is no such take.") == "There is no such take."
    assert translations.rpt("{} contacts held", 3) == "3 contacts held"


def test_operators_speak_the_users_language(german) -> None:
    settings = bpy.context.scene.t2m
    settings.length, settings.seconds = "SECONDS", 1.0
    assert bpy.ops.t2m.generate() == {"FINISHED"}
    assert task.Session.notice.text.startswith("Neue Aktion „a person walks forward and waves“")
    bpy.context.object.t2m_takes.add()
    with pytest.raises(RuntimeError, match="Diesen Take gibt es nicht"):
        bpy.ops.t2m.show_take(index=7)
    assert task.Session.notice.text == "Diesen Take gibt es nicht." and task.Session.notice.details
