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

"""
LeRobot's own training loop, measured: a script that any Python with lerobot runs by its path.

It imports nothing of this package. It answers each line on stdin with a JSON line: seconds of the
asked number of steps, and how many of them were spent waiting for data.
"""

import argparse
from importlib import import_module
import json
import sys
import time

REPO_ID = 'local/bench'


def build_loop(args):
    """
    Build dataset, loader, policy and optimizer as ``lerobot-train`` does.

    :param args: Parsed command line.
    :return: Iterator that yields the seconds that each step waited for data.
    """
    torch = import_module('torch')
    factory = import_module('lerobot.policies.factory')
    datasets = import_module('lerobot.datasets')
    resolve = import_module('lerobot.datasets.factory').resolve_delta_timestamps
    policy_class = factory.get_policy_class('diffusion')
    if args.threads:
        torch.set_num_threads(args.threads)
    policy = policy_class.from_pretrained(args.policy).to(args.device)
    policy.config.device = args.device
    meta = datasets.LeRobotDatasetMetadata(REPO_ID, root=args.dataset)
    dataset = datasets.LeRobotDataset(
        REPO_ID, root=args.dataset, delta_timestamps=resolve(policy.config, meta))
    preprocessor, _ = factory.make_pre_post_processors(
        policy_cfg=policy.config, dataset_stats=meta.stats)
    optimizer = torch.optim.AdamW(policy.get_optim_params(), lr=1e-4, betas=(0.95, 0.999),
                                  weight_decay=1e-6)
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=args.batch_size, shuffle=True, num_workers=args.workers,
        pin_memory=args.device.startswith('cuda'), drop_last=True,
        prefetch_factor=2 if args.workers else None)
    precision = torch.autocast(args.device.split(':')[0], getattr(torch, args.precision),
                               enabled=args.precision != 'float32')
    return _steps(torch, policy, preprocessor, optimizer, loader, precision)


def _steps(torch, policy, preprocessor, optimizer, loader, precision):
    """Train for ever, yielding how long each step waited for its batch."""
    policy.train()
    while True:
        batches = iter(loader)
        while True:
            asked_s = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                break
            waited_s = time.perf_counter() - asked_s
            batch = preprocessor(batch)
            with precision:
                loss, _ = policy.forward(batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.parameters(), 10.0)
            optimizer.step()
            optimizer.zero_grad()
            loss.item()  # as lerobot-train, which logs every loss
            yield waited_s


def main():
    """Measure steps as often as asked."""
    parser = argparse.ArgumentParser()
    for name in ('--policy', '--dataset', '--device', '--precision'):
        parser.add_argument(name, required=True)
    for name in ('--batch-size', '--workers', '--threads'):
        parser.add_argument(name, type=int, required=True)
    loop = build_loop(parser.parse_args())
    for line in sys.stdin:
        started_s, waited_s = time.perf_counter(), 0.0
        for _ in range(int(line)):
            waited_s += next(loop)
        print(json.dumps({'seconds': time.perf_counter() - started_s, 'waited_s': waited_s}),
              flush=True)


if __name__ == '__main__':
    main()
