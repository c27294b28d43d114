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

"""What `dpr convert` prints when a dataset is written: the summary, the findings, what is next."""

import shlex
import sys

INCOMPLETE = 3


def print_summary(summary, out) -> None:
    """
    Print what was made of bags, and what was lost.

    :param summary: The ``ConversionSummary``; of one without episodes, why they are missing.
    :param out: Path of the dataset.
    """
    reused = f', {summary.reused} from the run before' if summary.reused else ''
    if summary.episodes:
        print(f'{summary.rows} rows in {summary.episodes} episodes from {summary.bags} bags '
              f'({summary.skipped} skipped, {summary.splits} splits{reused}) -> {out}')
    for line in summary.lines():
        print(line)
    for warning in summary.warnings:
        print(f'WARNING: {warning}', file=sys.stderr)


def warn_of_lost_record(to, entries) -> None:
    """
    Say that another format has no place for success tags, alarms and the names of bags.

    :param to: As ``--to``.
    :param entries: ``conversion_record.EPISODE_FIELDS`` of each episode.
    """
    from diffusion_policy_ros.data.datasets.conversion_record import count_outcomes, told_alarms
    if to == 'dataset':
        return
    lost, alarms = [], told_alarms(entries)
    if any(entry['success'] is not None for entry in entries):
        lost.append(f'success tags ({count_outcomes(entries)}; --only success keeps the rows of '
                    'successes alone)')
    if alarms:
        lost.append(f'what the recorder found wrong ({alarms})')
    level = 'WARNING' if lost else 'NOTE'
    if any(entry['bag'] for entry in entries):
        lost.append('the names of the bags')
    if lost:
        print(f'{level}: {to} has no place for {", ".join(lost)}; keep the LeRobotDataset too',
              file=sys.stderr)


def conclude(args) -> int:
    """
    Judge the dataset, and say what comes next.

    :param args: Parsed arguments of ``dpr convert``.
    :return: The exit code that this makes.
    """
    out = shlex.quote(str(args.out))
    from diffusion_policy_ros.data.datasets.lerobot_format import CONTRACT_PATH
    if args.to != 'dataset':
        print(f'next: dpr check {out}')
        return 0
    if not args.no_report and not _is_judged_usable(args.out):
        return INCOMPLETE
    if (args.out / CONTRACT_PATH).is_file():
        print(f'next: dpr train {out} --out models/NAME')
    else:
        source = shlex.quote(str(args.source[0]))
        print('next: write a robot contract for its columns, which dpr train needs '
              '(docs/datasets.md, "Train on data of others"), then dpr convert '
              f'{source} --contract YAML --out NEW')
    return 0


def _is_judged_usable(folder):
    """Print what is found in the dataset and write its report; tell whether it has no ERROR."""
    from diffusion_policy_ros.evaluation.dataset.finding import count_levels, NOTE
    has_errors = False
    try:
        from diffusion_policy_ros.evaluation.dataset.audit import audit_dataset
        audit = audit_dataset(folder, every_picture=False)
        has_errors = audit.has_errors
        for finding in audit.findings:
            if finding.level != NOTE:
                print(finding)
        print('dataset: ' + ', '.join(f'{count} {level}' for level, count
                                      in count_levels(audit.findings).items()))
        from diffusion_policy_ros.evaluation.dataset.report import write_page
        print(f'report: {write_page(audit)}')
    except KeyboardInterrupt:
        print(f'dpr convert: the dataset is whole; dpr check {shlex.quote(str(folder))} judges it',
              file=sys.stderr)
        raise
    except Exception as error:  # whatever it is, such as no more memory, the dataset is there
        reason = ' '.join(str(error).split()) or 'no reason given'
        print('WARNING: the dataset is whole, the report failed: '
              f'{type(error).__name__}: {reason}', file=sys.stderr)
    return not has_errors
