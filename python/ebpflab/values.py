"""Values of types that only the kernel, or an object, knows: structs and enums. All others are plain Python values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self


class Struct(Mapping[str, Any]):
    """A struct or a union: its members by name, as attributes (`flow.port`) or items (`flow["port"]`).

    It is frozen and can be the key of a dict. It equals every mapping with the same members.
    """

    __slots__ = ("_members", "_name")

    _members: dict[str, Any]
    _name: str

    def __init__(self, name: str, members: Mapping[str, Any]) -> None:
        """Keep the name of the type, empty for none, and the members."""
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_members", dict(members))

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401  of any type
        """Return a member."""
        return self._members[name]

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """Return a member."""
        try:
            return self._members[name]
        except KeyError:
            raise AttributeError(f"{self._name or 'the struct'} has no member {name}") from None

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: it is a copy of what was in the kernel."""
        raise AttributeError(f"cannot set {name}: a Struct is frozen")

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the members."""
        return iter(self._members)

    def __len__(self) -> int:
        """Return the number of members."""
        return len(self._members)

    def __hash__(self) -> int:
        """Hash the members."""
        return hash(tuple(self._members.items()))

    def __eq__(self, other: object) -> bool:
        """Compare the members."""
        return self._members == other if isinstance(other, dict) else super().__eq__(other)

    def __dir__(self) -> list[str]:
        """List the members too."""
        return sorted({*super().__dir__(), *self._members})

    def __reduce__(self) -> tuple[type[Struct], tuple[str, dict[str, Any]]]:
        """Pickle and copy."""
        return (Struct, (self._name, self._members))

    def __repr__(self) -> str:
        """Show the members."""
        members = ", ".join(f"{name}={value!r}" for name, value in self._members.items())
        return f"{self._name or 'struct'}({members})"


class Enumerator(int):
    """A value of an enum: an int, with the `name` that the enum has for it, or None."""

    name: str | None

    def __new__(cls, value: int, name: str | None) -> Self:
        """Keep the name beside the value."""
        made = super().__new__(cls, value)
        made.name = name
        return made

    def __reduce__(self) -> tuple[type[Enumerator], tuple[int, str | None]]:
        """Pickle and copy."""
        return (Enumerator, (int(self), self.name))

    def __repr__(self) -> str:
        """Show the name, or else the value."""
        return self.name if self.name is not None else int.__repr__(self)


def plain(value: object) -> Any:  # noqa: ANN401
    """Return a value with structs as dicts, enumerators as their names, all the way down."""
    if isinstance(value, Struct):
        return {name: plain(member) for name, member in value.items()}
    if isinstance(value, tuple):
        return tuple(plain(each) for each in cast("tuple[object, ...]", value))
    return value.name if isinstance(value, Enumerator) and value.name is not None else value
