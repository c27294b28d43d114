# Copyright 2026 The diffusion_policy_ros authors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""Tests of the normalizer."""

import re

from diffusion_policy_ros.config import PolicyConfig
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.policy.normalizer import Normalizer, unit_image_statistics
from hypothesis import given, settings, strategies as st
import pytest
import torch


def config_of(entries, mode='MIN_MAX', **changes):
    """Return a configuration with one state and one action of some entries."""
    feature = {'shape': (entries,)}
    return PolicyConfig({'observation.state': {'type': 'STATE', **feature}},
                        {'action': {'type': 'ACTION', **feature}},
                        normalization_mapping={'STATE': mode, 'ACTION': mode},
                        **{'clip_sample': False, **changes})


def statistics_of(rows):
    """Return the statistics of rows, (count, entries), for state and action."""
    numbers = {'min': rows.amin(0), 'max': rows.amax(0), 'mean': rows.mean(0),
               'std': rows.std(0, correction=0)}
    return {'observation.state': numbers, 'action': numbers}


@given(center=st.lists(st.floats(-100, 100, width=32), min_size=3, max_size=3),
       width=st.lists(st.sampled_from([0.0, 1e-9, 5e-5, 2e-4, 1e-2, 1.0, 30.0]), min_size=3,
                      max_size=3),
       mode=st.sampled_from(['MIN_MAX', 'MEAN_STD', 'IDENTITY']))
@settings(max_examples=100, deadline=None)
def test_round_trip_is_the_identity_however_little_an_entry_moved(center, width, mode):
    unit = torch.linspace(-1, 1, 21)[:, None]
    rows = torch.tensor(center) + unit * torch.tensor(width) / 2
    normalizer = Normalizer.from_dataset(config_of(3, mode), statistics_of(rows))
    normalized = normalizer.normalize('action', rows)
    back = normalizer.unnormalize('action', normalized)
    assert torch.isfinite(normalized).all()
    torch.testing.assert_close(back, rows, rtol=1e-6, atol=1e-6)
    if mode == 'MIN_MAX':
        assert normalized.abs().max() <= 1.0001


def test_min_max_maps_extremes_to_plus_and_minus_one():
    rows = torch.tensor([[0.0, -3.0], [0.5, 5.0]])
    normalizer = Normalizer.from_dataset(config_of(2), statistics_of(rows))
    torch.testing.assert_close(normalizer.normalize('observation.state', rows),
                               torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))


def test_mean_std_gives_zero_mean_and_unit_deviation():
    rows = torch.randn(500, 3) * torch.tensor([0.1, 2.0, 30.0]) + 7
    normalizer = Normalizer.from_dataset(config_of(3, 'MEAN_STD'), statistics_of(rows))
    normalized = normalizer.normalize('action', rows)
    torch.testing.assert_close(normalized.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(normalized.std(0, correction=0), torch.ones(3), atol=1e-4, rtol=0)


@pytest.mark.parametrize('mode', ('MIN_MAX', 'MEAN_STD'))
def test_near_constant_entry_is_shifted_but_not_scaled(mode):
    rows = torch.tensor([[2.0, 1.0], [2.00005, 3.0]])
    normalizer = Normalizer.from_dataset(config_of(2, mode), statistics_of(rows))
    normalized = normalizer.normalize('action', rows)
    torch.testing.assert_close(normalized[:, 0], rows[:, 0] - rows[:, 0].mean(), atol=1e-6, rtol=0)
    torch.testing.assert_close(normalized[:, 1], torch.tensor([-1.0, 1.0]))


def outlying_rows():
    """Return normal numbers, and quantiles that leave out the largest 1 and 10 per cent."""
    rows = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0)) * 5 + 3
    statistics = statistics_of(rows)
    for name, share in (('q01', 0.01), ('q10', 0.1), ('q90', 0.9), ('q99', 0.99)):
        statistics['action'][name] = rows.quantile(share, 0)
    return rows, statistics


@pytest.mark.parametrize('mode', ('MEAN_STD', 'QUANTILES', 'QUANTILE10', 'IDENTITY'))
def test_a_new_policy_that_would_cut_demonstrated_actions_is_refused_with_the_range(mode):
    rows, statistics = outlying_rows()
    with pytest.raises(ConfigError, match=f'under {mode}, entry . of them reaches') as refused:
        Normalizer.from_dataset(config_of(2, mode, clip_sample=True), statistics)
    wide = float(re.search(r'policy.clip_sample_range=([0-9.]+) or', str(refused.value))[1])
    normalizer = Normalizer.from_dataset(
        config_of(2, mode, clip_sample=True, clip_sample_range=wide), statistics)
    reach = float(normalizer.normalize('action', rows).abs().max())
    assert wide - 0.01 <= reach <= wide
    Normalizer.from_dataset(config_of(2, mode), statistics)
    Normalizer(config_of(2, mode, clip_sample=True), statistics)  # as LeRobot's are taken


def test_clipping_to_less_than_the_range_of_min_max_is_refused():
    rows = torch.tensor([[0.0, -3.0], [0.5, 5.0]])
    Normalizer.from_dataset(config_of(2, clip_sample=True), statistics_of(rows))
    with pytest.raises(ConfigError, match='reaches 1.00 .* clip_sample_range is 0.9; set'):
        Normalizer.from_dataset(config_of(2, clip_sample=True, clip_sample_range=0.9),
                                statistics_of(rows))


def test_stored_statistics_give_lerobot_the_same_numbers():
    rows = torch.tensor([[2.0, 1.0], [2.00005, 3.0]])
    normalizer = Normalizer.from_dataset(config_of(2), statistics_of(rows))
    low, high = (normalizer.statistics['action'][name] for name in ('min', 'max'))
    torch.testing.assert_close(normalizer.normalize('action', rows),
                               2 * (rows - low) / (high - low) - 1)
    again = Normalizer(config_of(2), normalizer.statistics)
    assert torch.equal(again.normalize('action', rows), normalizer.normalize('action', rows))


def test_statistics_of_a_checkpoint_are_used_as_they_are():
    statistics = {key: {'min': [0.0, 4.0], 'max': [1e-6, 4.0]}
                  for key in ('observation.state', 'action')}
    normalizer = Normalizer(config_of(2), statistics)
    normalized = normalizer.normalize('action', torch.tensor([[1e-6, 4.0]]))
    torch.testing.assert_close(normalized, torch.tensor([[1.0, -1.0]]))
    torch.testing.assert_close(normalizer.unnormalize('action', torch.tensor([[1.0, 0.3]])),
                               torch.tensor([[1e-6, 4.0]]))


def test_unit_statistics_map_pixels_to_plus_and_minus_one():
    feature = {'observation.images.a': {'type': 'VISUAL', 'shape': (3, 4, 4)}}
    for mode in ('MEAN_STD', 'MIN_MAX'):
        config = PolicyConfig(feature, config_of(1).output_features, normalization_mapping={
            'VISUAL': mode, 'ACTION': 'IDENTITY'})
        normalizer = Normalizer(config, {'observation.images.a': unit_image_statistics(3)})
        pixels = torch.tensor([0.0, 0.25, 1.0]).view(3, 1, 1).expand(3, 4, 4)
        torch.testing.assert_close(normalizer.normalize('observation.images.a', pixels),
                                   2 * pixels - 1)


@pytest.mark.parametrize('change, message', [
    (None, "statistics of 'action' lack min, max, which MIN_MAX needs; there are: none"),
    ({'min': [0.0, 0.0]}, "statistics of 'action' lack max"),
    ({'min': [0.0], 'max': [1.0]}, r"'action': min has shape \(1,\); wanted \(2,\)"),
    ({'min': [0.0, float('nan')], 'max': [1.0, 1.0]}, "'action': min is not finite"),
    ({'min': [0.0, 2.0], 'max': [1.0, 1.0]}, 'min exceeds max'),
    ({'min': [0.0, 0.0], 'max': [1.0, 1.0], 'std': [1.0, -1.0]}, 'std is below 0')])
def test_unusable_statistics_are_refused(change, message):
    statistics = {'observation.state': {'min': [0, 0], 'max': [1, 1]}}
    if change is not None:
        statistics['action'] = change
    with pytest.raises(ConfigError, match=message):
        Normalizer.from_dataset(config_of(2), statistics)


def test_numbers_follow_the_device_but_stay_out_of_the_state_dict():
    normalizer = Normalizer(config_of(1), {key: {'min': [0.0], 'max': [1.0]}
                                           for key in ('observation.state', 'action')})
    assert normalizer.state_dict() == {}
    assert all(buffer.device.type == 'meta' for buffer in normalizer.to('meta').buffers())
