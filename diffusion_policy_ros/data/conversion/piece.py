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
from diffusion_policy_ros.data.bags.bag_reader import Bag, open_bag
from diffusion_policy_ros.data.bags.storage_order import SetBack
from diffusion_policy_ros.data.conversion.ages import Ages
from diffusion_policy_ros.data.conversion.cut_times import parse_success
from diffusion_policy_ros.data.conversion.cutting import Span
from diffusion_policy_ros.data.conversion.episodes import episode_rows, Gap
from diffusion_policy_ros.data.conversion.lag import LagEstimator
from diffusion_policy_ros.data.conversion.losses import Losses, place
from diffusion_policy_ros.data.conversion.settings import Settings
from diffusion_policy_ros.data.conversion.stamp_offsets import OffsetWatch
from diffusion_policy_ros.data.conversion.stretches import find_episodes, stretch_of
from diffusion_policy_ros.data.conversion.summary import PieceReport
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.data.recorded import recorded_topics
from diffusion_policy_ros.errors import DatasetError, DiffusionPolicyError

# A bag without rows for at least this long at one of its ends is worth a warning.
MIN_LOSS_S = 1.0
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
    """

    bag: Path
    folder: Path
    contract: str
    settings: Settings
    part: Bag = None
    spans: tuple = None
    losses: tuple = ()


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
        self._topics = recorded_topics(contract)
        self._ages = Ages(self._topics)
        self._stamps = OffsetWatch(self._topics)
        self._lags = LagEstimator(contract)
        self._losses, self._short_pieces = Losses(), []  # rows of each piece that was left out
        self._ended = ''  # what is to be said of the episode before a gap, once that is over
        self._span, self._number, self._last_ns = None, 0, 0

    def convert(self):
        """Convert the bag, or say why it is skipped."""
        try:
            with self._job.part or open_bag(self._job.bag) as bag:
                self._task = self._settings.task or bag.custom_data.get('task') \
                    or f'{self._contract.robot} task'
                self._success = parse_success(bag.custom_data.get('outcome'))
                for span in self._wanted(self._find_spans(bag)):
                    self._span = span
                    self._convert_span(bag)
                # Known once all is read.
                if self._job.part is None:
                    self._report.losses = bag.losses
                else:
                    self._report.losses = list(self._job.losses)
                    self._report.undecoded = bag.undecoded
        except DatasetError:
            raise  # no fault of the bag: the next one could not be written either
        except DiffusionPolicyError as error:
            self._discard()
            self._report.skip(error, 'broken off' if self._report.episodes else 'skipped')
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

    def _convert_span(self, bag):
        """Convert one episode of a cut, or all of a bag that is not cut."""
        saved = len(self._report.episodes)
        self._losses, self._short_pieces = Losses(), []
        try:
            self._add_rows(bag)
        except DatasetError:
            raise
        except DiffusionPolicyError as error:
            if self._settings.cut is None:
                raise
            self._discard()
            self._ended = ''
            self._report.skipped = True
            self._report.say(f'{self._name} is broken off: {error}')
        else:
            self._tell_losses(is_used=len(self._report.episodes) > saved)

    def _add_rows(self, bag):
        """Write the rows of an episode, which ends at each gap."""
        span, has_rows = self._span, False
        for event in episode_rows(self._messages(bag), self._contract, span.start_ns, span.end_ns):
            if isinstance(event, Gap):
                self._end_piece(event)
                self._losses.begin(event, self._last_ns)
                continue
            self._say_ended(self._losses.end(event.tick_ns))
            self._report.splits += has_rows and not self._writer.pending_rows
            has_rows = True
            self._add_row(event)
        self._end_piece()
        self._losses.finish(min(self._last_ns, span.end_ns or self._last_ns))
        self._say_ended(self._losses.tail_s)

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
        why = f' {place(gap)}' if gap else ''
        if rows >= self._settings.min_rows:
            self._save(rows)
            if gap:
                self._ended = f'episode of {rows} rows ends{why}'
        elif rows:
            self._discard()
            if not self._short_pieces:
                self._report.say(
                    f'{rows} rows left out, fewer than {self._settings.min_rows}{why}')
            self._short_pieces.append(rows)

    def _say_ended(self, lost_s):
        """Say that an episode ended at a gap, and how long that was."""
        if self._ended:
            lost = f'; {lost_s:.1f} s gave no rows' if lost_s > 0 else ''
            self._report.say(self._ended + lost)
            self._ended = ''

    def _save(self, rows):
        """Save the rows in flight, and count them."""
        task = self._span.task or self._task
        self._writer.save_episode(task)
        self._report.episodes.append(
            {'rows': rows, 'task': task, 'success': self._success_of(self._span),
             'start_ns': self._first_ns})
        self._ages.end(is_kept=True)
        self._lags.end(is_kept=True)

    def _discard(self):
        """Drop the rows in flight."""
        self._writer.discard_episode()
        self._ages.end(is_kept=False)
        self._lags.end(is_kept=False)

    @property
    def _name(self):
        """Name the episode of a cut."""
        return f'the episode that begins at {self._span.start_ns / 1e9:.3f} s'

    def _tell_losses(self, is_used):
        """Say what of the messages is not in the dataset."""
        report, losses, short = self._report, self._losses, self._short_pieces
        is_cut = self._settings.cut is not None
        if len(short) > 1:
            report.say(f'{len(short)} such pieces in all, with {sum(short)} rows')
        if not is_used:
            none = f'no stretch of at least {self._settings.min_rows} rows'
            reason = '; '.join(filter(None, [none, losses.reason]))
            if is_cut:
                report.warnings.append(f'{report.bag}: {self._name} gave no rows: {reason}')
            else:
                report.skip(reason)
            return
        of = f' of {self._name}' if is_cut else ''
        for end, lost_s, reason in (('first', losses.head_s, losses.head_reason),
                                    ('last', losses.tail_s, losses.tail_reason)):
            if lost_s >= MIN_LOSS_S:
                report.warnings.append(
                    f'{report.bag}: nothing could be used of {"the" if is_cut else "its"} {end} '
                    f'{lost_s:.1f} s{of}; {reason}')
