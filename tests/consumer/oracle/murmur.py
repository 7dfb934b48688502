"""MurmurHash64A on Python's unbounded integers, for comparison with the compiled one."""

from __future__ import annotations

FACTOR, MASK = 0xC6A4A7935BD1E995, (1 << 64) - 1


def murmur_hash(data: bytes) -> int:
    """The hash with a seed of 0, as a signed 64-bit integer."""
    digest = len(data) * FACTOR & MASK
    words, rest = divmod(len(data), 8)
    for place in range(words):
        word = int.from_bytes(data[8 * place : 8 * place + 8], "little") * FACTOR & MASK
        word = (word ^ word >> 47) * FACTOR & MASK
        digest = (digest ^ word) * FACTOR & MASK
    if rest:
        digest = (digest ^ int.from_bytes(data[-rest:], "little")) * FACTOR & MASK
    digest = (digest ^ digest >> 47) * FACTOR & MASK
    digest ^= digest >> 47
    return digest - (1 << 64) if digest >> 63 else digest
