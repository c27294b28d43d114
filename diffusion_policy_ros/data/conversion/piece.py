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

"""Convert one bag into a small dataset of its own, which is later joined with the others."""

from dataclasses import dataclass
from pathlib import Path

from diffusion_policy_ros.checks import is_encodable, shown
from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.bags.bag_reader import Bag, open_bag
from diffusion_policy_ros.data.bags.storage_order import SetBack
from diffusion_policy_ros.data.conversion.ages import Ages
from diffusion_policy_ros.data.conversion.cut_times import parse_success
from diffusion_policy_ros.data.conversion.cutting import Span
from diffusion_policy_ros.data.conversion.episodes import episode_rows, Gap
from diffusion_policy_ros.data.conversion.lag import LagEstimator
from diffusion_policy_ros.data.conversion.settings import Settings
from diffusion_policy_ros.data.conversion.stamp_offsets import OffsetWatch
from diffusion_policy_ros.data.conversion.stretches import (
    find_episodes, losses_of, stretch_of)
from diffusion_policy_ros.data.conversion.summary import PieceReport
from diffusion_policy_ros.data.conversion.telling import Telling
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.data.recorded import recorded_topics
from diffusion_policy_ros.errors import BagError, DatasetError, DiffusionPolicyError

WHOLE = (Span(0),)  # the episodes of a bag that is not cut


@dataclass(frozen=True)
class PieceJob:
    """
    One bag to convert, or a part of it; plain values, so that another process can do it.

    :ivar bag: Its path.
    :ivar folder: Folder to create for its dataset.
    :ivar contract: The contract, YAML.
    :ivar settings: ``Settings`` of the conversion.
    :ivar part: ``Bag`` of the messages to convert, None for those of the whole bag.
    :ivar spans: The episodes to convert, where they were found already.
    :ivar losses: What is known of the bag's losses, one sentence each.
    :ivar bounds: Arrival of the bag's first and last message, ns, where they were found already.
    """

    bag: Path
    folder: Path
    contract: str
    settings: Settings
    part: Bag = None
    spans: tuple = None
    losses: tuple = ()
    bounds: tuple = None


def convert_piece(job, on_share=None) -> PieceReport:
    """
    Convert one bag or part.

    A bag that cannot be read is skipped with a sentence.

    :param job: ``PieceJob``.
    :param on_share: Called with the share of the bag that is done, in [0, 1], as it grows.
    :return: ``PieceReport``; the dataset is complete.
    :raises DatasetError: if the dataset cannot be written.
    """
    contract = parse_contract(job.contract)
    report = PieceReport(str(job.bag))
    codec, crf = job.settings.codec, job.settings.crf
    with LeRobotWriter(job.folder, contract, codec=codec, crf=crf) as writer:
        _Piece(job, contract, writer, report, on_share).convert()
    if report.episodes:
        folder = Path(job.folder)
        report.folder = folder.name
        report.files = {str(path.relative_to(folder)): path.stat().st_size
                        for path in sorted(folder.rglob('*')) if path.is_file()}
    return report


class _Piece:
    """The conversion of one bag or part."""

    def __init__(self, job, contract, writer, report, on_share):
        self._job, self._settings = job, job.settings
        self._contract = contract
        self._writer = writer
        self._report = report
        self._on_share = on_share
        self._bounds = job.bounds
        self._topics = recorded_topics(contract)
        self._ages = Ages(self._topics)
        self._stamps = OffsetWatch(self._topics)
        self._lags = LagEstimator(contract)
        self._span, self._telling, self._number, self._last_ns = None, None, 0, 0

    def convert(self):
        """Convert the bag, or say why it is skipped."""
        try:
            with self._job.part or open_bag(self._job.bag) as bag:
                self._task = self._settings.task or _task_of(bag)
                self._success = parse_success(bag.custom_data.get('outcome'))
                alarms = bag.custom_data.get('alarms')
                self._alarms = None if alarms is None else alarms.splitlines()
                self._repaired = bag.custom_data.get('repaired')
                for span in self._wanted(self._find_spans(bag)):
                    self._begin(span, bag)
                    self._convert_span(bag)
                # Known once all is read.
                if self._job.part is None:
                    self._report.losses = losses_of(bag)
                else:
                    self._report.losses = list(self._job.losses)
                    self._report.undecoded = bag.undecoded
        except DatasetError:
            raise  # no fault of the bag: the next one could not be written either
        except DiffusionPolicyError as error:
            self._discard()
            self._report.skip(error, 'broken off' if self._report.episodes else 'skipped',
                              may_pass=isinstance(error.__cause__, OSError))
        self._report.ages = self._ages.to_dict()
        self._report.stamps = {t: s.to_dict() for t, s in self._stamps.topics.items()}
        self._report.lags = self._lags.to_dict()

    def _find_spans(self, bag):
        """Return the episodes of the bag."""
        cut, spans = self._settings.cut, self._job.spans
        if cut is None:
            return WHOLE
        if spans is None:
            spans = find_episodes(bag, self._contract, cut)
        self._report.cuts = len(spans)
        self._report.dropped = sum(span.dropped for span in spans)
        return spans

    def _wanted(self, spans):
        """Leave out what the demonstrator discarded, or what must be a success and is none."""
        report, wanted = self._report, []
        for span in spans:
            success = self._success_of(span)
            if span.dropped:
                continue
            if self._settings.only_success and not success:
                report.failed += success is False
                report.untagged += success is None
                continue
            wanted.append(span)
        if report.untagged:
            report.say(f'{report.untagged} of {len(spans)} episodes left out for want of a '
                       'success tag')
        return wanted

    def _success_of(self, span):
        """Return whether an episode succeeded, None where nobody said."""
        return self._success if span.success is None else span.success

    def _begin(self, span, bag):
        """Take up an episode."""
        if self._bounds is None:
            times_ns, _ = bag.arrivals(self._topics)
            self._bounds = int(times_ns.min()), int(times_ns.max())
        self._span, self._last_ns, self._pieces = span, 0, 0
        self._telling = Telling(self._report, self._settings, span, self._bounds,
                                self._contract.period_ns)
        if self._settings.cut is not None and span.end_ns is None:
            self._report.say(f'{self._telling.name} was not ended; it goes on to the end of the '
                             'bag')

    def _convert_span(self, bag):
        """Convert one episode of a cut, or all of a bag that is not cut."""
        try:
            self._add_rows(bag)
        except DatasetError:
            raise
        except DiffusionPolicyError as error:
            if self._settings.cut is None:
                raise
            self._discard()
            self._report.skipped = True
            self._report.say(f'{self._telling.name} is broken off: {error}', is_loss=True)
        else:
            self._telling.over(self._last_ns, is_used=self._pieces > 0)

    def _add_rows(self, bag):
        """Write the rows of an episode, which ends at each gap."""
        span, has_rows = self._span, False
        for event in episode_rows(self._messages(bag), self._contract, span.start_ns, span.end_ns):
            if isinstance(event, Gap):
                self._end_piece(event)
                self._telling.gap(event, self._last_ns)
                continue
            self._telling.row(event.tick_ns)
            self._report.splits += has_rows and not self._writer.pending_rows
            has_rows = True
            self._add_row(event)
        self._end_piece()

    def _add_row(self, row):
        """Write one row, and count it until it is known whether it is kept."""
        self._writer.add_row(row.values, tick_ns=row.tick_ns, ages_ns=row.ages_ns)
        self._ages.add(row.ages_ns)
        self._lags.add(row)
        if self._writer.pending_rows == 1:
            self._first_ns = row.tick_ns

    def _messages(self, bag):
        """Read the messages of an episode while others watch."""
        stretch = None if self._settings.cut is None else stretch_of(
            self._contract, self._span.start_ns, self._span.end_ns)
        promised = max(1, bag.promised_count(self._topics))
        for item in bag.messages(self._topics, stretch):
            if isinstance(item, SetBack):
                self._stamps.clock_was_set()
            else:
                self._last_ns = item[2]
                if stretch is None or stretch.owns(item[2]):
                    self._stamps.see(*item)
            self._number += 1
            if self._on_share and self._number % max(1, promised // 100) == 0:
                self._on_share(min(1.0, self._number / promised))
            yield item

    def _end_piece(self, gap=None):
        """Save the rows in flight as an episode, or leave them out when they are too few."""
        rows = self._writer.pending_rows
        if rows >= self._settings.min_rows:
            self._save(rows)
            self._telling.saved(rows, gap)
        elif rows:
            self._discard()
            self._telling.left_out(rows, gap)

    def _save(self, rows):
        """Save the rows in flight, and count them."""
        task = self._span.task or self._task
        if not task:
            task = self._report.invented_task = f'{self._contract.robot} task'
        self._writer.save_episode(task)
        self._pieces += 1
        self._report.episodes.append(
            {'cut': self._span.number, 'piece': self._pieces, 'start_ns': self._first_ns,
             'rows': rows, 'task': task, 'success': self._success_of(self._span),
             'alarms': self._alarms, 'repaired': self._repaired})
        self._ages.end(is_kept=True)
        self._lags.end(is_kept=True)

    def _discard(self):
        """Drop the rows in flight."""
        self._writer.discard_episode()
        self._ages.end(is_kept=False)
        self._lags.end(is_kept=False)


def _task_of(bag):
    """Return the task sentence inside a bag, None without any."""
    task = bag.custom_data.get('task')
    if task is not None and not is_encodable(task):
        raise BagError(f'the task in metadata.yaml is {shown(task)}, which is no text in UTF-8; '
                       'give one with --task')
    return task
