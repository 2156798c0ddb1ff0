"""Our dataclasses do what `dataclasses.dataclass` does, for everything that is used of it."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from layouts import records

ARGUMENTS = [{"frozen": True}, {"frozen": True, "eq": False}, {}, {"eq": False}]


def made(decorator: Any, **arguments: Any) -> Any:
    @decorator(**arguments)
    class Point:
        """A point."""

        x: int
        y: Any = 7
        names: dict[str, int] = records.field(default_factory=dict)

        @property
        def sum(self) -> int:
            return self.x + int(self.y)

    return Point


@pytest.fixture(params=ARGUMENTS, ids=str)
def both(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """A class by our decorator, and the same by Python's."""
    return made(records.dataclass, **request.param), made(dataclasses.dataclass, **request.param)


CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((1,), {}),
    ((1, 2), {}),
    ((1, 2, {"a": 3}), {}),
    ((), {"x": 5}),
    ((), {"y": 4, "x": 5}),
    ((1,), {"names": {"b": 1}}),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_an_instance_has_the_same_fields_in_the_same_order(both: tuple[Any, Any], call: Any) -> None:
    ours, pythons = (cls(*call[0], **call[1]) for cls in both)
    assert [*vars(ours).items()] == [*vars(pythons).items()]
    assert repr(ours) == repr(pythons)
    assert [f.name for f in records.fields(ours)] == [f.name for f in dataclasses.fields(pythons)]
    assert dataclasses.asdict(ours) == dataclasses.asdict(pythons)
    assert vars(records.replace(ours, y=9)) == vars(dataclasses.replace(pythons, y=9))
    assert ours.sum == pythons.sum


@pytest.mark.parametrize("call", [((), {}), ((1, 2, {}, 4), {}), ((1,), {"x": 1}), ((1,), {"z": 1})], ids=str)
def test_wrong_fields_are_a_type_error(both: tuple[Any, Any], call: Any) -> None:
    for cls in both:
        with pytest.raises(TypeError):
            cls(*call[0], **call[1])


def test_equality_and_hash_are_the_same(both: tuple[Any, Any]) -> None:
    for one, other in ((cls(1, (2,)), cls(1, (2,))) for cls in both):
        assert (one == other) == (both[1](1, (2,)) == both[1](1, (2,)))
    assert both[0](1) != both[1](1) and both[0](1) != both[0](2)
    assert (both[0].__hash__ is None) == (both[1].__hash__ is None)


def test_a_frozen_one_is_hashed_by_its_fields_and_cannot_change() -> None:
    @records.dataclass(frozen=True)
    class Pair:
        """A pair."""

        one: int
        other: int = 2

    assert hash(Pair(1)) == hash(Pair(1, 2)) and len({Pair(1), Pair(1, 2), Pair(2)}) == 2
    for change in (lambda pair: setattr(pair, "one", 3), lambda pair: delattr(pair, "one")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            change(Pair(1))


def test_factories_give_each_its_own(both: tuple[Any, Any]) -> None:
    one, other = both[0](1), both[0](1)
    assert one.names is not other.names


@records.dataclass(frozen=True)
class Kept:
    """What has methods of its own keeps them."""

    size: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "double", 2 * self.size)

    def __repr__(self) -> str:
        return "kept"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Kept)


def test_methods_of_its_own_are_kept() -> None:
    assert vars(Kept(4)) == {"size": 4, "double": 8}
    assert repr(Kept(4)) == "kept" and Kept(4) == Kept(5)


def test_an_instance_is_copied_and_pickled() -> None:
    for other in (copy.copy(Kept(4)), copy.deepcopy(Kept(4)), pickle.loads(pickle.dumps(Kept(4)))):
        assert vars(other) == vars(Kept(4))


def test_one_within_itself_is_shown() -> None:
    @records.dataclass(eq=False)
    class Ring:
        """A ring."""

        other: Any = None

    ring = Ring()
    ring.other = ring
    assert "..." in repr(ring)
