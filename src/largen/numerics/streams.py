"""Named random streams: the only source of randomness, independent of the order of use and of workers."""

import hashlib

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return the NumPy generator of one named stream.

    The stream depends on the seed and the names alone: `stream(1, "realisation", 3, "initial")` gives the same
    numbers in whatever order, process or thread it is asked for. Different names give independent streams: the
    names enter the seed sequence through a 128-bit hash.

    Args:
        seed: A non-negative integer.
        names: Words and numbers that name the stream.
    """
    text = "\x1f".join(f"{type(name).__name__}:{name}" for name in names)
    words = np.frombuffer(hashlib.blake2b(text.encode(), digest_size=16).digest(), dtype=np.uint32)
    sequence = np.random.SeedSequence(entropy=int(seed), spawn_key=tuple(words.tolist()))
    return np.random.Generator(np.random.PCG64(sequence))
