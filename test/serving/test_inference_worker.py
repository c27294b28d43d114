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
"""The inference worker: the policy's own plans, in one thread, with errors handed over."""

from pathlib import Path
import threading
import time

import numpy as np
import pytest

torch = pytest.importorskip('torch')
from diffusion_policy_ros.choices import SOLVERS  # noqa: E402,I100
from diffusion_policy_ros.contract import load_contract  # noqa: E402
from diffusion_policy_ros.diffusion import Sampler  # noqa: E402
from diffusion_policy_ros.errors import CheckpointError, ConfigError, SamplingError  # noqa: E402
from diffusion_policy_ros.policy import Policy  # noqa: E402
from diffusion_policy_ros.policy.acceleration import accelerated  # noqa: E402
from diffusion_policy_ros.policy.action_chunk import Promise  # noqa: E402
from diffusion_policy_ros.policy.latent_space import log_likelihood  # noqa: E402
from diffusion_policy_ros.policy.row_encoder import RowEncoder  # noqa: E402
from diffusion_policy_ros.serving.inference_worker import InferenceWorker  # noqa: E402
from diffusion_policy_ros.serving.plan_request import PlanRequest, PlanSettings  # noqa: E402

CONTRACT = load_contract(Path(__file__).parents[2] / 'config/robots/pusht.yaml')


@pytest.fixture(scope='module')
def model(save_tiny_policy):
    """Save a small untrained policy; its folder."""
    return save_tiny_policy()


@pytest.fixture(scope='module')
def policy(model):
    """Load the policy as anybody would, and make it as fast as a worker does."""
    return accelerated(Policy.load(model))


@pytest.fixture(scope='module')
def worker(model):
    """Load the policy into a worker."""
    worker = InferenceWorker()
    worker.load(model, 'cpu', 1)
    yield worker
    worker.close()


def _window(seed=0):
    random = np.random.default_rng(seed)
    return {'observation.images.camera': random.integers(0, 256, (2, 96, 96, 3), dtype=np.uint8),
            'observation.state': random.random((2, 2), dtype=np.float32) / 2}


NOTHING = Promise(np.full((16, 2), np.nan), 1)


def _ask(worker, window, changes=(), seed=5, promise=NOTHING, **settings):
    """Ask for a plan and wait for it; the finished plan, and the thread it came from."""
    done, result = threading.Event(), []

    def on_done(plan):
        result.extend((plan, threading.current_thread()))
        done.set()

    worker.submit(PlanRequest(window, (), 0, 0, promise, seed,
                              PlanSettings(dict(changes), **settings), asked_s=time.monotonic()),
                  on_done)
    assert done.wait(60)
    return result


def _plan(worker, window, changes=()):
    """Ask for a plan and wait for it; rows, error and the thread it came from."""
    plan, thread = _ask(worker, window, changes)
    return plan.rows, plan.error, thread


@pytest.mark.parametrize('changes, sampler', [
    ({}, None), ({'solver': 'dpm_solver++', 'num_inference_steps': 5}, Sampler('dpm_solver++', 5)),
    ({'eta': 1.0, 'temperature': 0.5}, Sampler('ddim', 4, eta=1.0, temperature=0.5)),
    *(({'solver': name}, Sampler(name, 4)) for name in SOLVERS)])
def test_a_plan_is_the_policys_own_bit_for_bit(worker, policy, changes, sampler):
    window = _window()
    chunk = policy.sample_from(RowEncoder(policy).encode(window), sampler=sampler,
                               generator=torch.Generator().manual_seed(5))
    rows, error, _ = _plan(worker, window, changes)
    assert error is None
    assert (rows == chunk[0, 1:].double().numpy()).all()  # from the newest observation on


def test_all_plans_come_from_one_thread(worker):
    worker.warm_up(CONTRACT, PlanSettings())
    threads = {_plan(worker, _window(k))[2] for k in range(3)}
    assert len(threads) == 1 and threads != {threading.current_thread()}


def test_an_error_is_handed_over_and_the_next_plan_works(worker):
    rows, error, _ = _plan(worker, {'observation.state': np.zeros((2, 2), np.float32)})
    assert rows is None and isinstance(error, ConfigError)
    assert _plan(worker, _window())[1] is None


def test_what_cannot_be_loaded_is_refused_with_the_parameter_to_set(model):
    worker = InferenceWorker()
    with pytest.raises(CheckpointError, match='set the parameter "model"'):
        worker.load('', 'cpu', 1)
    with pytest.raises(ConfigError, match='device .* cannot be used.*cpu or auto'):
        worker.load(model, 'cuda:99', 1)
    worker.close()


@pytest.mark.parametrize('changes, words', [
    ({'solver': 'ddim', 'num_inference_steps': 101}, 'num_inference_steps is 101'),
    ({'solver': 'euler', 'order': 3}, 'order of euler is 3; choose one of: 1'),
    ({'solver': 'ddpm', 'eta': 0.5}, 'eta is 0.5 .* only with ddim'),
    ({'start_timestep': 100.0}, 'start_timestep is 100; .* at most 99'),
    ({'guidance_scale': 2.0}, 'guidance_scale is 2.0, .* without conditioning_dropout')])
def test_a_sampler_that_the_policy_cannot_use_is_refused(worker, changes, words):
    with pytest.raises(ConfigError, match=words):
        worker.check(PlanSettings(changes))
    with pytest.raises(ConfigError, match=words):
        worker.warm_up(CONTRACT, PlanSettings(changes))
    worker.check(PlanSettings({'solver': 'ddim', 'num_inference_steps': 100}))


def test_a_plan_that_comes_to_no_end_is_an_error_and_the_next_one_works(worker):
    spent = {'solver': 'adaptive', 'max_evaluations': 1}
    worker.warm_up(CONTRACT, PlanSettings(spent))
    rows, error, _ = _plan(worker, _window(), spent)
    assert rows is None and isinstance(error, SamplingError) and 'max_evaluations' in str(error)
    assert _plan(worker, _window())[1] is None


def test_a_policy_that_was_trained_for_guidance_takes_it(save_tiny_policy):
    model, window = save_tiny_policy(conditioning_dropout=0.1), _window()
    worker = InferenceWorker()
    worker.load(model, 'cpu', 1)
    worker.check(PlanSettings({'guidance_scale': 2.0}))
    rows, error, _ = _plan(worker, window, {'guidance_scale': 2.0})
    worker.close()
    assert error is None
    policy = accelerated(Policy.load(model))
    chunk = policy.sample_from(
        RowEncoder(policy).encode(window), sampler=Sampler('ddim', 4, guidance_scale=2.0),
        generator=torch.Generator().manual_seed(5))
    assert (rows == chunk[0, 1:].double().numpy()).all()


def test_a_plan_is_repeated_by_its_seed_alone_whatever_came_before(worker):
    first = _ask(worker, _window(), seed=7)[0].rows
    _ask(worker, _window(1), seed=8)
    assert (_ask(worker, _window(), seed=7)[0].rows == first).all()
    assert (_ask(worker, _window(), seed=8)[0].rows != first).any()


def test_several_candidates_come_with_their_spread(worker):
    plan, _ = _ask(worker, _window(), num_candidates=3)
    assert plan.candidates.shape == (3, 15, 2) and plan.spread > 0
    assert (plan.rows == plan.candidates[0]).all()
    assert _ask(worker, _window())[0].spread == 0


def test_asked_for_a_likelihood_it_makes_the_same_plan_and_tells_how_likely_it_is(
        worker, policy, model):
    window = _window()
    plain, _ = _ask(worker, window, num_candidates=3)
    asked, _ = _ask(worker, window, num_candidates=3, likelihood_steps=4)
    assert plain.log_likelihood is None and plain.error is None and asked.error is None
    assert (plain.rows == asked.rows).all() and plain.spread == asked.spread
    batch = {key: np.repeat(value[None], 400, axis=0) for key, value in window.items()}
    chunk = policy.sample_from(RowEncoder(policy).encode(window).repeat(3, 1),
                               generator=torch.Generator().manual_seed(5))[:1]
    assert (chunk[0, 1:].double().numpy() == asked.rows).all()
    # One random direction without bias: the worker's is one of those that are seen here.
    nats = log_likelihood(Policy.load(model), batch, chunk.repeat(400, 1, 1), steps=4, probes=1,
                          generator=torch.Generator().manual_seed(1)) / 32
    assert nats.min() <= asked.log_likelihood <= nats.max()
    assert nats.std() < 1.0


def test_a_likelihood_is_repeated_by_the_seed_of_its_plan(worker):
    first, second, other = (_ask(worker, _window(), seed=seed, likelihood_steps=2)[0]
                            for seed in (7, 7, 8))
    assert first.log_likelihood == second.log_likelihood != other.log_likelihood


def test_the_time_for_a_likelihood_does_not_count_as_that_of_the_plan(worker, monkeypatch):
    worker.warm_up(CONTRACT, PlanSettings())
    seen = []
    monkeypatch.setattr(type(worker._budget), 'add', lambda self, *times: seen.append(times))
    plan, _ = _ask(worker, _window(), likelihood_steps=40)
    (_, sample_s, evaluations), = seen
    assert evaluations == plan.evaluations == 4
    assert plan.finished_s - plan.encoded_s > 5 * sample_s  # 160 evaluations with gradient


def test_a_plan_agrees_with_what_is_promised_where_it_shall(worker):
    rows = np.full((16, 2), np.nan)
    rows[:9] = (0.3, 0.1)
    plan, _ = _ask(worker, _window(), promise=Promise(rows, 4), join='rtc')
    np.testing.assert_allclose(plan.rows[:3], rows[1:4], atol=1e-5)


def test_a_deadline_costs_steps_first_and_then_the_rest_of_the_plan(worker, monkeypatch):
    settings = {'deadline_ms': 60_000.0}
    worker.warm_up(CONTRACT, PlanSettings(**settings))
    enough, _ = _ask(worker, _window(), **settings)
    assert enough.evaluations == 4 and not enough.is_late
    # Learnt from slow plans: 10 ms of encoding, 20 ms each.
    for _ in range(40):
        worker._budget.add(0.01, 0.2, 10)
    slow, _ = _ask(worker, _window(), deadline_ms=55.0)
    assert slow.evaluations <= 2
    late, _ = _ask(worker, _window(), deadline_ms=0.001)
    assert late.evaluations == 1 and late.is_late and late.error is None
    assert np.isfinite(late.rows).all()


def test_warm_starts_that_the_policy_cannot_make_are_refused(worker):
    two = {'solver': 'dpm_solver++', 'then': 'heun', 'switch_lambda': -2.0}
    worker.check(PlanSettings(two))
    with pytest.raises(ConfigError, match='switch_lambda'):  # the first solver has no part in it
        worker.check(PlanSettings(two, 'warm_start', warm_start_level=0.3))
    worker.check(PlanSettings({}, 'warm_start'))
