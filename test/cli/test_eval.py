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

"""The arguments of ``dpr eval`` that choose a sampler."""

import os
import subprocess
import sys

from diffusion_policy_ros.choices import SOLVERS
from diffusion_policy_ros.cli import eval as dpr_eval
from diffusion_policy_ros.cli.main import build_parser
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.sampler_options import OPTIONS
import pytest


def parsed(*arguments, model='model'):
    """Parse a command line of ``dpr eval``."""
    return build_parser('eval').parse_args(['eval', str(model), '--sim', 'pusht', *arguments])


def refusal(*arguments, **where):
    """Run a command line that is refused before a simulation starts; the reason."""
    pytest.importorskip('torch')
    pytest.importorskip('tqdm')
    with pytest.raises(ConfigError) as refused:
        dpr_eval.run(parsed(*arguments, **where))
    return str(refused.value)


def test_a_wrong_solver_is_refused_with_all_that_there_are(capsys):
    with pytest.raises(SystemExit) as ended:
        parsed('--solver', 'eular')
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert 'eular' in said and all(name in said for name in SOLVERS)


def test_a_mistake_in_an_option_is_refused_with_the_remedy():
    assert 'did you mean "temperature"?' in refusal('--sampler', 'temprature=1')
    assert 'not of the form name=value' in refusal('--sampler', 'eta')
    assert "order is 'two'; it must be a whole number" in refusal('--sampler', 'order=two')
    assert 'given twice' in refusal('--sampler', 'eta=0', '--sampler', 'eta=1')
    assert 'solver is given twice' in refusal('--solver', 'ddim', '--sampler', 'solver=ddpm')
    assert 'given twice' in refusal('--steps', '3', '--sampler', 'num_inference_steps=4')


def test_a_sampler_that_the_checkpoint_cannot_use_is_refused_in_its_words(save_tiny_policy):
    model = save_tiny_policy()
    assert 'without conditioning_dropout' in refusal('--sampler', 'guidance_scale=2', model=model)
    assert 'order of heun is 3; choose one of: 2' in refusal(
        '--solver', 'heun', '--sampler', 'order=3', model=model)
    assert 'num_inference_steps is 101' in refusal('--steps', '101', model=model)


def test_the_help_names_every_option_and_loads_no_torch():
    code = ('import sys; from diffusion_policy_ros.cli.main import build_parser\n'
            "try: build_parser('eval').parse_args(['eval', '--help'])\n"
            "finally: print('torch' in sys.modules, 'numpy' in sys.modules)")
    shown = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                           timeout=60, stdin=subprocess.DEVNULL,
                           env={**os.environ, 'COLUMNS': '200'})
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines()[-1] == 'False False'
    assert all(option.name in shown.stdout for option in OPTIONS)
