"""A packet as a tree that can be canonicalised, and its canonical forms (C14N 1.0, W3C 2001-03-15).

Whatever could make that dangerous or slow ends it before a tree is built: DTDs, other encodings than UTF-8
(the reader must not see other text than was signed), endless tags, depth, and declarations in such numbers
that canonicalising would take time by their square.

A part of a tree is never canonicalised where it stands. lxml does so through a copy of the part's root, and
libxml2 then writes `xmlns=""` into what inherits a default namespace: other bytes than were signed. So the
part is made a document of its own first, with the namespaces and xml: attributes that it stood among.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from lxml import etree

__all__ = ["MOST_BYTES", "Unreadable", "canonical_part", "canonical_without", "tree_of"]

#: Of a packet whose signature is looked at; all of it is in memory while that lasts.
MOST_BYTES: Final = 20 * 1024 * 1024
_MOST_DEPTH: Final = 32
#: Elements, attributes and processing instructions together.
_MOST_NODES: Final = 50_000
#: Sorted one by one, and looked up one by one for each element.
_MOST_ATTRIBUTES: Final = 64
_MOST_NAMESPACES: Final = 32
_MOST_TAG: Final = 64 * 1024
_MOST_PART: Final = 64 * 1024
_PIECE: Final = 64 * 1024

_BOM: Final = b"\xef\xbb\xbf"
_ENCODING: Final = re.compile(rb"<\?xml[^>]*?\sencoding\s*+=\s*+[\"']([^\"']*)")
_ENCODINGS: Final = (b"utf-8", b"us-ascii", b"ascii")
#: A tag, a comment or text of so many bytes; what a tag may be; an attribute's value holds no `<`.
_LONG: Final = re.compile(rb"<[^<]{%d}" % _MOST_TAG)
_TAG: Final = re.compile(rb"<(?:[!?]|(?:[^\"'>]++|\"[^\"]*+\"|'[^']*+')*+>)")
_XML: Final = "{http://www.w3.org/XML/1998/namespace}"


class Unreadable(Exception):
    """This cannot be canonicalised; says why."""


def tree_of(chunks: Iterable[bytes]) -> Any:
    """The packet's lxml tree, without comments. Raises Unreadable."""
    data = _whole(chunks)
    _check_bytes(data)
    parser: Any = etree.XMLPullParser(
        events=("start", "end", "start-ns", "end-ns", "pi"),
        encoding="utf-8",  # the declaration was checked; nothing else is guessed
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=True,  # an attachment is one long text; the limits are ours
        remove_comments=True,
    )
    limits = _Limits()
    try:
        for start in range(0, len(data), _PIECE):
            parser.feed(data[start : start + _PIECE])
            limits.count(parser.read_events())
        root = parser.close()
        limits.count(parser.read_events())
    except etree.XMLSyntaxError as error:
        raise Unreadable(f"it is no well-formed XML: {error.msg}") from error
    return root.getroottree()


def canonical_part(element: Any, *, exclusive: bool) -> bytes:
    """An element of a tree as the document subset that it is. Raises Unreadable."""
    data = etree.tostring(element, with_tail=False, encoding="utf-8")
    if len(data) > _MOST_PART:
        raise Unreadable(f"it has a part of over {_MOST_PART} bytes")
    apart: Any = etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))
    if not exclusive:
        for ancestor in element.iterancestors():  # C14N 1.0, 2.4: the nearest ones are imported
            for name, value in ancestor.attrib.items():
                if name.startswith(_XML) and name not in apart.attrib:
                    apart.set(name, value)
    return _canonical(apart, exclusive=exclusive)


def canonical_without(tree: Any, element: Any, *, exclusive: bool) -> bytes:
    """A whole document but for one element, which is taken out of the tree. Raises Unreadable."""
    _take_out(element)
    # `write_c14n` would need no memory, but keeps every other thread waiting until it is done.
    return _canonical(tree, exclusive=exclusive)


def _canonical(whole: Any, *, exclusive: bool) -> bytes:
    try:
        return etree.tostring(whole, method="c14n", exclusive=exclusive, with_comments=False)
    except etree.C14NError as error:
        raise Unreadable("it has no canonical form") from error


class _Limits:
    """What a tree may have, counted while it is made."""

    def __init__(self) -> None:
        self._depth = self._nodes = self._namespaces = 0

    def count(self, events: Iterator[tuple[str, Any]]) -> None:
        for event, what in events:
            if event == "start":
                self._depth += 1
                self._nodes += 1 + len(what.attrib)
                if len(what.attrib) > _MOST_ATTRIBUTES:
                    raise Unreadable(f"an element has over {_MOST_ATTRIBUTES} attributes")
            elif event == "end":
                self._depth -= 1
            elif event == "pi":
                self._nodes += 1
            else:
                self._namespaces += 1 if event == "start-ns" else -1
            if self._depth > _MOST_DEPTH or self._nodes > _MOST_NODES or self._namespaces > _MOST_NAMESPACES:
                raise Unreadable("it has too many elements or declarations, or is too deep")


def _whole(chunks: Iterable[bytes]) -> bytes:
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > MOST_BYTES:
            raise Unreadable(f"it is too large: over {MOST_BYTES} bytes")
    return bytes(data)


def _check_bytes(data: bytes) -> None:
    """What must not even reach the parser."""
    declared = _ENCODING.match(data.removeprefix(_BOM))
    if b"\0" in data or (declared and declared[1].lower() not in _ENCODINGS):
        raise Unreadable("it is in another encoding than UTF-8")
    if b"<!DOCTYPE" in data:
        raise Unreadable("it has a DTD")
    for long in _LONG.finditer(data):
        if not _TAG.match(long[0]):
            raise Unreadable("a tag is too long")


def _take_out(element: Any) -> None:
    """Remove an element, not the text behind it, which lxml would take along."""
    parent, before = element.getparent(), element.getprevious()
    if element.tail:
        if before is None:
            parent.text = (parent.text or "") + element.tail
        else:
            before.tail = (before.tail or "") + element.tail
    parent.remove(element)
