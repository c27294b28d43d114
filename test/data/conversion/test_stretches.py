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

"""A long bag that is cut becomes the same dataset in one part, in many, and side by side."""

from dataclasses import replace
import hashlib

from diffusion_policy_ros.data.bags.bag_reader import open_bag
from diffusion_policy_ros.data.conversion import stretches, workers
from diffusion_policy_ros.data.conversion.conversion import convert_bags
from diffusion_policy_ros.data.conversion.cutting import parse_cut, Span
from diffusion_policy_ros.data.conversion.episodes import episode_rows, Row
from diffusion_policy_ros.data.conversion.stretches import conclude, divide, find_episodes
from diffusion_policy_ros.data.conversion.summary import PieceReport
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.recorded import recorded_topics
import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

MS = 1_000_000
S = 10**9
START_NS = 1_700_000_000_000_000_000
DURATION_S = 40
# Episodes from and to, s: some touch, one is discarded, one is too short, one is never stopped.
EPISODES = [(2.0, 5.13), (5.13, 8.0), (8.5, 11.0), (14.0, 14.5), (15.0, 19.0), (19.9, 24.0),
            (25.0, 28.5), (28.6, 31.0), (33.3, None)]
DISCARDED = 2
NOT_DECODED_S = (4.99, 5.05, 5.2, 13.0, 19.95)  # beside the borders of parts, and between episodes


@pytest.fixture
def held(contract):
    """Give the contract with a pose that may be held."""
    return replace(contract, observations=(*contract.observations[:2], replace(
        contract.observations[2], on_stale='hold')))


@pytest.fixture
def write(tmp_path, demonstration, held):
    """Return a function that writes a bag of wild traffic with marks."""
    def run(seed, plugin=StoragePlugin.MCAP, mode=None):
        writer = Writer(tmp_path / 'bag', version=9, storage_plugin=plugin)
        if mode:
            writer.set_compression(mode, CompressionFormat.ZSTD)
        store = demonstration.typestore
        with writer:
            writer.set_custom_data('contract', held.to_yaml())
            kinds = {**{t: s.type for t, s in demonstration.streams.items()},
                     'episode': 'std_msgs/msg/String'}
            made = {topic: writer.add_connection(f'/{topic}', kind, typestore=store)
                    for topic, kind in kinds.items()}
            for topic, message, receive_ns in sorted(
                    [*traffic(seed, demonstration), *marks(store)], key=lambda m: m[2]):
                data = message if isinstance(message, bytes) else \
                    store.serialize_cdr(message, kinds[topic])
                writer.write(made[topic], receive_ns, data)
        return tmp_path / 'bag'
    return run


def traffic(seed, demonstration):
    """List messages with jitter, delays, gaps, slips of a clock and what cannot be decoded."""
    rng = np.random.default_rng(seed)
    for topic in demonstration.streams:
        k = 0
        for at_s in np.arange(0, DURATION_S, 0.07):
            at_s += rng.uniform(0, 0.05)
            # Pictures fail in one episode and at the end of another, the pose comes thrice.
            is_lost = topic == 'camera/image_raw' and (16 < at_s < 17.1 or 22.5 < at_s < 24.6) or \
                topic == 'block_pose' and not any(
                    t < at_s < t + 0.2 for t in (0, 26, 32))
            # The joints' clock goes back shortly before an episode, and inside of one.
            back_s = 2 if topic == 'joint_states' and (
                24.6 < at_s < 24.9 or 29.5 < at_s < 29.9) else 0
            if not is_lost and rng.uniform() > 0.01:
                k += 1
                stamp_ns = START_NS + round((at_s - back_s) * S)
                yield (topic, demonstration.message(topic, k % 80, stamp_ns),
                       START_NS + round((at_s + rng.uniform(0, 0.03)) * S))
    for at_s in NOT_DECODED_S:
        yield 'joint_commands', b'\0\1\0\0no command', START_NS + round(at_s * S)


def marks(store):
    """List the marks of the episodes."""
    make = store.types['std_msgs/msg/String']
    for number, (begin_s, end_s) in enumerate(EPISODES):
        yield 'episode', make('start'), START_NS + round(begin_s * S)
        if end_s:
            word = 'discard' if number == DISCARDED else 'stop'
            yield 'episode', make(word), START_NS + round(end_s * S) - 1


def contents(folder):
    """Return every number and every picture of a dataset."""
    reader = LeRobotReader(folder)
    columns = reader.columns(['tick_ns', 'age_ns', 'action', 'observation.state',
                              'observation.environment_state', 'episode_index'])
    return ({key: values.tolist() for key, values in columns.items()},
            [frame.tobytes() for frame in reader.frames('observation.images.camera')],
            [(e.length, e.tasks) for e in reader.episodes])


def hashes(folder):
    """Return what is in every file, but for the version of the table's writer."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob('*')) if path.is_file()}


def told(summary):
    """Return what was counted and said, without what is only averaged."""
    found = summary.to_dict()
    found.pop('lags')
    found['ages'] = {topic: ages.count for topic, ages in summary.ages.items()}
    found['header_minus_receive'] = {
        topic: (s.offsets.count, s.offsets.low, s.offsets.high, s.unstamped)
        for topic, s in summary.stamps.items()}
    return found


def convert(bag, out, jobs=1, **options):
    """Convert the bag cut by its marks."""
    return convert_bags([bag], out, cut=parse_cut('marker:/episode'), jobs=jobs, codec='png',
                        progress=False, **options)


@pytest.mark.parametrize('seed, plugin', [
    (0, StoragePlugin.MCAP), (1, StoragePlugin.SQLITE3)])
def test_many_parts_give_what_one_gives(tmp_path, write, held, monkeypatch, seed, plugin):
    """Every number, picture, count and sentence; the ticks are those of all messages read."""
    bag = write(seed, plugin)
    one = convert(bag, tmp_path / 'one')
    for number in (3, 64):
        monkeypatch.setattr(stretches, 'BYTES_PER_PART', size_of(bag) // number)
        parts = divide(bag, held, parse_cut('marker:/episode'))
        assert len(parts) in (3, 8)
        many = convert(bag, tmp_path / f'many{number}')
        assert contents(tmp_path / f'many{number}') == contents(tmp_path / 'one')
        assert told(many) == told(one)
    # Once, though neighbours read some twice.
    said, = [sentence for sentence in many.warnings if 'could not be decoded' in sentence]
    assert said.startswith(f'{bag}: 4 messages on /joint_commands could not be decoded: ')
    assert 'losses' not in many.to_dict()  # which would tell it again, without the bag
    assert (one.cuts, one.dropped, one.skipped) == (9, 1, 0) and one.splits >= 1
    check_ticks(bag, held, tmp_path / 'one')


def check_ticks(bag, contract, dataset):
    """Compare a dataset's ticks and ages with those of all messages for each episode."""
    wanted = []
    with open_bag(bag) as opened:
        spans = find_episodes(opened, contract, parse_cut('marker:/episode'))
        for span in spans:
            rows = [] if span.dropped else list(episode_rows(
                opened.messages(recorded_topics(contract)), contract, span.start_ns, span.end_ns))
            pieces, is_open = [], False
            for event in rows:
                if isinstance(event, Row):
                    pieces = pieces if is_open else [*pieces, []]
                    pieces[-1].append((event.tick_ns, list(event.ages_ns.values())))
                is_open = isinstance(event, Row)
            wanted += [row for piece in pieces if len(piece) >= 8 for row in piece]
    columns = LeRobotReader(dataset).columns(['tick_ns', 'age_ns'])
    assert columns['tick_ns'].ravel().tolist() == [tick_ns for tick_ns, _ in wanted]
    assert columns['age_ns'].tolist() == [ages_ns for _, ages_ns in wanted]


def size_of(bag):
    """Return the bytes of a bag."""
    return sum(path.stat().st_size for path in bag.iterdir())


def test_side_by_side_every_file_is_the_same(tmp_path, write, monkeypatch):
    """Also what is averaged: the parts do not depend on the number of processes."""
    bag = write(3)
    monkeypatch.setattr(stretches, 'BYTES_PER_PART', size_of(bag) // 4)
    alone = convert(bag, tmp_path / 'alone')
    together = convert(bag, tmp_path / 'together', jobs=2)
    assert together.to_dict() == alone.to_dict()
    assert hashes(tmp_path / 'together') == hashes(tmp_path / 'alone')


def test_a_conversion_that_was_stopped_goes_on_inside_the_bag(tmp_path, write, monkeypatch):
    """What was finished of it is not converted again."""
    bag = write(4)
    monkeypatch.setattr(stretches, 'BYTES_PER_PART', size_of(bag) // 4)
    whole = convert(bag, tmp_path / 'whole')
    converted, real = [], workers.convert_piece

    def stop(job, on_share=None):
        if len(converted) == 3:
            raise KeyboardInterrupt
        converted.append(job.spans)
        return real(job, on_share)

    monkeypatch.setattr(workers, 'convert_piece', stop)
    with pytest.raises(KeyboardInterrupt):
        convert(bag, tmp_path / 'again')
    monkeypatch.setattr(workers, 'convert_piece', lambda job, on_share=None: (
        converted.append(job.spans), real(job, on_share))[1])
    again = convert(bag, tmp_path / 'again')
    spans = [span for part in converted for span in part]
    assert len(converted) == 4 and len(spans) == len(set(spans)) == len(EPISODES)
    assert again.to_dict() == whole.to_dict()
    assert hashes(tmp_path / 'again') == hashes(tmp_path / 'whole')


def test_what_cannot_be_divided_stays_whole(tmp_path, write, held, monkeypatch):
    """A bag that is not cut, a short one, one that is compressed as a whole, no bag at all."""
    bag, cut = write(5, mode=CompressionMode.FILE), parse_cut('marker:/episode')
    assert divide(bag, held, cut) == [{}]
    monkeypatch.setattr(stretches, 'BYTES_PER_PART', size_of(bag) // 4)
    assert divide(bag, held, None) == [{}]
    assert divide(bag, held, cut) == [{}]
    (tmp_path / 'none.mcap').write_bytes(b'none' * 1000)
    monkeypatch.setattr(stretches, 'BYTES_PER_PART', 100)
    assert divide(tmp_path / 'none.mcap', held, cut) == [{}]


def test_one_long_bag_is_worth_several_processes(tmp_path, write, monkeypatch):
    """If it is cut."""
    bag, cut = write(5), parse_cut('marker:/episode')
    monkeypatch.setattr(workers, 'usable_cores', lambda: 8)
    monkeypatch.setattr(workers, '_free_memory', lambda: 10**12)
    monkeypatch.setattr(workers, 'BYTES_PER_JOB', 1)
    monkeypatch.setattr(stretches, 'BYTES_PER_PART', size_of(bag) // 4)
    assert [workers.default_jobs([bag], by) for by in (None, cut)] == [1, 4]


def test_parts_last_about_as_long_and_keep_the_order(tmp_path, write, held, monkeypatch):
    bag = write(6)
    monkeypatch.setattr(stretches, 'BYTES_PER_PART', size_of(bag) // 3)
    parts = divide(bag, held, parse_cut('marker:/episode'))
    begins = [[(span.start_ns - START_NS) / S for span in part['spans']] for part in parts]
    assert begins == [[2.0, 5.13, 8.5, 14.0, 15.0], [19.9, 25.0], [28.6, 33.3]]


@pytest.mark.parametrize('cuts, dropped, said, skipped', [
    (0, 0, 'skipped: the cut found no episode in it', True),
    (3, 3, 'all of its 3 episodes were discarded by the demonstrator', False),
    (3, 1, 'skipped: none of its 2 episodes has 8 rows in succession', True)])
def test_a_bag_without_rows_is_told_once(cuts, dropped, said, skipped):
    reports = [PieceReport('bag', cuts=cuts, dropped=dropped), PieceReport('bag', cuts=0)]
    assert conclude(reports, 8) == [f'bag: {said}']
    assert [report.skipped for report in reports] == [skipped, False]


def test_a_bag_without_successes_is_no_loss():
    """Whoever asked for successes is told of the others by their counts."""
    report = PieceReport('bag', cuts=3, dropped=1, failed=2)
    assert conclude([report], 8) == [] and not report.skipped


def test_a_bag_of_which_parts_broke_off_is_skipped_once():
    reports = [PieceReport('bag', cuts=2, skipped=broken, episodes=[{'rows': 9}])
               for broken in (False, True, True)]
    assert conclude(reports, 8) == []
    assert [report.skipped for report in reports] == [True, False, False]


def test_episodes_of_no_time_are_put_together():
    """As where all were discarded."""
    spans = [Span(k, k + 1, dropped=True) for k in range(5)]
    assert stretches._groups(spans, 9, 4) == [spans]
