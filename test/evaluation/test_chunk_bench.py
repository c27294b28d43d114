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

"""Chunks are timed in turn, and what is served is as exact as the plain loop, and faster."""

from functools import partial
from statistics import median
from types import SimpleNamespace

from diffusion_policy_ros.diffusion import inference_levels, Sampler
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.evaluation import chunk_bench
from diffusion_policy_ros.evaluation.chunk_bench import (
    bench_sampler, chunk_difference, measure_in_turn, own_policies, OwnPolicy, PLAIN, SERVED,
    served_name, Setting)
from diffusion_policy_ros.evaluation.chunk_bench_policy import (
    bench_config, random_noise, random_window, untrained_policy)
from diffusion_policy_ros.policy import lerobot_config
from diffusion_policy_ros.policy.acceleration import accelerated
import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope='module')
def policy():
    """Return a small policy with two cameras."""
    return untrained_policy(bench_config((16, 32), cameras=2, image_size=(32, 32), horizon=8))


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch):
    """Wait for no threads."""
    monkeypatch.setattr(chunk_bench, 'PAUSE_S', 0)


def own(policy, solver, window, noise):
    """Return the plain way to draw chunks."""
    return OwnPolicy(policy, partial(policy.encode, window), solver, noise)


@pytest.mark.parametrize('cameras', [0, 2])
def test_lerobot_can_build_the_untrained_policies(cameras):
    config = bench_config((16, 32), cameras=cameras, image_size=(32, 48), horizon=8)
    assert not lerobot_config.refusals(config) and len(config.image_keys) == cameras
    assert config.n_action_steps == 7


def test_an_untrained_policy_is_far_from_being_clipped_and_depends_on_noise_and_window(policy):
    window, noise = random_window(policy), random_noise(policy, 2)
    first = own(policy, 'ddim', window, noise).draw(Setting(10, 2))
    assert 0.01 < first.abs().max() < 0.5 * policy.config.clip_sample_range
    assert (first[0] - first[1]).abs().max() > 1e-3
    other = own(policy, 'ddim', {key: value.flip(-1) for key, value in window.items()},
                noise).draw(Setting(10, 2))
    assert (first - other).abs().max() > 1e-4


@pytest.mark.parametrize('solver', ['ddim', 'dpm_solver++'])
def test_chunks_are_those_of_the_policy_for_any_number_of_candidates(policy, solver):
    window, noise = random_window(policy), random_noise(policy, 3)
    found = own(policy, solver, window, noise).draw(Setting(5, 3))
    for chunk, start in zip(found, noise):
        alone = policy.sample(window, sampler=bench_sampler(solver, 5, policy.config),
                              noise=start[None])
        torch.testing.assert_close(chunk[None], alone, atol=2e-6, rtol=0)
    rows = own(policy, solver, window, noise).executable(Setting(5, 2))
    torch.testing.assert_close(rows, found[:2, 1:8], atol=2e-6, rtol=0)


def test_ddim_visits_the_levels_of_lerobot_and_the_other_solver_its_own(policy):
    process = policy.process
    found = inference_levels(process, bench_sampler('ddim', 10, policy.config))
    assert [level.timestep for level in found[:-1]] == list(range(90, -1, -10))
    assert bench_sampler('dpm_solver++', 7, policy.config) == Sampler('dpm_solver++', 7)
    with pytest.raises(ConfigError, match='noise alone'):
        policy.check_sampler(bench_sampler('ddim', 2, policy.config))


def test_what_is_served_is_timed_before_each_of_the_others():
    asked, seconds = [], {SERVED: 1.0, 'served bfloat16': 0.5, PLAIN: 3.0, 'lerobot': 8.0}

    def way(name):
        def measure(setting):
            asked.append(name)
            return seconds[name] + len(asked) / 1000

        return SimpleNamespace(seconds=measure)

    times, ratios = measure_in_turn({name: way(name) for name in seconds}, Setting(10, 1), 2)
    warm_up = chunk_bench.WARM_UP_CHUNKS * len(seconds)
    served = [SERVED, 'served bfloat16']
    assert asked[warm_up:] == 2 * [*served, PLAIN, *served, 'lerobot']
    assert {name: len(found) for name, found in times.items()} == {
        SERVED: 4, 'served bfloat16': 4, PLAIN: 2, 'lerobot': 2}
    first = warm_up + 1
    assert ratios[SERVED][PLAIN][0] == (3 + (first + 2) / 1000) / (1 + first / 1000)
    assert ratios['served bfloat16']['lerobot'][1] == pytest.approx(
        (8 + (first + 11) / 1000) / (0.5 + (first + 10) / 1000))


def test_the_difference_is_the_largest_in_normalized_units_relative_above_one(policy):
    robot = policy.normalizer.unnormalize
    reference = robot('action', torch.tensor([[[0.5] * 7, [4.0] * 7]]))
    chunk = robot('action', torch.tensor([[[0.5] * 7, [4.0] * 6 + [4.4]]]))
    assert chunk_difference(policy, chunk, reference) == pytest.approx(0.1, abs=1e-6)
    assert chunk_difference(policy, reference, reference) == 0


def test_what_is_served_draws_the_plain_chunk_and_leaves_its_policy_alone(policy):
    window, setting = random_window(policy), Setting(10, 3)
    before = policy.sample(window, noise=random_noise(policy, 1))
    served = {served_name(precision): accelerated(policy, precision=precision)
              for precision in ('float32', 'bfloat16')}
    ways = own_policies(policy, 'ddim', window, served, 3)
    assert list(ways) == [SERVED, 'served bfloat16', PLAIN]
    found = {name: way.executable(setting) for name, way in ways.items()}
    assert chunk_difference(policy, found[SERVED], found[PLAIN]) < 1e-5
    assert 0 < chunk_difference(policy, found['served bfloat16'], found[PLAIN]) < 0.05
    torch.testing.assert_close(policy.sample(window, noise=random_noise(policy, 1)), before)


def test_what_is_served_is_faster_than_the_plain_loop():
    # Never how fast: only that packing and tracing are worth something. It is twice and more on
    # a machine that is idle, and each pair shares what else the machine does.
    policy = untrained_policy(bench_config((64, 128, 256), cameras=0, image_size=None,
                                           horizon=16))
    ways = own_policies(policy, 'ddim', random_window(policy), {SERVED: accelerated(policy)}, 1)
    setting = Setting(10, 1)
    found = {name: way.executable(setting) for name, way in ways.items()}
    assert chunk_difference(policy, found[SERVED], found[PLAIN]) < 1e-5
    _, ratios = measure_in_turn(ways, setting, 15)
    assert median(ratios[SERVED][PLAIN]) >= 1.1
