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
"""Windows that share rows: each is encoded once, and the condition is the same all the same."""

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.policy.acceleration import accelerated
from diffusion_policy_ros.policy.row_encoder import RowEncoder
import numpy as np
import pytest
import torch

CAMERA, STATE = 'observation.images.camera', 'observation.state'


@pytest.fixture(params=[False, True], ids=['plain', 'accelerated'])
def policy(request, make_policy):
    """Return a policy as it was trained, or as it is served."""
    policy = make_policy(vision_backbone='resnet18').eval()
    return accelerated(policy) if request.param else policy


@pytest.fixture
def frames():
    """Return pictures of a camera, each an array of its own."""
    return list(np.random.default_rng(0).integers(0, 256, (6, 96, 96, 3), dtype=np.uint8))


def window_of(pictures, states=0.1):
    """Return the window of two pictures."""
    return {CAMERA: np.stack(pictures), STATE: np.full((2, 2), states, np.float32)}


def count_pictures(policy):
    """Return a list that grows by the number of pictures of each call of the encoder."""
    counts, encoder = [], policy.diffusion.rgb_encoder

    class Counted(torch.nn.Module):
        def forward(self, pictures):
            counts.append(len(pictures))
            return encoder(pictures)

    policy.diffusion.rgb_encoder = Counted()
    return counts


def test_the_condition_is_that_of_the_policy(policy, frames):
    window = window_of(frames[:2])
    with torch.inference_mode():
        wanted = policy.encode({key: value[None] for key, value in window.items()})
    torch.testing.assert_close(RowEncoder(policy).encode(window), wanted, atol=1e-5, rtol=0)


def test_a_row_of_the_window_before_is_not_encoded_again_and_nothing_differs(policy, frames):
    wanted = [RowEncoder(policy).encode(window_of(frames[k:k + 2], k)) for k in range(4)]
    encoder, counts = RowEncoder(policy), count_pictures(policy)
    for k in range(4):
        shown = [[frames[k]], [frames[k + 1]]]
        assert torch.equal(encoder.encode(window_of(frames[k:k + 2], k), shown), wanted[k])
    assert counts == [1, 1, 1, 1, 1]  # five pictures in four windows of two


def test_rows_that_repeat_within_a_window_and_equal_copies(policy, frames):
    encoder, counts = RowEncoder(policy), count_pictures(policy)
    first = frames[0]
    encoder.encode(window_of([first, first]), [[first], [first]])
    encoder.encode(window_of([first, first]), [[first.copy()], [first]])
    # The first window knew nothing; of the second, the copy is another array.
    assert counts == [1, 1, 1]


def test_all_cameras_of_a_row_must_be_the_same(policy, frames):
    encoder, counts = RowEncoder(policy), count_pictures(policy)
    encoder.encode(window_of(frames[:2]), [[frames[0], frames[2]], [frames[1], frames[3]]])
    encoder.encode(window_of(frames[:2]), [[frames[0], frames[2]], [frames[1], frames[4]]])
    assert counts == [1, 1, 1]


def test_without_pictures_to_compare_every_row_is_encoded(policy, frames):
    encoder, counts = RowEncoder(policy), count_pictures(policy)
    for _ in range(2):
        encoder.encode(window_of(frames[:2]))
    assert counts == [1, 1, 1, 1]


def test_a_window_that_does_not_fit_is_refused_by_name(policy, frames):
    with pytest.raises(ConfigError, match="window has no 'observation.state'"):
        RowEncoder(policy).encode({CAMERA: np.stack(frames[:2])})
    with pytest.raises(ConfigError, match=r"images.camera'\]: got uint8 \(1, 3, 96, 96, 3\)"):
        RowEncoder(policy).encode({**window_of(frames[:2]), CAMERA: np.stack(frames[:3])})
