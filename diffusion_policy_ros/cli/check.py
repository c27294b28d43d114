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

"""`dpr check`: is a dataset what it says, and fit to learn from."""

from pathlib import Path
import sys

from diffusion_policy_ros.cli.usage import as_usage

DESCRIPTION = """
Audit a demonstration dataset, ours or anybody's LeRobotDataset v3.0, a Diffusion Policy zarr
buffer or a robomimic HDF5 file: files and columns, indices,
times, videos against rows, statistics, ages, constants, outliers, jumps, copies, frozen and black
pictures, and the robot contract. Every finding says where, and what to do. Levels: ERROR, the
dataset cannot be used or does not hold what it says; WARNING, look at it before training; NOTE,
good to know. Exit code: 0 no ERROR, 3 at least one ERROR, 1 no dataset could be read, or there is
too little memory (stderr says why), 2 wrong usage.
"""
ERRORS_FOUND = 3


def add_arguments(parser) -> None:
    """
    Declare the arguments.

    :param parser: An ``argparse.ArgumentParser``.
    """
    parser.description = DESCRIPTION
    parser.add_argument('dataset', type=Path, help='the dataset')
    parser.add_argument('--contract', type=Path, metavar='YAML',
                        help='robot contract that the dataset must fit, in names, shapes and '
                             'rate, beside the one inside')
    parser.add_argument('--rate', type=float, metavar='HZ',
                        help='rows per second, for formats that do not say')
    parser.add_argument('--out', type=Path, metavar='HTML',
                        help='write the report with all plots and thumbnails to this one file')
    parser.add_argument('--count-only', action='store_true',
                        help='count the frames of videos but do not decode them: takes seconds, '
                             'and finds no frozen, black, damaged or exchanged picture')


def run(args) -> int:
    """
    Print the findings, the worst first, and a line that sums them up.

    :param args: Parsed arguments.
    :return: 0 without any ERROR, 3 with one.
    :raises UsageError: if an argument cannot be.
    :raises DiffusionPolicyError: if there is no dataset; ``dpr`` exits with 1.
    """
    from diffusion_policy_ros.cli.out_folder import check_out_file
    from diffusion_policy_ros.contract import load_contract
    from diffusion_policy_ros.data.datasets.formats import check_rate
    from diffusion_policy_ros.evaluation.dataset.audit import audit_dataset
    from diffusion_policy_ros.evaluation.dataset.finding import count_levels

    with as_usage('--'):
        check_rate(args.rate)
    if args.out:
        check_out_file(args.out)
    contract = load_contract(args.contract) if args.contract else None
    audit = audit_dataset(args.dataset, contract=contract, rate_hz=args.rate,
                          every_picture=not args.count_only)
    for finding in audit.findings:
        print(finding)
    if audit.source is not None:
        print(f'{args.dataset}: {audit.source.kind}, {audit.source.row_count} rows in '
              f'{len(audit.source.episodes)} episodes, {audit.source.rate_hz:g} rows per second')
    print(', '.join(f'{count} {level}' for level, count in count_levels(audit.findings).items()))
    if args.out:
        from diffusion_policy_ros.evaluation.dataset.report import write_page
        print(f'report: {write_page(audit, args.out)}', file=sys.stderr)
    return ERRORS_FOUND if audit.has_errors else 0
