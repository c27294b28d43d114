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

"""What is told of a bag, or of an episode of a cut: what of its messages is not in the dataset."""

from diffusion_policy_ros.data.conversion.losses import Losses, moment, place

# A bag without rows for at least this long at one of its ends is worth a warning.
MIN_LOSS_S = 1.0


class Telling:
    """
    Tells of one episode of a cut, or of all of a bag that is not cut.

    :ivar name: What it is called where the bag is cut.
    """

    def __init__(self, report, settings, span, bounds, period_ns):
        """
        Begin.

        :param report: ``PieceReport`` of the bag, which takes what is told.
        :param settings: ``Settings`` of the conversion.
        :param span: ``Span`` of the episode.
        :param bounds: Arrival of the bag's first and last message, ns.
        :param period_ns: From one row to the next, ns.
        """
        self._report, self._settings, self._span = report, settings, span
        self._bounds, self._period_ns = bounds, period_ns
        self._is_cut = settings.cut is not None
        self._losses, self._short_pieces = Losses(bounds[0]), []  # rows of what was left out
        self._ended = ''  # what is to be said of the rows before a gap, once that is over
        self.name = f'the episode that begins at {moment(span.start_ns, bounds[0])}'

    def gap(self, gap, last_ns) -> None:
        """
        Take in that a gap begins.

        :param gap: The ``Gap``.
        :param last_ns: Arrival of the newest message, ns.
        """
        self._losses.begin(gap, last_ns)

    def row(self, tick_ns) -> None:
        """
        Take in that there is a row.

        :param tick_ns: Its time, ns.
        """
        self._say_ended(self._losses.end(tick_ns))

    def saved(self, rows, gap) -> None:
        """
        Take in that rows became an episode of the dataset.

        :param rows: How many.
        :param gap: The ``Gap`` that ended them, None for the end.
        """
        if gap:
            self._ended = f'episode of {rows} rows ends {place(gap, self._bounds[0])}'

    def left_out(self, rows, gap) -> None:
        """
        Say that rows were too few.

        :param rows: How many.
        :param gap: The ``Gap`` that ended them, None for the end.
        """
        if not self._short_pieces:
            why = f' {place(gap, self._bounds[0])}' if gap else ''
            self._report.say(
                f'{rows} rows left out, fewer than {self._settings.min_rows}{why}')
        self._short_pieces.append(rows)

    def over(self, last_ns, is_used) -> None:
        """
        Say what was lost, once all is read.

        :param last_ns: Arrival of the newest message that was read, ns.
        :param is_used: Whether it gave the dataset any episode.
        """
        end_ns = self._span.end_ns
        self._losses.finish(min(last_ns, end_ns or last_ns))
        self._say_ended(self._losses.tail_s)
        if len(self._short_pieces) > 1:
            self._report.say(f'{len(self._short_pieces)} such pieces in all, with '
                             f'{sum(self._short_pieces)} rows')
        if is_used:
            self._warn_of_ends(last_ns)
        elif self._is_cut:
            self._warn(f'{self.name} gave no rows: {self._why_none()}')
        else:
            self._report.skip(self._why_none())

    def _warn_of_ends(self, last_ns):
        """Warn of a beginning or an end that gave no rows."""
        losses, end_ns = self._losses, self._span.end_ns
        its, of = ('the', f' of {self.name}') if self._is_cut else ('its', '')
        for end, lost_s, reason in (('first', losses.head_s, losses.head_reason),
                                    ('last', losses.tail_s, losses.tail_reason)):
            if lost_s >= MIN_LOSS_S:
                self._warn(f'nothing could be used of {its} {end} {lost_s:.1f} s{of}; {reason}')
        if end_ns is not None and end_ns - last_ns >= MIN_LOSS_S * 1e9:
            self._warn(f'nothing was recorded in the last {(end_ns - last_ns) / 1e9:.1f} s{of}, '
                       f'from {moment(last_ns, self._bounds[0])} on')

    def _why_none(self):
        """Say why there was no stretch of rows long enough."""
        (first_ns, end_ns), span, wanted = self._bounds, self._span, self._settings.min_rows
        longest = f', the longest has {max(self._short_pieces)}' if self._short_pieces else ''
        none = f'no stretch of at least {wanted} rows{longest}'
        if end_ns < span.start_ns:
            return f'nothing was recorded in its time; the bag ends at {moment(end_ns, first_ns)}'
        lasted_ns = min(end_ns, span.end_ns or end_ns) - max(first_ns, span.start_ns)
        needed_ns = (wanted - 1) * self._period_ns
        if lasted_ns < needed_ns:
            return f'{none}; it lasts {lasted_ns / 1e9:.1f} s, and they take ' \
                f'{needed_ns / 1e9:.1f} s'
        return f'{none}; {self._losses.reason or "not every topic has messages in its time"}'

    def _say_ended(self, lost_s):
        """Say that rows ended at a gap, and how long that was."""
        if self._ended:
            lost = f'; {lost_s:.1f} s gave no rows' if lost_s > 0 else ''
            self._report.say(self._ended + lost)
            self._ended = ''

    def _warn(self, sentence):
        """Add a warning."""
        self._report.warnings.append(f'{self._report.bag}: {sentence}')
