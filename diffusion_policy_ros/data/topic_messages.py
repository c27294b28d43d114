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

"""From the values of a row to the messages that a robot would have sent: one per topic."""

import math

import cv2
from diffusion_policy_ros import message_types as ros
from diffusion_policy_ros import messages
from diffusion_policy_ros.errors import DatasetError
import numpy as np


def observed_parts(contract, values) -> dict:
    """
    Share the values of a row among the topics that show the robot.

    :param contract: ``RobotContract``.
    :param values: ``{dataset key: array}``, at least all keys of the contract.
    :return: ``{topic: parts}``, parts as ``build_topic`` takes them.
    """
    topics = {}
    for key in contract.keys:
        begin = 0
        for stream in contract.streams_of(key):
            end = begin + len(stream.names)
            part = values[key] if stream.is_image else values[key][begin:end]
            topics.setdefault(stream.topic, []).append((stream, part))
            begin = end
    return topics


def build_topic(parts, types, stamp_ns, lead_ns=1):
    """
    Build the message of one topic.

    :param parts: List of ``(entry, values)``: the contract's entries that read this topic, all of
        one type, and what the message shall show to each. Pictures ``(H, W, C)``, vectors
        ``(len(entry.names),)``.
    :param types: ``{ROS type name: class}``.
    :param stamp_ns: Time of the message, ns.
    :param lead_ns: Time that a trajectory has to get to its point, ns, above 0.
    :return: The message.
    :raises DatasetError: if no message shows all of that.
    """
    entry, values = parts[0]
    try:
        for part in parts:
            _check_count(*part)
        if entry.type == ros.JOINT_STATE:
            return _joint_state(parts, types, stamp_ns)
        if entry.type in VECTORS:
            return VECTORS[entry.type](entry, _named(parts), types, stamp_ns)
        if len(parts) > 1:
            raise ValueError(f'{len(parts)} entries of the contract read it')
        if entry.type == ros.JOINT_TRAJECTORY:
            return messages.joint_trajectory(
                types, entry.names, [values], [lead_ns], 0, field=entry.field,
                frame_id=getattr(entry, 'frame_id', ''))
        return OTHERS[entry.type](entry, values, types, stamp_ns)
    except ValueError as error:
        raise DatasetError(f'topic {entry.topic}: no {entry.type} shows these values: {error}') \
            from error


def _check_count(entry, values):
    """Refuse a vector of another length."""
    if entry.type not in ros.IMAGE_TYPES and len(values) != len(entry.names):
        raise ValueError(f'got {len(values)} values, wanted {len(entry.names)}: '
                         f'{", ".join(entry.names)}')


def _gather(found, entry, values):
    """Add what one entry shows; what two entries show must be the same."""
    for name, value in zip(entry.names, np.asarray(values, np.float64).tolist()):
        known = found.setdefault(name, value)
        if known != value and not (math.isnan(known) and math.isnan(value)):
            raise ValueError(f'one entry of the contract shows {name} as {known:g}, another one '
                             f'as {value:g}')


def _named(parts):
    """Return ``{component: value}`` of all entries that read one topic."""
    found = {}
    for part in parts:
        _gather(found, *part)
    return found


def _joint_state(parts, types, stamp_ns):
    """Fill every field that an entry reads; each must know all joints."""
    fields = {}
    for entry, values in parts:
        _gather(fields.setdefault(entry.field, {}), entry, values)
    names = list(dict.fromkeys(name for field in fields.values() for name in field))
    for field, known in fields.items():
        missing = [name for name in names if name not in known]
        if missing:
            raise ValueError(f'the {field} of {", ".join(missing)} is not in the dataset, and is '
                             'not invented')
    field, known = next(iter(fields.items()))
    message = messages.joint_state(types, names, [known[name] for name in names], stamp_ns,
                                   field=field, frame_id=getattr(parts[0][0], 'frame_id', ''))
    for field, known in list(fields.items())[1:]:
        other = messages.joint_state(types, names, [known[name] for name in names], stamp_ns,
                                     field=field)
        setattr(message, field, getattr(other, field))
    return message


def _pose(entry, named, types, stamp_ns):
    """Turn components into a pose."""
    return messages.named_pose_stamped(types, named, named.values(), stamp_ns,
                                       getattr(entry, 'frame_id', ''))


def _twist(entry, named, types, stamp_ns):
    """Leave the components that nobody names at 0."""
    linear, angular = ([named.get(f'{part}.{axis}', 0.0) for axis in 'xyz']
                       for part in ('linear', 'angular'))
    return messages.twist(types, linear, angular)


def _twist_stamped(entry, named, types, stamp_ns):
    """Add the header."""
    return types[ros.TWIST_STAMPED](
        header=messages.header(types, stamp_ns, getattr(entry, 'frame_id', '')),
        twist=_twist(entry, named, types, stamp_ns))


def _odometry(entry, named, types, stamp_ns):
    """Join pose and twist."""
    posed = {name: value for name, value in named.items() if not name.startswith(
        ('linear', 'angular'))}
    return messages.odometry(types, _pose(entry, posed, types, stamp_ns).pose,
                             _twist(entry, named, types, stamp_ns), stamp_ns)


def _array(entry, values, types, stamp_ns):
    """Send the bare numbers."""
    return messages.multi_array(types, entry.type, values)


def _laser_scan(entry, ranges, types, stamp_ns):
    """Send the bare ranges; angles are unknown, which is written as 0."""
    ranges = np.asarray(ranges, np.float32)
    low = min(float(ranges.min()), 0.0)
    return messages.laser_scan(types, ranges, stamp_ns, range_min=low,
                               range_max=max(float(ranges.max()), low + 1.0))


def _image(entry, picture, types, stamp_ns):
    """Wrap a picture in the encoding of the contract."""
    return messages.image(types, picture, stamp_ns, encoding=entry.image.encoding)


def _compressed(entry, picture, types, stamp_ns):
    """Compress a picture without loss."""
    picture = np.ascontiguousarray(picture, messages.PIXELS[entry.image.encoding])
    if picture.dtype.kind == 'f':
        raise ValueError('PNG has no floating point numbers')
    done, png = cv2.imencode('.png', picture[..., ::-1] if picture.shape[2] == 3 else picture)
    if not done:
        raise ValueError(f'{picture.dtype} {picture.shape} cannot be stored as PNG')
    return messages.compressed_image(types, png.reshape(-1), 'png', stamp_ns)


VECTORS = {ros.POSE_STAMPED: _pose, ros.TWIST: _twist, ros.TWIST_STAMPED: _twist_stamped,
           ros.ODOMETRY: _odometry}
OTHERS = {ros.IMAGE: _image, ros.COMPRESSED_IMAGE: _compressed, ros.FLOAT32_ARRAY: _array,
          ros.FLOAT64_ARRAY: _array, ros.LASER_SCAN: _laser_scan}
