"""A request that is written out parses back to the same request."""

import draws
from hypothesis import given

from borgctl.wire.request import render
from borgctl.wire.request_parser import parse


@draws.FEWER
@given(draws.asked())
def test_what_is_rendered_parses_back_to_the_same_request(request):
    assert parse(render(request).encode("ascii")) == request
