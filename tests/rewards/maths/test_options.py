import pytest

from rewards.maths.options import Options
from rewards.maths.verifier import verify
from unigrpo.errors import ConfigError


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"percent": "both"}, "rewards.math.args.percent is 'both': set it to `value` or `either`."),
        ({"units": "drop"}, "units is 'drop': set it to `optional`, `require`, `convert` or `ignore`."),
        ({"ordered": "yes"}, "ordered is 'yes': set it to true or false."),
        ({"simplified": 1}, "simplified is 1: set it to true or false."),
        ({"tolerance": -1}, "tolerance is -1: set it from 0 to below 1"),
        ({"tolerance": "1e-3"}, "tolerance is '1e-3': set it from 0 to below 1"),
        ({"tolerance": True}, "tolerance is True: set it from 0 to below 1"),
    ],
)
def test_a_bad_setting_says_what_to_set(setting, message):
    with pytest.raises(ConfigError) as raised:
        Options(**setting)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("setting", "answer", "gold", "by_default", "with_it"),
    [
        ({"percent": "either"}, r"4\%", "4", False, True),
        ({"percent": "either"}, r"4\%", "0.04", True, True),
        ({"units": "require"}, "5", r"5\text{ cm}", True, False),
        ({"units": "require"}, "5 centimeters", r"5\text{ cm}", True, True),
        ({"units": "require"}, "5 cm", "5", True, False),
        ({"units": "require"}, "25", r"25\%", True, False),
        ({"units": "convert"}, "500 cm", "5 meters", False, True),
        ({"units": "convert"}, "501 cm", "5 meters", False, False),
        ({"units": "convert"}, "90 km/h", "25 m/s", False, True),
        ({"units": "convert"}, "2 liters", r"2000\text{ cm}^3", False, True),
        ({"units": "convert"}, "5 kg", "5 meters", False, False),
        ({"units": "convert"}, r"\$2.50", "250 cents", False, True),
        ({"units": "ignore"}, "5 kg", "5 meters", False, True),
        ({"ordered": False}, "(2,1)", "(1,2)", False, True),
        ({"ordered": False}, r"\{1,2\}", "(1,2)", False, True),
        ({"ordered": False}, "1, 2", "(1,2)", False, True),
        ({"ordered": False}, "(1,3)", "(1,2)", False, False),
        ({"tolerance": 0.01}, "3.14", r"\pi", False, True),
        ({"tolerance": 0.01}, "0.33", r"\frac13", False, True),
        ({"tolerance": 0.01}, "3.3", r"\pi", False, False),
        ({"tolerance": 0.01}, "4.01", "4", False, False),
        ({"tolerance": 0}, "0.33333333", r"\frac13", True, False),
        ({"tolerance": 0}, r"0.\overline{3}", r"\frac13", True, True),
        ({"simplified": False}, "2+2", "4", False, True),
        ({"simplified": False}, r"3\cdot4", "12", False, True),
        ({"simplified": False}, r"\{0+4\}", "4", False, True),
        ({"simplified": False}, r"\sum_{i=1}^{4} i", "10", False, False),
    ],
)
def test_an_option_changes_what_it_says_and_nothing_else(setting, answer, gold, by_default, with_it):
    assert verify(answer, gold, Options())[0] is by_default
    assert verify(answer, gold, Options(**setting))[0] is with_it
