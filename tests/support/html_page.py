"""A page of HTML as the standard library's parser reads it: tags with their attributes, and the text in each.

page = read(data)
page.skeleton          [("html", (("lang", "en"),)), ("head", ()), …]: the page without its words
page.all("th")         elements, each with .attributes and .text
"""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = ("meta", "path", "circle", "br", "img", "link", "input", "base")  # the last ones are not to be there


@dataclass
class Element:
    """A tag with its attributes, the text in it and in what it contains, and the tags that it stands in."""

    tag: str
    attributes: dict
    above: tuple
    text: str = ""
    inside: list = field(default_factory=list)


class Page(HTMLParser):
    """The elements in their order."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.stray = [], [], []

    def handle_starttag(self, tag, attrs):
        element = Element(tag, dict(attrs), tuple(self.open))
        self.elements.append(element)
        if self.open:
            self.open[-1].inside.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open[-1].tag == tag, f"</{tag}> ends {self.open and self.open[-1].tag}"
        self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element.text += data

    def handle_comment(self, data):
        self.stray.append(data)

    def handle_pi(self, data):
        self.stray.append(data)

    def unknown_decl(self, data):
        self.stray.append(data)

    def all(self, *tags):
        return [element for element in self.elements if element.tag in tags]

    @property
    def skeleton(self):
        return [(element.tag, tuple(element.attributes.items())) for element in self.elements]


def read(data):
    """Read a page whole: each tag that is opened is closed, and nothing else than tags and text is there."""
    page = Page()
    page.feed(data.decode("ascii"))
    page.close()
    assert not page.open and not page.stray, (page.open, page.stray)
    return page
