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

"""Find the episodes of a bag that is cut, and divide a long one between several processes."""

from dataclasses import replace
from pathlib import Path

from diffusion_policy_ros.data.bags.bag_reader import open_bag
from diffusion_policy_ros.data.bags.storage_order import first_set_back, Stretch
from diffusion_policy_ros.data.bags.stored import not_decoded
from diffusion_policy_ros.data.conversion.cutting import find_spans, mark_topics, time_spans
from diffusion_policy_ros.data.conversion.episodes import (
    command_lag_ns, LATENESS_NS, may_be_held)
from diffusion_policy_ros.data.conversion.part_folder import identity_of
from diffusion_policy_ros.data.conversion.service_events import understand_service_events
from diffusion_policy_ros.data.recorded import recorded_entries, recorded_topics
from diffusion_policy_ros.errors import BagError

# A part is of about so many bytes, which take a few seconds.
BYTES_PER_PART = 50_000_000
MOST_PARTS = 64


def find_episodes(bag, contract, cut) -> list:
    """
    Find where a bag is to be cut.

    :param bag: An open ``Bag``.
    :param contract: The ``RobotContract``.
    :param cut: The ``Cut``.
    :return: List of ``Span`` in the order of time.
    :raises BagError: if it cannot be cut so, or its clock was set back: a mark could then belong
        to either side.
    """
    topics = recorded_topics(contract)
    kinds = {topic: kind for topic, (kind, _) in bag.topics.items()}
    marks = mark_topics(cut, kinds)
    if cut.kind == 'services':
        understand_service_events(bag, marks)
    for wanted in filter(None, (marks, topics)):
        step = first_set_back(*bag.arrivals(wanted), list(wanted), bag.path)
        if step:
            raise BagError(f'{step.reason}, so that nobody can tell which episodes {cut.text} '
                           'means; convert this bag without --cut')
    if cut.kind == 'times':
        times_ns, _ = bag.arrivals(topics)
        spans = time_spans(cut, int(times_ns.min()), int(times_ns.max()))
    else:
        spans = find_spans(bag.messages(marks), cut)
    return [replace(span, number=number) for number, span in enumerate(spans, 1)]


def losses_of(bag) -> list:
    """
    Return one sentence for each thing that a bag had lost before, also by a crash of its recorder.

    :param bag: A ``Bag``.
    """
    repaired = bag.custom_data.get('repaired')
    return [*bag.losses, *([f'it was repaired: {repaired}'] if repaired else [])]


def stretch_of(contract, begin_ns, end_ns) -> Stretch:
    """
    Tell which messages the ticks from a moment on, up to but without another, are made of.

    What came before does not matter, nor do clocks that were set then: a row is made of messages
    that are stamped and arrived around its tick, but for the newest one of a stream that holds.

    :param contract: The ``RobotContract``.
    :param begin_ns: The first moment, ns.
    :param end_ns: The other one, ns; None is the end of the recording.
    :return: The ``Stretch`` of the recording.
    """
    entries = recorded_entries(contract)
    held = dict.fromkeys(entry.topic for entry in entries if may_be_held(entry))
    before_ns = max(entry.max_age_ns * (not may_be_held(entry)) + max(
        0, -getattr(entry, 'offset_ns', 0)) for entry in entries)
    after_ns = max(contract.settle_ns, *map(command_lag_ns, contract.actions))
    return Stretch(begin_ns, end_ns, before_ns + LATENESS_NS, after_ns + LATENESS_NS, tuple(held))


def most_parts(path, cut) -> int:
    """
    Return in how many parts a bag may be converted.

    :param path: The bag.
    :param cut: The ``Cut``, None where it is not cut.
    """
    size = 0 if cut is None else identity_of(path)['bytes']
    return max(1, min(MOST_PARTS, size // BYTES_PER_PART))


def divide(path, contract, cut) -> list:
    """
    Divide the episodes of a bag into parts, which can be converted side by side.

    The parts depend on the bag and on nothing else, so that the dataset does so too. A bag that is
    not cut stays whole, since only reading it tells where its episodes are; so does one whose
    files would have to be decompressed or copied anew for each part, and a short one.

    :param path: The bag.
    :param contract: The ``RobotContract``.
    :param cut: The ``Cut``, None where it is not cut.
    :return: For each part the fields ``part``, ``spans``, ``losses`` and ``bounds`` of its
        ``PieceJob``; one without any where the bag stays whole. One that cannot be read is left so
        too: its conversion then tells why.
    """
    most = most_parts(path, cut)
    if most < 2:
        return [{}]
    try:
        with open_bag(Path(path).absolute()) as bag:
            spans = find_episodes(bag, contract, cut)
            times_ns, _ = bag.arrivals(recorded_topics(contract))
            bounds = int(times_ns.min()), int(times_ns.max())
            return _parts(bag, contract, _groups(spans, bounds[1], most), bounds) or [{}]
    except BagError:
        return [{}]


def conclude(reports, min_rows) -> list:
    """
    Tell what only all parts of a bag that is cut tell together.

    :param reports: ``PieceReport`` of each part, the first of which takes what is told. Only it
        is then marked as skipped where any of them is.
    :param min_rows: How many rows were wanted in succession.
    :return: The sentences that are new.
    """
    first, known = reports[0], len(reports[0].notes)
    is_skipped = any(report.skipped for report in reports)
    found = sum(report.cuts for report in reports if report.cuts)
    dropped = sum(report.dropped for report in reports)
    kept = found - dropped - sum(report.failed + report.untagged for report in reports)
    for report in reports:
        report.skipped = False
    first.skipped = is_skipped
    undecoded = {}
    for report in reports:
        for topic, (count, reason) in report.undecoded.items():
            before = undecoded.setdefault(topic, [0, reason])
            before[0] += count
    first.losses += [not_decoded(topic, *found) for topic, found in undecoded.items()]
    if not is_skipped and not any(report.episodes for report in reports):
        if kept:
            first.skip(f'none of its {kept} episodes has {min_rows} rows in succession')
        elif not found:
            first.skip('the cut found no episode in it')
        elif found == dropped:
            first.say(f'all of its {found} episodes were discarded by the demonstrator')
    return first.notes[known:]


def _groups(spans, last_ns, number):
    """Put episodes together that follow each other, so that all groups last about as long."""
    durations = [0 if span.dropped else max(0, (span.end_ns or last_ns) - span.start_ns)
                 for span in spans]
    groups, passed = {}, 0
    for span, duration in zip(spans, durations):
        place = (passed + duration / 2) * number // max(1, sum(durations))
        groups.setdefault(place, []).append(span)
        passed += duration
    return list(groups.values())


def _parts(bag, contract, groups, bounds):
    """Take the messages of each group out of a bag, if they can; its losses go to the first."""
    fields = []
    for group in groups:
        stretch = stretch_of(contract, group[0].start_ns, group[-1].end_ns)
        part = bag.part(recorded_topics(contract), stretch)
        if part is None:
            return []
        fields.append({'part': part, 'spans': tuple(group), 'bounds': bounds,
                       'losses': () if fields else tuple(losses_of(bag))})
    return fields
