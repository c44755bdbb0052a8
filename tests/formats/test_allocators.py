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


WATCHED = """
from catalog.formats import allocators

given = []
give_back, allocators.give_memory_back = allocators.give_memory_back, lambda: (given.append(1), give_back())
memory, kept = allocators.MemoryWatch(), []
for _ in range(20):
    memory.look()  # nothing has grown
steady = len(given)
for _ in range(20):
    kept.append(bytearray(b"x" * 3 * 2**20))
    memory.look()
print(steady, len(given))
"""


def test_memory_is_given_back_when_more_is_held_and_not_at_each_piece() -> None:
    done = subprocess.run([sys.executable, "-c", WATCHED], capture_output=True, text=True, check=True)
    steady, grown = map(int, done.stdout.split())
    assert steady == 0
    assert 2 <= grown <= 4, "sixty megabytes, in pieces of three, and every fifth piece at most"
