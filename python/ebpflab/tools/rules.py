"""Rules about where packets come from, as the native module takes them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable


class Lists(TypedDict):
    """Ranges of addresses, as texts."""

    block: list[str]
    block_file: str | None
    allow: list[str]


def lists(
    block: Iterable[object] | None, allow: Iterable[object] | None, block_file: str | os.PathLike[str] | None
) -> Lists:
    """Make them of what may be texts, or addresses and networks of `ipaddress`."""
    for name, ranges in (("block", block), ("allow", allow)):
        if isinstance(ranges, (str, bytes)):
            raise TypeError(f"{name} is a list of ranges, not one of them")
    return Lists(
        block=[str(each) for each in block or ()],
        block_file=None if block_file is None else os.fspath(block_file),
        allow=[str(each) for each in allow or ()],
    )


def optional_lists(
    block: Iterable[object] | None, allow: Iterable[object] | None, block_file: str | os.PathLike[str] | None
) -> Lists | None:
    """Make them, or None where nothing is given: then there are no rules, and none can be made later."""
    given = block is not None or allow is not None or block_file is not None
    return lists(block, allow, block_file) if given else None
