import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from engine.images.grey_range import grey_range, range_of


@pytest.mark.parametrize(
    ("least", "greatest", "low", "high"),
    [
        (0, 0, 0, 1),
        (0, 1, 0, 1),
        (0, 2, 0, 3),
        (0, 4, 0, 15),
        (0, 16, 0, 63),
        (3, 255, 0, 255),
        (0, 256, 0, 1023),
        (0, 1024, 0, 4095),
        (900, 4095, 0, 4095),
        (0, 4096, 0, 16383),
        (0, 16384, 0, 65535),
        (0, 65536, 0, 2**18 - 1),
        (32768 - 1000, 32768 + 1000, 32768 - 1024, 32768 + 1023),  # signed values stored with half the range added
        (40_000, 40_002, 39_936, 40_191),  # 2 values apart: 256 values wide, a multiple of 128
        (-1024, 3071, -4096, 4095),  # Hounsfield units
        (-1, 1, -128, 127),
        (-7, -7, -128, 127),
    ],
)
def test_whole_numbers(least: int, greatest: int, low: int, high: int) -> None:
    shown = grey_range(least, greatest, whole=True)
    assert (shown.low, shown.high) == (low, high)


@pytest.mark.parametrize(
    ("least", "greatest", "low", "high"),
    [
        (0.0, 1.0, 0, 1),
        (0.0, 0.3, 0, 1),
        (0.0, 0.25, 0, 0.25),
        (0.5, 200.5, 0, 256),
        (-1.0, 1.0, -1, 1),
        (280.5, 310.2, 256, 320),  # kelvin: 64 long, a multiple of 32
        (0.0, 0.0, 0, 1),
        (5.5, 5.5, 0, 16),
    ],
)
def test_fractions(least: float, greatest: float, low: float, high: float) -> None:
    shown = grey_range(least, greatest, whole=False)
    assert (shown.low, shown.high) == (low, high)


def test_scans_of_one_series_get_one_range() -> None:
    # 12-bit frames, bright and dark, and a blank one with noise: none is stretched to look like the others
    rng = np.random.default_rng(0)
    tops = [1100, 2000, 3000, 4095]
    frames = [rng.integers(0, top, (8, 8), dtype=np.uint16) for top in tops]
    blank = np.full((8, 8), 1500, np.uint16) + rng.integers(0, 30, (8, 8), dtype=np.uint16)
    for frame, top in zip([*frames, blank], [*tops, 1530], strict=True):
        frame[0, 0] = top
        assert str(range_of(frame)) == "0 to 4095"
    shown = range_of(blank)
    assert shown is not None
    levels = shown.levels(blank)
    assert int(levels.max()) - int(levels.min()) <= 2  # 30 values of 4096


NUMBERS = st.one_of(
    arrays.arrays(np.uint16, (2, 6)),
    arrays.arrays(np.int16, (2, 6)),
    arrays.arrays(np.uint32, (2, 6)),
    arrays.arrays(np.int32, (2, 6)),
    arrays.arrays(np.uint16, (2, 6), elements=st.integers(0, 5)),
    arrays.arrays(np.uint16, (2, 6), elements=st.integers(65_000, 65_100)),
    arrays.arrays(np.float32, (2, 6), elements=st.floats(allow_nan=False, allow_infinity=False, width=32)),
    arrays.arrays(np.float64, (2, 6), elements=st.floats(-(2.0**1000), 2.0**1000)),
)


@given(NUMBERS)
def test_levels_never_fall_where_values_rise_and_show_what_is_not_constant(values: np.ndarray) -> None:
    shown = range_of(values)
    assert shown is not None
    levels = shown.levels(values)
    order = np.argsort(values.reshape(-1).astype(np.float64), kind="stable")
    assert (np.diff(levels.reshape(-1)[order].astype(int)) >= 0).all()
    assert np.array_equal(shown.levels(values, white_is_low=True), 255 - levels)
    assert range_of(values.copy()) == shown
    if values.min() != values.max():
        assert levels.max() >= 60


@given(st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1))
def test_16_bit_values_far_apart_get_many_levels(one: int, other: int) -> None:
    least, greatest = sorted((one, other))
    assume(greatest - least >= 256)
    levels = grey_range(least, greatest, whole=True).levels(np.array([least, greatest]))
    assert int(levels[1]) - int(levels[0]) >= 4  # of 14 bits at least; a pedestal of 16 bits gets 64 and more


def test_what_is_no_number_does_not_count_for_the_range() -> None:
    values = np.array([np.nan, -np.inf, 0.0, 0.5, 1.0, np.inf], np.float32)
    shown = range_of(values)
    assert shown is not None
    assert (shown.low, shown.high) == (0, 1)
    assert shown.levels(values).tolist() == [0, 0, 0, 128, 255, 255]
    assert range_of(np.array([np.nan, np.inf])) is None
    assert range_of(np.empty((0, 3))) is None
