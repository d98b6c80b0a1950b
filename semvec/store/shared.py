"""What a process may open only once, shared by all who ask for it there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Shared:
    """Things by the place they were opened at; each is closed when the last who took it gives it back."""

    close: Callable[[Any], None]
    _there: dict[str, tuple[Any, int]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, place: str, opened: Callable[[], Any]) -> Any:
        """Return what is open at ``place``, else what ``opened`` returns."""
        with self._lock:
            thing, users = self._there.get(place) or (opened(), 0)
            self._there[place] = thing, users + 1
            return thing

    def users(self, place: str) -> int:
        """Return how many have taken what is open at ``place``."""
        with self._lock:
            return self._there[place][1]

    def give_back(self, place: str) -> None:
        """Say that it is no longer used by one who took it."""
        with self._lock:
            thing, users = self._there.pop(place)
            if users > 1:
                self._there[place] = thing, users - 1
            else:
                self.close(thing)
