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

"""The policy server serves a folder of LeRobot as it is, under a contract given by parameter."""

import os

import pytest

pytest.importorskip('rclpy')
torch = pytest.importorskip('torch')
from diffusion_policy_ros.diffusion import Sampler  # noqa: E402,I100
from diffusion_policy_ros.nodes.policy_server import PolicyServer  # noqa: E402
from diffusion_policy_ros.policy.checkpoint import export_checkpoint, read_checkpoint  # noqa: E402

DOMAIN_ID = 37
CONTRACT = os.path.join(os.path.dirname(__file__), '../../config/robots/pusht.yaml')


@pytest.fixture(scope='module')
def model(save_tiny_policy, tmp_path_factory):
    """Return a folder with nothing but what LeRobot writes, for 5 steps of its DDIM."""
    from dataclasses import replace
    folder = tmp_path_factory.mktemp('lerobot') / 'pretrained_model'
    ours = save_tiny_policy(vision_backbone='resnet18', crop_shape=(36, 36), n_action_steps=4,
                            spatial_softmax_num_keypoints=4)
    lerobots = Sampler('ddim_unclipped', 5, spacing='linspace', start_timestep=80.0)
    export_checkpoint(folder, replace(read_checkpoint(ours), sampler=lerobots))
    assert not (folder / 'contract.yaml').exists()
    return folder


def test_a_folder_of_lerobot_commands_the_robot(peer, model, make_robot, make_server_client):
    make_robot()
    peer.start(PolicyServer, model=str(model), contract=CONTRACT, num_threads=1)
    server = make_server_client()
    server.activate()
    server.until_status('commanding')
    server.until_commands(5)
    assert list(server.commands[0].name) == ['finger_x', 'finger_y']
    # Its own sampler is the default, and another one can be asked for.
    assert server.set('solver', 'dpm_solver++').successful
    server.until_commands(5)


def test_without_a_contract_the_server_says_what_it_needs(peer, server):
    assert not server.change('CONFIGURE')
    server.until_status('holds no contract.yaml; set the parameter "contract"')
