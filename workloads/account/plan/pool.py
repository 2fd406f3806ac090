"""The orders that rest and are ripe to be acted on, drawn at random in constant time."""

import random
from array import array

NONE = -1


class Pool:
    """Ripe orders, to be drawn at random, all or by book (instrument and side)."""

    def __init__(self, order_count: int) -> None:
        """Orders are numbers below *order_count*."""
        self._all: list[int] = []
        self._by_book: dict[int, list[int]] = {}
        self._at_all = array("i", bytes(4 * order_count))
        self._at_book = array("i", bytes(4 * order_count))
        self._book = array("i", [NONE]) * order_count  # NONE: not in the pool

    def add(self, order: int, book: int) -> None:
        orders = self._by_book.setdefault(book, [])
        self._at_all[order], self._at_book[order] = len(self._all), len(orders)
        self._all.append(order)
        orders.append(order)
        self._book[order] = book

    def discard(self, order: int) -> None:
        book = self._book[order]
        if book != NONE:
            self._book[order] = NONE
            _swap_out(self._all, self._at_all, order)
            _swap_out(self._by_book[book], self._at_book, order)

    def draw(self, chance: random.Random) -> int:
        """Any order, NONE if there is none."""
        return self._all[int(chance.random() * len(self._all))] if self._all else NONE

    def draw_from(self, book: int, chance: random.Random) -> int:
        """Any order of *book*, NONE if there is none."""
        orders = self._by_book.get(book)
        return orders[int(chance.random() * len(orders))] if orders else NONE


def _swap_out(orders: list[int], positions: "array[int]", order: int) -> None:
    last = orders.pop()
    if last != order:
        orders[positions[order]] = last
        positions[last] = positions[order]
