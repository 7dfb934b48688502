"""Finds a page of an order without sorting what lies before and after it. Pure; it knows nothing of tasks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Ties = npt.NDArray[np.uint64]


def ordered_slice(values: npt.NDArray[np.float64] | Ints, ties: Ties, begin: int, end: int) -> Ints:
    """The indices of a part of the order by value and then by tie: `lexsort((ties, values))[begin:end]`.

    values: without NaN. ties: those of equal values differ.
    """
    end = min(end, values.shape[0])
    if begin >= end:
        return np.zeros(0, np.int64)
    bounds = np.partition(values, (begin, end - 1))
    first, last = bounds[begin], bounds[end - 1]
    at_first, at_last = np.flatnonzero(values == first), np.flatnonzero(values == last)
    before_first, before_last = (int(np.count_nonzero(values < each)) for each in (first, last))
    if first == last:
        chosen = _lowest(at_first, ties, begin - before_first, end - before_first)
    else:
        between = np.flatnonzero((values > first) & (values < last))
        from_first = _lowest(at_first, ties, begin - before_first, at_first.shape[0])
        chosen = np.concatenate([from_first, between, _lowest(at_last, ties, 0, end - before_last)])
    order: Ints = chosen[np.lexsort((ties[chosen], values[chosen]))]
    return order


def _lowest(indices: Ints, ties: Ties, begin: int, end: int) -> Ints:
    """Those of the indices whose tie is the `begin`th lowest to the one before the `end`th, in any order."""
    if begin == 0 and end == indices.shape[0]:
        return indices
    order = np.argpartition(ties[indices], (begin, end - 1))
    return indices[order[begin:end]]
