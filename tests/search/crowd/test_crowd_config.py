from pathlib import Path

import pytest

from autoreid_deploy.errors import InputError
from search.crowd.config import CrowdConfig

BUNDLED = Path("search/configs/crowd.toml")


@pytest.fixture
def told(tmp_path):
    def write(text):
        path = tmp_path / "crowd.toml"
        path.write_text(text)
        return path

    return write


def test_the_bundled_configuration_says_the_defaults():
    assert CrowdConfig.load(BUNDLED) == CrowdConfig()


def test_the_sample_in_the_repository_is_of_its_configuration():
    config = CrowdConfig.load(BUNDLED.with_name("sample.toml"))
    crops = sorted(Path("docs/sample").rglob("*.jpg"))
    assert len(crops) == config.people * config.crops
    assert {int(crop.name[:5]) for crop in crops} == set(range(1, config.people + 1))
    assert {int(crop.name.split("_c")[1].split("s")[0]) for crop in crops} <= set(
        range(1, config.cameras + 1)
    )


def test_keys_are_read(told):
    config = CrowdConfig.load(
        told('people = 7\nmet = [2, 3]\nsize = [256, 128]\nlookalikes = 1\nsensors = "one"\n')
    )
    assert (config.people, config.met, config.size, config.lookalikes, config.sensors) == (
        7,
        (2, 3),
        (256, 128),
        1.0,
        "one",
    )
    assert CrowdConfig(**{**config.to_dict(), "met": (2, 3), "size": (256, 128)}) == config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lookalike = 0.3", "unknown key 'lookalike'; did you mean lookalikes?"),
        ("people = 0", "people is from 1 to 99999, got 0"),
        ("people = 100000", "people is from 1 to 99999, got 100000"),
        ("occlusion = 1.5", "occlusion is from 0 to 1, got 1.5"),
        ("crops = 2.5", "crops: expected int, got 2.5"),
        ('garments = "none"', "garments is all or plain, got 'none'"),
        ("met = [8, 6]", "met is [fewest, most] cameras, from 1 upwards, got [8, 6]"),
        ("met = [3]", "met is [fewest, most]"),
        ("size = [64, 8]", "size is [height, width] in pixels, from 16 to 1024 each, got [64, 8]"),
        ("people =", "expected a TOML file"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(told, text, said):
    with pytest.raises(InputError) as error:
        CrowdConfig.load(told(text))
    assert said in str(error.value)
    if "TOML" not in said:
        assert "\n" not in str(error.value)
