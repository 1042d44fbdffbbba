"""Changes a tree as fast as it can until it is killed: DIR SEED. Says `ready` once it has begun."""

import mmap
import os
import random
import shutil
import sys

root, dice = sys.argv[1], random.Random(int(sys.argv[2]))
mapped = []


def name():
    return os.path.join(root, *(dice.choice(["a", "a-b", "b", "c", "d"]) for _ in range(dice.randint(1, 3))))


def some_bytes():
    return dice.randbytes(dice.choice([0, 1, 30, 4096, 9000, 40000]))


def write():
    path = name()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(some_bytes())


def write_inside():
    with open(name(), "r+b") as file:
        file.seek(dice.randrange(5000))
        file.write(b"inside")


def hide_a_write():
    """As rsync and touch do: new contents, the old time, the same size."""
    path = name()
    before = os.stat(path)
    with open(path, "r+b") as file:
        file.write(dice.randbytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns - dice.choice([0, 10**9])))


def truncate():
    os.truncate(name(), dice.choice([0, 1, 7000]))


def replace():
    path = name()
    with open(path + ".tmp", "wb") as file:
        file.write(some_bytes())
    os.replace(path + ".tmp", path)


def remove():
    path = name()
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def map_one():
    with open(name(), "r+b") as file:
        mapped.append(mmap.mmap(file.fileno(), 0))
    del mapped[:-6]


def write_mapped():
    """Only where the file still reaches: beyond its end a store is a signal."""
    pages = dice.choice(mapped)
    if pages.size() >= len(pages):
        pages[dice.randrange(len(pages))] = dice.randrange(256)


ACTS = (
    [write] * 4 + [write_mapped] * 8 + [hide_a_write] * 3 + [write_inside] * 2 + [replace] * 2
    + [remove] * 2 + [map_one] * 2 + [truncate]
    + [lambda: os.rename(name(), name())] * 2
    + [lambda: os.link(name(), name())] * 2
    + [lambda: os.symlink("a/b", name())]
    + [lambda: os.makedirs(name(), exist_ok=True)]
    + [lambda: os.chmod(name(), dice.randrange(0o400, 0o777))]
    + [lambda: os.utime(name(), (dice.randrange(10**9), dice.randrange(10**9)))]
)

done = 0
while True:
    try:
        dice.choice(ACTS)()
    except (OSError, ValueError, IndexError):
        pass  # what cannot be done is no change
    done += 1
    if done == 300:
        print("ready", flush=True)
