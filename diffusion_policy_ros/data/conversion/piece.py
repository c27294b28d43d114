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

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.bags.bag_reader import open_bag
from diffusion_policy_ros.data.bags.storage_order import SetBack
from diffusion_policy_ros.data.conversion.cut_times import parse_success
from diffusion_policy_ros.data.conversion.cutting import (
    Cut, find_spans, mark_topics, Span, span_at, time_spans)
from diffusion_policy_ros.data.conversion.distribution import Distribution
from diffusion_policy_ros.data.conversion.episodes import episode_rows, Gap
from diffusion_policy_ros.data.conversion.lag import LagEstimator
from diffusion_policy_ros.data.conversion.losses import Losses, place
from diffusion_policy_ros.data.conversion.service_events import understand_service_events
from diffusion_policy_ros.data.conversion.stamp_offsets import StampWatch
from diffusion_policy_ros.data.conversion.summary import PieceReport
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.data.recorded import recorded_topics
from diffusion_policy_ros.errors import BagError, DatasetError, DiffusionPolicyError

# A bag that goes on for at least this long after its last row is worth a warning.
MIN_LOSS_S = 1.0
WHOLE = (Span(0),)  # what a bag that is not cut consists of


@dataclass(frozen=True)
class PieceJob:
    """
    One bag to convert; plain values, so that another process can do it.

    :ivar bag: Its path.
    :ivar folder: Folder to create for its dataset.
    :ivar contract: The contract, YAML.
    :ivar task: Task sentence, None for the one inside the bag.
    :ivar codec: Codec of the videos.
    :ivar crf: Their quality, None for the codec's default.
    :ivar min_rows: Pieces with fewer rows are left out.
    :ivar cut: ``Cut``, None to leave the bag in one.
    """

    bag: Path
    folder: Path
    contract: str
    task: str = None
    codec: str = ''
    crf: int = None
    min_rows: int = 1
    cut: Cut = None


def convert_piece(job, on_share=None) -> PieceReport:
    """
    Convert one bag.

    A bag that cannot be read is skipped with a sentence.

    :param job: ``PieceJob``.
    :param on_share: Called with the share of the bag that is done, in [0, 1], as it grows.
    :return: ``PieceReport``; the dataset is complete.
    :raises DatasetError: if the dataset cannot be written.
    """
    contract = parse_contract(job.contract)
    report = PieceReport(str(job.bag))
    with LeRobotWriter(job.folder, contract, codec=job.codec, crf=job.crf) as writer:
        _Piece(job, contract, writer, report, on_share).convert()
    if report.episodes:
        folder = Path(job.folder)
        report.folder = folder.name
        report.files = {str(path.relative_to(folder)): path.stat().st_size
                        for path in sorted(folder.rglob('*')) if path.is_file()}
    return report


class _Piece:
    """The conversion of one bag."""

    def __init__(self, job, contract, writer, report, on_share):
        self._job = job
        self._contract = contract
        self._writer = writer
        self._report = report
        self._on_share = on_share
        self._topics = recorded_topics(contract)
        self._ages, self._pending_ages = self._no_ages(), self._no_ages()
        self._stamps = StampWatch(self._topics)
        self._lags = LagEstimator(contract)
        self._short_pieces = []  # rows of each piece that was left out
        self._spans, self._span, self._saved_spans = WHOLE, None, set()
        self._last_ns = 0

    def convert(self):
        """Convert the bag, or say why it is skipped."""
        try:
            with open_bag(self._job.bag) as bag:
                self._task = self._job.task or bag.custom_data.get('task') \
                    or f'{self._contract.robot} task'
                self._success = parse_success(bag.custom_data.get('outcome'))
                self._find_spans(bag)
                losses = self._add_rows(bag)
                self._report.losses = bag.losses  # known once all is read
        except DatasetError:
            raise  # no fault of the bag: the next one could not be written either
        except DiffusionPolicyError as error:
            self._discard()
            self._report.skip(error, 'broken off' if self._report.episodes else 'skipped')
        else:
            self._tell_losses(losses)
        self._report.ages = {topic: ages.to_dict() for topic, ages in self._ages.items()}
        self._report.stamps = {t: s.to_dict() for t, s in self._stamps.topics.items()}
        self._report.lags = self._lags.to_dict()

    def _find_spans(self, bag):
        """Read where the bag is to be cut."""
        cut = self._job.cut
        if cut is None:
            return
        if cut.kind == 'times':
            first = next(self._refusing_set_back(bag.messages(self._topics)))
            self._spans = time_spans(cut, first[2])
        else:
            wanted = mark_topics(cut, {topic: kind for topic, (kind, _) in bag.topics.items()})
            if cut.kind == 'services':
                understand_service_events(bag, wanted)
            self._spans = find_spans(self._refusing_set_back(bag.messages(wanted)), cut)
        self._report.cuts = len(self._spans)
        self._report.dropped = sum(span.dropped for span in self._spans)

    def _refusing_set_back(self, messages):
        """Pass messages on, unless a mark could belong to either side of a clock that was set."""
        for item in messages:
            if self._job.cut and isinstance(item, SetBack):
                raise BagError(f'{item.reason}, so that nobody can tell which episodes '
                               f'{self._job.cut.text} means; convert this bag without --cut')
            yield item

    def _add_rows(self, bag):
        """Write the rows of a bag, ending an episode at each gap and cut; return ``Losses``."""
        last, losses = None, Losses()
        for event in episode_rows(self._messages(bag), self._contract):
            if isinstance(event, Gap):
                self._end_piece(event)
                losses.begin(event, self._last_ns)
                continue
            losses.end(event.tick_ns)
            span = span_at(self._spans, event.tick_ns)
            if span is not self._span:
                self._end_piece()
                self._span = span
            if span is None or span.dropped:
                self._report.outside_rows += 1
                continue
            self._report.splits += span is last and not self._writer.pending_rows
            last = span
            self._add_row(event)
        self._end_piece()
        losses.finish(self._last_ns)
        return losses

    def _add_row(self, row):
        """Write one row, and count it until it is known whether it is kept."""
        self._writer.add_row(row.values, tick_ns=row.tick_ns, ages_ns=row.ages_ns)
        for topic, age_ns in row.ages_ns.items():
            self._pending_ages[topic].add(age_ns)
        self._lags.add(row)
        if self._writer.pending_rows == 1:
            self._first_ns = row.tick_ns

    def _messages(self, bag):
        """Read the bag's messages while others watch."""
        promised = max(1, bag.promised_count(self._topics))
        messages = self._refusing_set_back(bag.messages(self._topics))
        for number, item in enumerate(messages, start=1):
            if isinstance(item, SetBack):
                self._stamps.clock_was_set()
            else:
                self._stamps.see(*item)
                self._last_ns = item[2]
            if self._on_share and number % max(1, promised // 100) == 0:
                self._on_share(number / promised)
            yield item

    def _end_piece(self, gap=None):
        """Save the rows in flight as an episode, or leave them out when they are too few."""
        rows = self._writer.pending_rows
        why = f' {place(gap)}' if gap else ''
        if rows >= self._job.min_rows:
            self._save(rows)
            if gap:
                self._report.say(f'episode of {rows} rows ends{why}')
        elif rows:
            self._discard()
            if not self._short_pieces:
                self._report.say(f'{rows} rows left out, fewer than {self._job.min_rows}{why}')
            self._short_pieces.append(rows)

    def _save(self, rows):
        """Save the rows in flight, and count them."""
        task = self._span.task or self._task
        success = self._success if self._span.success is None else self._span.success
        self._writer.save_episode(task)
        self._report.episodes.append(
            {'rows': rows, 'task': task, 'success': success, 'start_ns': self._first_ns})
        self._saved_spans.add(self._span)
        for topic, ages in self._pending_ages.items():
            self._ages[topic].merge(ages)
        self._lags.end(is_kept=True)
        self._pending_ages = self._no_ages()

    def _discard(self):
        """Drop the rows in flight."""
        self._writer.discard_episode()
        self._lags.end(is_kept=False)
        self._pending_ages = self._no_ages()

    def _no_ages(self):
        """Return distributions without values."""
        return {topic: Distribution() for topic in self._topics}

    def _tell_losses(self, losses):
        """Say what of the bag is not in the dataset."""
        report, short = self._report, self._short_pieces
        if len(short) > 1:
            report.say(f'{len(short)} such pieces in all, with {sum(short)} rows')
        if not report.episodes:
            none = 'the cut found no episode in it' if not self._spans else \
                f'no stretch of at least {self._job.min_rows} rows'
            report.skip('; '.join(filter(None, [none, losses.reason])))
            return
        for span in self._spans:
            if not span.dropped and span not in self._saved_spans:
                report.say(f'the episode that begins at {span.start_ns / 1e9:.3f} s gave no rows')
        if losses.tail_s >= MIN_LOSS_S:
            report.warnings.append(f'{report.bag}: nothing could be used of its last '
                                   f'{losses.tail_s:.1f} s; {losses.tail_reason}')
