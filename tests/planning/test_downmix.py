"""Channels of a source in channels of a rendition (ITU-R BS.775)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamforge.planning.sound.downmix import NEAREST, mix

HALF = pytest.approx(0.7071, abs=1e-4)
SURROUND = ["FL", "FR", "FC", "LFE", "BL", "BR"]


def test_surround_in_stereo() -> None:
    assert mix(SURROUND, 2).rows == [{0: 1.0, 2: HALF, 4: HALF}, {1: 1.0, 2: HALF, 5: HALF}]


def test_surround_in_one_channel() -> None:
    assert mix(SURROUND, 1).rows == [{0: HALF, 1: HALF, 2: 1.0, 4: 0.5, 5: 0.5}]


@pytest.mark.parametrize("sides", [["BL", "BR"], ["SL", "SR"]])
def test_surround_is_the_same_whether_it_is_beside_or_behind(sides: list[str]) -> None:
    assert mix([*SURROUND[:4], *sides], 6).is_copy


def test_what_has_a_loudspeaker_less_leaves_it_silent() -> None:
    assert mix(["FL", "FR", "BL", "BR"], 6).rows == [{0: 1.0}, {1: 1.0}, {}, {}, {2: 1.0}, {3: 1.0}]


def test_one_behind_is_both_sides() -> None:
    assert mix(["FL", "FR", "FC", "BC"], 6).rows[4:] == [{3: HALF}, {3: HALF}]


@pytest.mark.parametrize(("channels", "wanted"), [(["FC"], 1), (["FL", "FR"], 2), (["DL", "DR"], 2)])
def test_what_fits_is_copied(channels: list[str], wanted: int) -> None:
    mixed = mix(channels, wanted)
    assert mixed.is_copy
    assert not mixed.can_clip


def test_one_channel_in_two_is_as_loud_as_it_was() -> None:
    assert mix(["FC"], 2).rows == [{0: HALF}, {0: HALF}]


def test_six_channels_without_names_are_in_the_order_of_broadcasters() -> None:
    assert mix(["NONE"] * 6, 6).is_copy
    assert mix(["NONE"] * 6, 2) == mix(SURROUND, 2)


@pytest.mark.parametrize("count", [2, 3, 5, 16, 64])
def test_of_any_other_number_without_names_only_two_are_heard(count: int) -> None:
    assert mix(["NONE"] * count, 2).rows == [{0: 1.0}, {1: 1.0}]


@given(channels=st.lists(st.sampled_from(sorted(NEAREST)), unique=True, min_size=1), wanted=st.sampled_from([1, 2, 6]))
def test_every_channel_but_the_bass_is_heard_and_none_is_made_louder(channels: list[str], wanted: int) -> None:
    rows = mix(channels, wanted).rows
    assert len(rows) == wanted
    power = {n: sum(row.get(n, 0) ** 2 for row in rows) for n in range(len(channels))}
    heard = {channels[n] for n, value in power.items() if value > 0}
    assert set(channels) - heard <= ({"LFE", "LFE2"} if wanted < 6 else set())
    assert all(value <= 1.0001 for value in power.values())


@given(names=st.lists(st.text(max_size=5), min_size=1, max_size=64), wanted=st.sampled_from([1, 2, 6]))
def test_whatever_channels_are_called_is_no_error(names: list[str], wanted: int) -> None:
    assert len(mix(names, wanted).rows) == wanted
