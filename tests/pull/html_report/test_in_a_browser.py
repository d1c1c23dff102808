"""The page in a real browser: nothing is refused or logged, nothing overflows, and all of it can be read."""

import time
from pathlib import Path

import pytest
import report_fleets
from browser import Browser

WIDTHS = (390, 1280)
# The contrast of each text with what is behind it, by WCAG 2.2 (1.4.3, and 1.4.11 for what is drawn).
CONTRAST = """(() => {
    const numbers = colour => colour.match(/[0-9.]+/g).map(Number);
    const luminance = colour => numbers(colour).slice(0, 3).map(one => one / 255)
        .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
        .reduce((sum, one, place) => sum + one * [0.2126, 0.7152, 0.0722][place], 0);
    const behind = element => {
        for (; element; element = element.parentElement) {
            const colour = getComputedStyle(element).backgroundColor;
            if (numbers(colour)[3] !== 0) return colour;
        }
        return 'rgb(255, 255, 255)';
    };
    const contrast = (colour, element) => {
        const [light, dark] = [luminance(colour), luminance(behind(element))].sort((a, b) => b - a);
        return (light + 0.05) / (dark + 0.05);
    };
    const found = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || element.closest('svg')) continue;
        found.push([4.5, contrast(getComputedStyle(element).color, element), texts.currentNode.data.slice(0, 40)]);
    }
    for (const shape of document.querySelectorAll('path, circle')) {
        const style = getComputedStyle(shape);
        found.push([3, contrast(shape.tagName === 'path' ? style.stroke : style.fill, shape), shape.className.baseVal]);
    }
    return {checked: found.length, poor: found.filter(([least, one]) => !(one >= least))};
})()"""

# Cells in which a word would have a letter a line, and what a chart reaches beyond its cell.
NARROW = """[...document.querySelectorAll('tbody th, td')]
    .filter(one => one.offsetWidth < 44 || one.scrollWidth > one.offsetWidth).map(one => one.outerHTML)"""


@pytest.fixture
def browser():
    with Browser() as browser:
        yield browser


@pytest.fixture
def file(world, borgpull) -> Path:
    report_fleets.kept(world, time.time())
    path = world.root / "page.html"
    assert borgpull("report", "--html", str(path)) == (0, "", "")
    return path


def overflow(page) -> int:
    return page.value("document.documentElement.scrollWidth") - page.value("document.documentElement.clientWidth")


def test_it_fits_a_phone_and_a_desk_in_light_and_dark_and_the_browser_has_nothing_to_say(browser, file) -> None:
    for width in WIDTHS:
        for dark in (False, True):
            page = browser.open(file, width=width, dark=dark)
            assert page.complaints == [] and page.requests == [file.as_uri()]
            assert page.value("innerWidth") == width and overflow(page) <= 0
            seen = page.value(CONTRAST)
            assert seen["checked"] > 200 and seen["poor"] == [], (width, dark)
            back = page.value("getComputedStyle(document.body).backgroundColor")
            assert back == ("rgb(20, 23, 26)" if dark else "rgb(255, 255, 255)")
            assert page.value("document.scripts.length + document.images.length + document.styleSheets.length") == 1


def test_nothing_sticks_out_of_its_place(browser, file) -> None:
    """Not even the longest word, of which a browser would cut what does not fit; nor on a sheet of A4, 720 wide."""
    for width, media in ((390, ""), (929, ""), (1280, ""), (720, "print")):
        page = browser.open(file, width=width, media=media)
        assert overflow(page) <= 0 and page.value(NARROW) == []
        outside = f"[...document.querySelectorAll('body *')].filter(one => one.getBoundingClientRect().right > {width})"
        assert page.value(f"{outside}.map(one => one.outerHTML.slice(0, 80))") == []


def test_a_page_that_is_not_as_it_was_written_would_be_noticed(browser, file) -> None:
    whole = file.read_text()
    file.write_text(whole.replace("overflow-wrap: anywhere", "overflow-wrap: normal"))
    spoiled = browser.open(file, width=390)
    assert "Content Security Policy" in "".join(spoiled.complaints) and overflow(spoiled) > 0
    file.write_text(whole.replace("<main>", "<main><script>document.title = 'ran'</script><img src='x.png'>"))
    injected = browser.open(file, width=390)
    assert len(injected.complaints) >= 2 and injected.value("document.title") != "ran"
