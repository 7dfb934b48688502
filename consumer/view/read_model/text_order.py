"""The order of texts that come and go, each under a number that stays the same. It knows nothing of tasks."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.series import NONE

Ints = npt.NDArray[np.int64]
_SPARE: Final = 64
_MANY: Final = 1_000
"""For so many new texts, all texts are brought into their order first, in which numpy searches."""


class TextOrder:
    """Distinct texts, in the order of code points. A text that was added twice stays until it was removed twice.

    A change costs a binary search per new text, and moves of whole arrays; nothing is sorted again.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []
        """[number] the text; a number without one is in `_free`."""
        self._uses: list[int] = []
        self._numbers: dict[str, int] = {}
        self._free: list[int] = []
        self._order: Ints = np.zeros(0, np.int64)
        """[rank] the number of the text."""
        self._ranks: Ints = np.zeros(0, np.int64)
        """[number] the rank of its text."""

    def __len__(self) -> int:
        return len(self._numbers)

    def replace(self, removed: Iterable[int], added: Iterable[str]) -> list[int]:
        """Remove the texts of these numbers, then add these texts; returns the numbers of `added`, in their order."""
        gone: list[int] = []
        for number in removed:
            self._uses[number] -= 1
            if self._uses[number] == 0:
                gone.append(number)
        numbers: list[int] = []
        new: list[int] = []
        for text in added:
            number = self._numbers.get(text, NONE)
            if number == NONE:
                number = self._new_number(text)
                new.append(number)
            self._uses[number] += 1
            numbers.append(number)
        gone = [number for number in gone if self._uses[number] == 0]
        if gone or new:
            self._move(gone, new)
        return numbers

    def number_of(self, text: str) -> int | None:
        """The number of a text, if there is this text."""
        return self._numbers.get(text)

    def ranks(self, numbers: Ints) -> npt.NDArray[np.float64]:
        """The rank of the text of each of these numbers."""
        return self._ranks[numbers].astype(np.float64)

    def text_at(self, rank: int) -> str:
        """The text of this rank."""
        return self._texts[int(self._order[rank])]

    def rank_of(self, text: str) -> float:
        """The rank of a text; one that does not exist lies between two ranks."""
        number = self._numbers.get(text)
        return self._place(text) - 0.5 if number is None else int(self._ranks[number])

    def _new_number(self, text: str) -> int:
        if self._free:
            number = self._free.pop()
            self._texts[number] = text
        else:
            number = len(self._texts)
            self._texts.append(text)
            self._uses.append(0)
        self._numbers[text] = number
        return number

    def _move(self, gone: list[int], new: list[int]) -> None:
        if gone:
            self._order = np.delete(self._order, self._ranks[gone])
        if new:
            new.sort(key=self._texts.__getitem__)
            places = self._places([self._texts[number] for number in new])
            self._order = np.insert(self._order, places, new)
        for number in gone:
            del self._numbers[self._texts[number]]
            self._texts[number] = ""
        self._free += gone
        if len(self._texts) > self._ranks.shape[0]:
            self._ranks = np.zeros(len(self._texts) * 3 // 2 + _SPARE, np.int64)
        self._ranks[self._order] = np.arange(self._order.shape[0])

    def _places(self, texts: list[str]) -> Ints:
        """The rank that each of these new texts would get."""
        if len(texts) < _MANY:
            return np.array([self._place(text) for text in texts], np.int64)
        ordered = np.array(self._texts, object)[self._order]
        return np.searchsorted(ordered, np.array(texts, object))

    def _place(self, text: str) -> int:
        """The rank that a new text would get."""
        texts, order = self._texts, self._order
        return bisect.bisect_left(order, text, key=lambda number: texts[number])
