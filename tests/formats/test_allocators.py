"""A process that made a large answer does not hold its memory for ever."""

from __future__ import annotations

import subprocess
import sys

HOLDING = """
from pathlib import Path
import pyarrow as pa
from catalog.formats.allocators import give_memory_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

before = resident()
small = []
for _ in range(20):  # what is freed lies between what is kept
    large = [pa.array(range(300_000)) for _ in range(10)]
    texts = [bytes(2_000) for _ in range(3_000)]
    small.append((large.pop(), texts.pop()))
    del large, texts
held = resident()
give_memory_back()
print(before, held, resident())
"""


def test_memory_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", HOLDING], capture_output=True, text=True, check=True)
    _, held, after = map(int, done.stdout.split())
    assert after < held
