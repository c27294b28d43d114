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

"""The exceptions a user of this package can meet; every one derives from one base."""


class DiffusionPolicyError(Exception):
    """Base of every error that this package raises for something outside its own code."""


class ContractError(DiffusionPolicyError):
    """A robot contract is invalid, or two contracts that must agree do not."""


class ConfigError(DiffusionPolicyError):
    """A policy or training configuration holds a value that cannot work."""


class UsageError(ConfigError):
    """A command was called with arguments that no input makes right."""


class DecodeError(DiffusionPolicyError):
    """A message cannot be turned into the array that its stream promises."""


class AlignmentError(DiffusionPolicyError):
    """No usable sample of a stream exists for a tick: none yet, or only one that is too old."""


class SamplingError(DiffusionPolicyError):
    """A sampler could not come to a chunk: a value is not finite, or its budget is spent."""


class ChunkError(DiffusionPolicyError):
    """A policy produced a chunk that no robot may follow (not finite, or of the wrong size)."""


class CheckpointError(DiffusionPolicyError):
    """A checkpoint folder is incomplete, corrupt or does not fit what was asked of it."""


class BagError(DiffusionPolicyError):
    """A rosbag cannot be read, or does not hold what its metadata promises."""


class DatasetError(DiffusionPolicyError):
    """A demonstration dataset is incomplete, corrupt or does not fit the contract."""


class SafetyError(DiffusionPolicyError):
    """Motion limits cannot be kept, or a command or measurement must not be followed."""


class CommandRefused(DiffusionPolicyError):
    """A simulated controller does not take a command, or may not have the joints it asks for."""
