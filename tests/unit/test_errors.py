"""The exceptions: their tree, messages, attributes, and that they survive pickling."""

from __future__ import annotations

import pickle

import pytest
from ebpflab import _ebpflab, errors
from ebpflab.errors import (
    AttachError,
    ClosedError,
    EbpflabError,
    NotSupportedError,
    PrivilegeError,
    VerifierError,
)
from ebpflab.verifier import explain

EXAMPLES: list[tuple[EbpflabError, dict[str, object]]] = [
    (EbpflabError("no such map"), {}),
    (
        NotSupportedError("no kprobes here", "kprobe", "CONFIG_KPROBES", "not built in"),
        {"feature": "kprobe", "needs": "CONFIG_KPROBES", "reason": "not built in"},
    ),
    (
        PrivilegeError("needs CAP_BPF", ["CAP_BPF"], "use sudo"),
        {"missing_caps": ["CAP_BPF"], "fix": "use sudo"},
    ),
    (
        VerifierError("refused", "xdp_count", "R1 !read_ok", _ebpflab.explain("R1 !read_ok", None, None)),
        {
            "program": "xdp_count",
            "log": "R1 !read_ok",
            "explanation": "R1 !read_ok",
            "explained": explain("R1 !read_ok"),
        },
    ),
    (AttachError("cannot attach", "lo", "it is busy"), {"target": "lo", "reason": "it is busy"}),
    (ClosedError("the session is closed"), {}),
]
by_name = pytest.mark.parametrize(
    ("error", "attributes"), EXAMPLES, ids=[type(error).__name__ for error, _ in EXAMPLES]
)


def test_the_examples_are_all_the_errors() -> None:
    classes = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)}
    assert {type(error) for error, _ in EXAMPLES} == classes


@by_name
def test_the_message_is_all_of_the_text(error: EbpflabError, attributes: dict[str, object]) -> None:
    assert str(error) == error.args[0]
    assert {name: getattr(error, name) for name in attributes} == attributes


@by_name
def test_errors_pickle(error: EbpflabError, attributes: dict[str, object]) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  our own bytes
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert {name: getattr(copy, name) for name in attributes} == attributes


@by_name
def test_errors_form_one_tree(error: EbpflabError, attributes: dict[str, object]) -> None:
    del attributes
    assert isinstance(error, EbpflabError)
    assert type(error).__mro__[-4:] in {
        (EbpflabError, Exception, BaseException, object),
        (type(error), EbpflabError, Exception, BaseException)[-4:],
    }


def test_native_errors_are_these_classes() -> None:
    with pytest.raises(AttachError, match="there is none of that name") as caught:
        _ebpflab.attach_xdp("no-such-iface", "auto", None, None, None, None)
    assert caught.value.target == "interface no-such-iface"
    assert str(caught.value) == f"cannot attach to {caught.value.target}: {caught.value.reason}"


def test_bad_arguments_are_value_errors() -> None:
    with pytest.raises(ValueError, match="no XDP mode turbo; it is one of auto, skb, drv, hw"):
        _ebpflab.attach_xdp("lo", "turbo", None, None, None, None)
