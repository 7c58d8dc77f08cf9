import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.tools.limits import limit_of

HEART = {"quantity": "width_ratio", "target": "heart", "reference": "thorax", "unit": ""}
SHIFT = {"quantity": "midline_shift", "target": "ventricles", "reference": "brain", "unit": "mm"}


@given(st.floats(0, 1), st.floats(0, 0.2), st.sampled_from(["", "PA", "AP", "LL"]))
def test_nothing_is_called_within_its_error_or_in_another_projection(
    value: float, error: float, projection: str
) -> None:
    values = HEART | {"value": value, "error": error}
    limit = limit_of(values)
    assert limit is not None
    verdict = limit.verdict(values, projection)
    if verdict == "found":
        assert value - error >= 0.5 and value > 0.5 and projection == "PA"
    if verdict == "absent":
        assert value <= 0.5 and projection != "LL"
    assert (verdict == "not judged") == bool(limit.obstacle(values, projection))


@pytest.mark.parametrize(
    ("value", "verdict"), [(0.99, "absent"), (1.0, "small"), (4.99, "small"), (5.0, "found")]
)
def test_a_small_shift_is_neither_there_nor_absent(value: float, verdict: str) -> None:
    limit = limit_of(SHIFT)
    assert limit is not None and limit.verdict(SHIFT | {"value": value}) == verdict


def test_other_ratios_have_no_limit() -> None:
    assert limit_of(HEART | {"reference": "left lung"}) is None
    assert limit_of({"quantity": "area", "target": "heart"}) is None
