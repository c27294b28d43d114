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
"""The inference worker plans with whatever runtime it is told to, and says which."""

from pathlib import Path
import threading
import time

import numpy as np
import pytest

torch = pytest.importorskip('torch')
from diffusion_policy_ros.contract import load_contract  # noqa: E402,I100
from diffusion_policy_ros.errors import ConfigError  # noqa: E402
from diffusion_policy_ros.policy import Policy  # noqa: E402
from diffusion_policy_ros.policy.action_chunk import Promise  # noqa: E402
from diffusion_policy_ros.policy.export.formats import check_tools  # noqa: E402
from diffusion_policy_ros.serving.inference_worker import InferenceWorker  # noqa: E402
from diffusion_policy_ros.serving.plan_request import PlanRequest, PlanSettings  # noqa: E402

CONTRACT = load_contract(Path(__file__).parents[2] / 'config/robots/pusht.yaml')
NOTHING = Promise(np.full((16, 2), np.nan), 1)


def exported(export_tiny_policy, backend):
    """Return an exported checkpoint for a runtime, or skip naming what is missing."""
    if backend == 'openvino':
        pytest.importorskip('openvino')
    if backend == 'aoti':
        try:
            check_tools('aoti')
        except ConfigError as reason:
            pytest.skip(str(reason))
    return export_tiny_policy('onnx' if backend == 'openvino' else backend)


@pytest.mark.parametrize('backend', [
    'auto', 'onnx', 'openvino', 'torchscript', pytest.param('aoti', marks=pytest.mark.slow)])
def test_plans_are_the_policys_own_whatever_computes_them(export_tiny_policy, backend):
    model = exported(export_tiny_policy, 'torchscript' if backend == 'auto' else backend)
    worker, done = InferenceWorker(), threading.Event()
    worker.load(model, 'cpu', 1, backend=backend)
    assert worker.facts == {'weights': worker.digest, 'device': 'cpu', 'precision': 'float32',
                            'backend': backend}
    settings, plans = PlanSettings({}, num_candidates=2, likelihood_steps=1), []
    assert worker.warm_up(CONTRACT, settings) > 0
    random = np.random.default_rng(0)
    window = {'observation.images.camera': random.integers(0, 256, (2, 96, 96, 3), np.uint8),
              'observation.state': random.random((2, 2), np.float32) / 2}
    worker.submit(PlanRequest(window, (), 0, 0, NOTHING, 5, settings, asked_s=time.monotonic()),
                  lambda plan: (plans.append(plan), done.set()))
    assert done.wait(60)
    worker.close()
    plan, = plans
    assert plan.error is None and np.isfinite(plan.log_likelihood)
    wanted = Policy.load(model).sample_candidates(
        {key: value[None] for key, value in window.items()}, 2,
        generator=torch.Generator().manual_seed(5))
    np.testing.assert_allclose(plan.candidates, wanted[0, :, 1:].numpy(), atol=1e-5)


def test_what_cannot_be_served_is_refused_with_the_command(save_tiny_policy):
    worker, model = InferenceWorker(), save_tiny_policy(denoiser={'type': 'mlp', 'dim': 16})
    with pytest.raises(ConfigError, match=f'run: dpr export {model} --format onnx'):
        worker.load(model, 'cpu', 1, backend='openvino')
    with pytest.raises(ConfigError, match="backend is 'tensorrt'; choose one of: auto"):
        worker.load(model, 'cpu', 1, backend='tensorrt')
    worker.close()
