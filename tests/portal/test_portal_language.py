"""Both languages say everything, with the same blanks to fill in; dates keep their precision."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from babel.messages.pofile import read_po

from hilum.bitcoin import EMBEDDED_BANNER
from hilum.portal import words
from hilum.portal.language import LANGUAGES, choose_language, load_language
from hilum.signals.model import Flag

ROOT = Path(__file__).resolve().parents[2]
BLANK = re.compile(r"%\(\w+\)s|</?\w+>|hilum [a-z]+|hlm_")
Message = str | tuple[str, ...]


@pytest.fixture(scope="module")
def catalogues() -> ModuleType:
    path = ROOT / "scripts" / "update_catalogues.py"
    spec = importlib.util.spec_from_file_location("update_catalogues", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def shown(catalogues: ModuleType) -> set[Message]:
    return set(catalogues.collect_messages())


def test_texts_of_templates_and_modules_and_measures_are_collected(shown: set[Message]) -> None:
    assert {"Who looked", "Heart rate", "treatment", EMBEDDED_BANNER} <= shown
    assert "<strong>%(reader)s</strong> may see %(scope)s for %(purpose)s." in shown
    assert ("%(count)s entry", "%(count)s entries") in shown
    assert len(shown) > 300


@pytest.mark.parametrize("locale", LANGUAGES)
def test_no_translation_is_missing_and_none_is_left_over(
    catalogues: ModuleType, shown: set[Message], locale: str
) -> None:
    with catalogues.catalogue_path(locale).open("rb") as source:
        catalogue = read_po(source, locale=locale, abort_invalid=True)
    known = {message.id: message for message in catalogue if message.id}
    assert set(known) == shown, "run scripts/update_catalogues.py"
    for name, message in known.items():
        forms = (message.string,) if isinstance(message.string, str) else tuple(message.string)
        assert len(forms) == (1 if isinstance(name, str) else catalogue.num_plurals), name
        assert all(form.strip() or form == name for form in forms), name
        assert not message.fuzzy, name
        for form in forms:
            original = name if isinstance(name, str) else name[-1]
            assert sorted(BLANK.findall(form)) == sorted(BLANK.findall(original)), name


def test_chinese_is_chinese(catalogues: ModuleType) -> None:
    with catalogues.catalogue_path("zh_Hans").open("rb") as source:
        catalogue = read_po(source, locale="zh_Hans")
    han = re.compile(r"[\u4e00-\u9fff]")
    kept = {"NikeFuel"}
    for message in catalogue:
        name = message.id if isinstance(message.id, str) else message.id[0]
        if BLANK.sub("", name).strip(" :.,") and name not in kept:
            forms = (message.string,) if isinstance(message.string, str) else message.string
            assert all(han.search(form) for form in forms), name


@pytest.mark.parametrize(
    ("asked", "accept", "expected"),
    [
        ((), "", "en"),
        ((None, None), "zh-CN,zh;q=0.9,en;q=0.8", "zh_Hans"),
        ((None, None), "zh-TW", "zh_Hans"),
        ((None, None), "de,en;q=0.5,zh;q=0.7", "zh_Hans"),
        ((None, None), "en;q=0.8,zh;q=0.3", "en"),
        ((None, None), "de", "en"),
        (("zh_Hans", None), "en", "zh_Hans"),
        ((None, "zh_Hans"), "en", "zh_Hans"),
        (("en", "zh_Hans"), "zh", "en"),
        (("../../etc", "x"), "zh;q=much,,;q=1,en", "en"),
    ],
)
def test_the_strongest_wish_wins(asked: tuple[str | None, ...], accept: str, expected: str) -> None:
    assert choose_language(asked, accept) == expected


@pytest.mark.parametrize(
    ("text", "english", "chinese"),
    [
        ("2024", "2024", "2024年"),
        ("2024-05", "May 2024", "2024年5月"),
        ("2024-05-17", "May 17, 2024", "2024年5月17日"),
        ("2024-05-17T23:30:00+02:00", "May 17, 2024", "2024年5月17日"),
        ("2024-13-45", "2024-13-45", "2024-13-45"),
        ("some day", "some day", "some day"),
        ("", "", ""),
    ],
)
def test_dates_are_no_more_precise_than_recorded(text: str, english: str, chinese: str) -> None:
    assert load_language("en").date(text) == english
    assert load_language("zh_Hans").date(text) == chinese


def test_instants_are_shown_by_the_devices_clock() -> None:
    at = 1_700_000_000_000  # 2023-11-14T22:13:20Z
    space = "\u202f"  # CLDR's narrow space before AM and PM
    assert load_language("en").instant(at, 60) == f"Nov 14, 2023, 11:13{space}PM"
    assert load_language("en").instant(at, 330) == f"Nov 15, 2023, 3:43{space}AM"
    assert load_language("zh_Hans").instant(at, 0) == "2023年11月14日 22:13"
    assert (
        load_language("en").stamp("2023-11-14T22:13:20.5Z") == f"Nov 14, 2023, 10:13{space}PM UTC"
    )
    assert load_language("en").stamp("not a time") == "not a time"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (1234567, "1,234,567"), (2.5, "2.5"), (2.005, "2"), (-3.14159, "-3.14")],
)
def test_numbers_carry_the_separators_of_the_language(number: float, text: str) -> None:
    assert load_language("en").number(number) == text


def test_plurals_follow_the_language() -> None:
    english, chinese = load_language("en"), load_language("zh_Hans")
    assert english.ngettext("%(count)s entry", "%(count)s entries", 1) == "1 entry"
    assert english.ngettext("%(count)s entry", "%(count)s entries", 1200) == "1,200 entries"
    assert chinese.ngettext("%(count)s entry", "%(count)s entries", 2) == "2 个条目"


def test_every_flag_step_and_unit_has_words() -> None:
    english = load_language("en")
    assert set(words.FLAGS) == set(Flag)
    said = words.flag_words(english, Flag.RATE | Flag.MANUAL)
    assert said == "changed faster than expected, entered by hand"
    assert words.flag_words(english, 0) == ""
    script = (ROOT / "src/hilum/portal/static/verify.mjs").read_text()
    listed = re.search(r"STEPS = Object\.freeze\(\[(.*?)\]\)", script, re.DOTALL)
    assert listed is not None
    assert re.findall(r'"([a-z-]+)"', listed[1]) == list(words.STEPS)
    assert words.unit_words(english, "mm[Hg]") == "mmHg"
    assert words.unit_words(english, "{steps}") == "steps"
    assert words.unit_words(english, "mg/dL") == "mg/dL"
    assert words.unit_words(english, "1") == ""


def test_types_are_named_by_the_groups_they_make_up() -> None:
    groups, left = words.group_of_types(["Condition", "Encounter", "Procedure", "Observation"])
    assert groups == ["problems", "visits"]
    assert left == ["Observation"]
