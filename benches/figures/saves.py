"""Durable saves by 64 clients at once, together and one transaction for each."""

import re
import subprocess

from common import compare, path_of

TARGET = 5


def measure(place, args):
    command = [path_of("saves"), place.path, args.rounds or 5, args.seconds]
    out = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"grouped_per_s (\d+) changes_per_commit ([\d.]+) single_per_s (\d+)", out)
    print(f"fsync of 4 KiB: {re.search(r'fsync_us (.*)', out)[1]} µs (median of 200); "
          f"{'/'.join(c for _, c, _ in found)} changes in a commit")
    compare("saves", [float(g) for g, _, _ in found], [float(s) for _, _, s in found], TARGET,
            unit="saves/s", names=("together", "one by one"))
