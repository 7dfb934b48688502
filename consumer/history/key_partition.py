"""In which partition a record with a key is: Kafka's murmur2, which all our producers choose by (`murmur2_random`).

The function: org.apache.kafka.common.utils.Utils.murmur2, with its seed; the partition is its lower 31 bits, modulo.
"""

from __future__ import annotations

_SEED, _FACTOR, _MASK = 0x9747B28C, 0x5BD1E995, 0xFFFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of this key, of so many."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(key: bytes) -> int:
    """The 32-bit hash, unsigned."""
    found = (_SEED ^ len(key)) & _MASK
    whole = len(key) & ~3
    for place in range(0, whole, 4):
        part = (int.from_bytes(key[place : place + 4], "little") * _FACTOR) & _MASK
        part = ((part ^ (part >> 24)) * _FACTOR) & _MASK
        found = ((found * _FACTOR) & _MASK) ^ part
    if rest := key[whole:]:
        found = ((found ^ int.from_bytes(rest, "little")) * _FACTOR) & _MASK
    found = ((found ^ (found >> 13)) * _FACTOR) & _MASK
    return found ^ (found >> 15)
