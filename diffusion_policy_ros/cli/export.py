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
"""``dpr export``: a checkpoint becomes graphs that run without this package."""

from pathlib import Path

from diffusion_policy_ros.choices import EXPORT_FORMATS
from diffusion_policy_ros.cli.eval import add_sampler_arguments, sampler_changes
from diffusion_policy_ros.cli.stopping import interrupting_signals

DESCRIPTION = """
Write the graphs of a checkpoint for other runtimes: its denoiser, its image encoders, and "chunk",
the whole way from one window in robot units, and noise, to a plan in robot units. The policy
server computes the first two with its parameter "backend"; a C++ process loads the chunk, and
guards it itself: docs/export.md. Each graph is loaded back and compared with the policy; where
they differ by more than rounding, nothing is written. Takes seconds to minutes.
"""


def add_arguments(parser):
    """
    Declare the arguments.

    :param parser: The subcommand's ``ArgumentParser``.
    """
    parser.description = DESCRIPTION
    parser.add_argument('model', type=Path, help='checkpoint folder')
    parser.add_argument('--format', choices=EXPORT_FORMATS, required=True,
                        help='onnx: for onnxruntime, OpenVINO and others; torchscript: for '
                             'LibTorch; aoti: compiled for LibTorch on this machine, needs g++')
    add_sampler_arguments(parser)
    parser.add_argument('--out', type=Path, help='folder to write, in which an earlier export is '
                        'replaced; default: MODEL/FORMAT, where the policy server looks')


def run(args) -> int:
    """
    Export, and print how far each graph is from the policy.

    :param args: Parsed arguments; the sampler's are for the chunk.
    :return: 0.
    """
    from diffusion_policy_ros.policy.export.writing import export_policy

    changes = sampler_changes(args)
    with interrupting_signals():
        folder = export_policy(args.model, args.format, changes=changes, out=args.out,
                               tell=lambda text: print(text, flush=True))
    served = '' if args.out else f'; the policy server takes it with backend:={args.format}'
    also = ' or openvino' if args.format == 'onnx' and not args.out else ''
    print(f'{folder}: written{served}{also}')
    return 0
