import pytest

from overread.imaging.errors import InputError
from overread.imaging.vocabulary import TARGETS
from overread.tools.targets import _SYNONYMS, _UNIONS, canonical, resolve


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_is_itself(target: str) -> None:
    assert resolve(target) == (target,)
    assert resolve(f"The {target.upper()}") == (target,)


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("pleural effusion", ("effusion",)),
        ("Pleural-Effusions", ("effusion",)),
        ("cells", ("nuclei",)),
        ("disc", ("optic disc",)),
        ("optic disk", ("optic disc",)),
        ("hemorrhages", ("haemorrhage",)),
        ("nodules", ("nodule",)),
        ("lungs", ("left lung", "right lung")),
        ("  any  kidneys ", ("left kidney", "right kidney")),
    ],
)
def test_people_s_names(name: str, targets: tuple[str, ...]) -> None:
    assert resolve(name) == targets


def test_every_synonym_leads_into_the_vocabulary() -> None:
    led_to = {*_SYNONYMS.values(), *(part for parts in _UNIONS.values() for part in parts)}
    assert led_to <= set(TARGETS)
    assert not set(_SYNONYMS) & set(TARGETS)


@pytest.mark.parametrize("name", ["femur", "", "appendix", "x" * 500, "heart; rm -rf", "right"])
def test_what_is_outside_the_vocabulary_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="it knows body, brain"):
        resolve(name)


def test_a_misspelling_gets_a_hint() -> None:
    with pytest.raises(InputError, match="did you mean 'pneumothorax'"):
        resolve("pneumotorax")


def test_a_segmenter_s_own_names_win() -> None:
    assert canonical("femur", ["femur"]) == "femur"
    assert canonical("cells", TARGETS) == "nuclei"
    assert canonical("Lungs", TARGETS) == "lungs"
