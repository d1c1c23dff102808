"""Links are as computed by hand here, and no list of digests leads where the records do not."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgctl.values import Head
from borgctl.wire.hashchain import START, follows, joined

DIGESTS = st.lists(st.binary(min_size=32, max_size=32).map(bytes.hex), max_size=8)


def ending(digests: list[str], start: Head) -> Head:
    link = bytes.fromhex(start.digest)
    for digest in digests:
        link = hashlib.sha256(link + bytes.fromhex(digest)).digest()
    return Head(start.sequence + len(digests), link.hex())


def test_a_link_is_the_hash_of_the_link_before_and_the_digest() -> None:
    digest = hashlib.sha256(b"body").hexdigest()
    assert joined(START, digest) == hashlib.sha256(bytes(32) + hashlib.sha256(b"body").digest()).hexdigest()


@given(DIGESTS)
def test_the_digests_of_the_records_lead_from_head_to_head(digests: list[str]) -> None:
    start = Head(7, "a" * 64)
    assert follows(start, digests, ending(digests, start))


@given(DIGESTS.filter(bool), st.data())
def test_no_digest_can_be_left_out_added_moved_or_changed(digests: list[str], data: st.DataObject) -> None:
    start = Head(7, "a" * 64)
    end, at = ending(digests, start), data.draw(st.integers(0, len(digests) - 1))
    other = hashlib.sha256(digests[at].encode()).hexdigest()
    assert not follows(start, digests[:at] + digests[at + 1 :], end)
    assert not follows(start, [*digests[:at], other, *digests[at:]], end)
    assert not follows(start, [*digests[:at], other, *digests[at + 1 :]], end)
    if digests[::-1] != digests:
        assert not follows(start, digests[::-1], end)


@pytest.mark.parametrize("sequence", [0, 7, 9, 10**14])
def test_a_number_that_does_not_fit_the_digests_is_refused(sequence: int) -> None:
    start = Head(7, "a" * 64)
    end = ending(["b" * 64], start)
    assert follows(start, ["b" * 64], end) and not follows(start, ["b" * 64], Head(sequence, end.digest))
