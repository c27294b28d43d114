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
"""``dpr replay``: compute what a policy did, or would have done, in a bag, and compare."""

from pathlib import Path

from diffusion_policy_ros.cli.out_folder import check_out_file, writing_out
from diffusion_policy_ros.cli.usage import check_range, LARGEST_SEED
from diffusion_policy_ros.data.files import write_json
from diffusion_policy_ros.errors import BagError, ConfigError

RECORD_TYPE = 'std_msgs/msg/String'
RECORD_NAME = 'plan_record'
CLOCKS_APART_NS = 10_000_000_000
NO_RECORDS = ('no plan records in this bag: it is taken for a demonstration, and only planned '
              f'actions are compared; record /policy_server/{RECORD_NAME} to compute a run again')


def add_arguments(parser):
    """
    Declare the arguments.

    :param parser: The subcommand's ``ArgumentParser``.
    """
    parser.add_argument('bag', type=Path, help='a bag: of a running policy, with the topic '
                        'plan_record of its server, or of a demonstration')
    parser.add_argument('model', type=Path, help='checkpoint folder')
    parser.add_argument('--contract', type=Path,
                        help="robot contract of the bag; default: the checkpoint's own")
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1 ...; plans '
                        'repeat bit for bit on the device that they were made on')
    parser.add_argument('--execute-horizon', type=int,
                        help='for a demonstration: rows from one plan to the next; default: all '
                             'n_action_steps')
    parser.add_argument('--seed', type=int, default=0, help='for a demonstration: seed of the '
                        'noise of the first plan')
    parser.add_argument('--out', type=Path, help='JSON file for all figures')


def run(args) -> int:
    """
    Replay, and print what was compared.

    :param args: Parsed arguments.
    :return: 0; 3 when recorded plans or commands came out differently.
    """
    from diffusion_policy_ros.contract import load_contract
    from diffusion_policy_ros.data.bags.bag_reader import open_bag
    from diffusion_policy_ros.policy.policy import Policy

    check_range('execute-horizon', args.execute_horizon, 1, 1000)
    check_range('seed', args.seed, 0, LARGEST_SEED)
    if args.out:
        check_out_file(args.out)
    policy = Policy.load(args.model, args.device)
    contract = load_contract(args.contract) if args.contract else policy.contract
    if contract is None:
        raise ConfigError(f'{args.model} holds no contract.yaml; name the contract of the robot '
                          'with --contract')
    with open_bag(args.bag) as bag:
        topic = _record_topic(bag)
        if not topic:
            print(NO_RECORDS, flush=True)
        figures = _replay_run(args, bag, topic, policy, contract) if topic else \
            _compare_demonstration(args, bag, policy, contract)
    for line in figures.pop('lines'):
        print(line)
    if args.out:
        with writing_out(args.out):
            write_json(args.out, figures)
    return 0 if figures['same'] else 3


def _record_topic(bag):
    """Return the topic of the plan records, None where the bag has none."""
    found = [topic for topic, (kind, count) in bag.topics.items()
             if topic.endswith(f'/{RECORD_NAME}') and kind == RECORD_TYPE and count]
    if len(found) > 1:
        raise BagError(f'{bag.path} holds the plans of several servers: {", ".join(found)}; '
                       'record one robot per bag')
    return found[0] if found else None


def _messages(bag, wanted):
    """Yield the messages of topics, in the order of their arrival; they are of one pass."""
    from diffusion_policy_ros.data.bags.storage_order import SetBack

    for item in bag.messages(wanted):
        if isinstance(item, SetBack):
            raise BagError(f'{bag.path}: {item.reason} while it was recorded, so that nobody can '
                           'tell which commands belong to which plan; record the run again')
        yield item


def _records(bag, topic, model, contract):
    """Return the recorded plans in the order of their commands; all were made by one model."""
    from diffusion_policy_ros.policy.checkpoint import weights_digest
    from diffusion_policy_ros.policy.plan_record import parse_record

    received = [(receive_ns, parse_record(message.data))
                for _, message, receive_ns in _messages(bag, {topic: RECORD_TYPE})]
    _check_clock(bag, received, contract)
    records = sorted((record for _, record in received),
                     key=lambda record: record.first_command_ns)
    served = list(dict.fromkeys(record.weights[:16] for record in records))
    if len(served) > 1:
        raise ConfigError(f'the plans in {bag.path} were made with the weights '
                          f'{" and then ".join(served)}; the model was swapped during the run, '
                          'which cannot be replayed. Record a bag for each model')
    if records[0].weights != weights_digest(model):
        raise ConfigError(f'the plans in {bag.path} were made with the weights '
                          f'{records[0].weights[:16]}, {model} has others '
                          f'({weights_digest(model)[:16]}); name the checkpoint that ran')
    return records


def _check_clock(bag, received, contract):
    """Refuse what must be dated by its arrival when that was told by another clock."""
    from diffusion_policy_ros.message_types import UNDATED_TYPES

    undated = [entry.topic for entry in (*contract.actions, *contract.policy_observations)
               if entry.type in UNDATED_TYPES or entry.stamp == 'receive']
    apart_ns = min(abs(receive_ns - record.first_command_ns) for receive_ns, record in received)
    if undated and apart_ns > CLOCKS_APART_NS:
        raise BagError(f'{bag.path} was recorded {apart_ns / 1e9:.0f} s away from the clock that '
                       f'the policy ran by, so that nobody can tell when {", ".join(undated)} '
                       'came; record with `ros2 bag record --use-sim-time` where the policy runs '
                       'in simulated time')


def _replay_run(args, bag, topic, policy, contract):
    """Compute the plans of a running policy again, and its commands."""
    from diffusion_policy_ros.evaluation.replay import replay_plan, SampleStore
    from diffusion_policy_ros.policy.export.backend import served_policy
    from tqdm import tqdm

    records = _records(bag, topic, args.model, contract)
    policy = served_policy(policy, args.model, precision=records[0].precision,
                           backend=records[0].backend)
    store = SampleStore(contract, records)
    for name, message, receive_ns in _messages(
            bag, {stream.topic: stream.type for stream in store.streams}):
        store.add(name, message, receive_ns)
    before = next((number for number, record in enumerate(records) if store.holds(record)), 0)
    records = records[before:]
    plans = [replay_plan(policy, record, store.window(record))
             for record in tqdm(records, desc='plans', unit='plan', disable=None)]
    apart = [float(abs(plan - record.rows).max()) for plan, record in zip(plans, records)]
    commands, unknown = _replay_commands(bag, contract, records, plans)
    same = sum(distance == 0 for distance in apart)
    lines = [f'plans: {same} of {len(plans)} the same bit for bit, largest difference '
             f'{max(apart):.3g} (robot units); made on {records[0].device}, here on '
             f'{policy.device}']
    lines += [f'commands on {name}: {equal} of {count} the same bit for bit'
              for name, (equal, count) in commands.items()]
    if not any(count for _, count in commands.values()):
        lines.append('no command of this run is in the bag: '
                     f'record {", ".join(records[0].topics)} to compare them')
    if before or unknown:
        lines.append(f'the recording began while the policy was commanding: {before} plans and '
                     f'{unknown} commands follow from what is not in the bag, and do not count')
    return {'plans': len(plans), 'same_plans': same, 'largest_difference': max(apart),
            'commands': {name: {'same': equal, 'all': count}
                         for name, (equal, count) in commands.items()},
            'same': same == len(plans) and all(e == c for e, c in commands.values()),
            'lines': lines}


def _replay_commands(bag, contract, records, plans):
    """
    Compute the commands again.

    :return: How many came out the same, of how many, by topic; and how many more follow from
        what is not in the bag.
    """
    from diffusion_policy_ros.evaluation.replay import CommandReplay

    replay = CommandReplay(contract, records, plans)
    outputs = {topic: (index, output) for index, (topic, output)
               in enumerate(zip(records[0].topics, contract.actions)) if topic in bag.topics}
    recorded = [] if not outputs else [
        (replay.slot_ns(outputs[topic][1], message, receive_ns), topic, message)
        for topic, message, receive_ns in _messages(
            bag, {topic: output.type for topic, (_, output) in outputs.items()})]
    counts = {topic: [0, 0] for topic in outputs}
    slots, unknown, known_from_ns = {}, 0, replay.known_from_ns
    for slot_ns, topic, message in recorded:
        slots.setdefault(slot_ns, []).append((topic, message))
    for slot_ns in sorted(slot for slot in slots if slot is not None):
        if slot_ns < records[0].first_command_ns:
            continue  # of a plan before the bag began
        messages = replay.messages(slot_ns, bag.types)
        if slot_ns < known_from_ns:
            unknown += len(slots[slot_ns])
            continue
        for topic, message in slots[slot_ns]:
            index, output = outputs[topic]
            counts[topic][1] += 1
            counts[topic][0] += messages is not None and bag.are_equal(
                message, messages[index], output.type)
    return {topic: tuple(count) for topic, count in counts.items()}, unknown


def _compare_demonstration(args, bag, policy, contract):
    """Compare plans from demonstrated observations with the demonstrated actions."""
    from diffusion_policy_ros.cli.eval import choose_execute_horizon
    from diffusion_policy_ros.data.conversion.episodes import episode_rows, Row
    from diffusion_policy_ros.data.recorded import recorded_topics
    from diffusion_policy_ros.evaluation.replay import open_loop_errors
    import numpy as np

    horizon = choose_execute_horizon(args.execute_horizon, policy.config.n_action_steps)
    pieces = [[]]
    for item in episode_rows(bag.messages(recorded_topics(contract)), contract):
        if isinstance(item, Row):
            pieces[-1].append(item.values)
        elif pieces[-1]:
            pieces.append([])
    pieces = [piece for piece in pieces if piece]
    if not pieces:
        raise BagError(f'{bag.path} holds no row at which all streams of the contract and its '
                       'commands were there; dpr convert tells why')
    errors = np.concatenate([open_loop_errors(policy, piece, execute_horizon=horizon,
                                              seed=args.seed) for piece in pieces])
    executed = np.sqrt(np.nanmean(np.square(errors[:, :horizon]), axis=(0, 1)))
    reached = np.isfinite(errors).any(axis=(0, 2))  # short pieces end before a plan does
    by_row = np.sqrt(np.nanmean(np.square(errors[:, reached]), axis=(0, 2)))
    lines = [f'{sum(map(len, pieces))} rows in {len(pieces)} pieces, {len(errors)} plans, each '
             f'compared with what was demonstrated; root mean square error (robot units):']
    lines += [f'  {name}: {value:.4g} over the {horizon} rows that are executed'
              for name, value in zip(contract.action_names, executed)]
    lines.append('  by row of the plan, all entries: '
                 + ', '.join(f'{value:.3g}' for value in by_row))
    return {'plans': len(errors), 'same': True, 'lines': lines,
            'rmse': dict(zip(contract.action_names, executed.tolist())),
            'rmse_by_row': by_row.tolist()}
