"""A packet's XML as nodes that know their line; contents of attachments go elsewhere as they come.

lxml's target parser, fed in pieces, with entities, DTDs and network off. It tells no lines, so the bytes are
fed line by line and the count is ours; only base64 is fed in larger pieces, up to the tag that ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

from lxml import etree

from agencies.edxml.refusal import refused

__all__ = ["NAMESPACE", "Contents", "Node", "parse"]

NAMESPACE: Final = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
_CONTENT: Final = "ContentTransferEncoded"
_MOST_DEPTH: Final = 24
_MOST_NODES: Final = 40_000
#: Of all text but attachments' contents: what is signed of it has at most 256 KiB.
_MOST_TEXT: Final = 1024 * 1024
_SPACE: Final = "{http://www.w3.org/XML/1998/namespace}space"
_UNBOUND: Final = etree.ErrorTypes.NS_ERR_UNDEFINED_NAMESPACE
_MOST_UNREAD: Final = 1024 * 1024
#: Without a line break a tag could go on for ever.
_MOST_TAG: Final = 64 * 1024


class Node:
    """An element of the format's namespace, or of none."""

    __slots__ = ("children", "exact", "line", "name", "pieces")

    def __init__(self, name: str, line: int, *, exact: bool = False) -> None:
        self.name = name
        self.line = line
        self.exact = exact
        self.pieces: list[str] = []
        self.children: list[Node] = []

    @property
    def text(self) -> str:
        """Without the blanks around it, which senders add for the eye; with them if it says they count."""
        text = "".join(self.pieces)
        return text if self.exact else text.strip()

    def find(self, path: str) -> Node | None:
        """The first element at a path of names."""
        name, _, rest = path.partition("/")
        for child in self.children:
            if child.name == name:
                found = child.find(rest) if rest else child
                if found is not None:
                    return found
        return None

    def all(self, name: str) -> list[Node]:
        """Every child of this name."""
        return [child for child in self.children if child.name == name]

    def get(self, path: str) -> str:
        """The text at a path; empty where nothing stands there."""
        found = self.find(path)
        return found.text if found is not None else ""


class Contents(Protocol):
    """Takes what stands in `ContentTransferEncoded`."""

    def begin(self, attachment: Node, line: int) -> None:
        """An attachment's content begins."""
        ...

    def text(self, text: str) -> None:
        """More of it."""
        ...

    def end(self) -> None:
        """It has ended."""
        ...


class _Target:
    """lxml's parser target."""

    def __init__(self, contents: Contents) -> None:
        self.line = 1
        self.events = 0  # how much has been made of the bytes
        self.in_content = False
        self.root: Node | None = None
        #: Whether the parser has met a prefix that is bound to no namespace.
        self.unbound: Callable[[], bool] = lambda: False
        self._contents = contents
        self._open: list[Node] = []
        self._foreign = 0  # depth within an element of another namespace
        self._nodes = 0
        self._text = 0

    def doctype(self, *_: object) -> None:
        raise refused("DOCTYPE", self.line, "a packet has no DTD", "gói tin không được có DTD")

    def pi(self, *_: object) -> None:
        """Processing instructions say nothing to us."""
        self.events += 1

    def comment(self, _: str) -> None:
        """Comments neither."""
        self.events += 1

    def start(self, tag: str, attributes: Mapping[str, str], _nsmap: object = None) -> None:
        self.events += 1
        namespace, _, name = tag.rpartition("}")
        depth = len(self._open) + self._foreign
        self._nodes += 1
        if depth >= _MOST_DEPTH or self._nodes > _MOST_NODES:
            raise refused(name[:60], self.line, "too many elements, or too deep", "quá nhiều phần tử")
        if not namespace and self.unbound():
            # lxml reports such an element as one of no namespace, and the error in its log alone.
            raise refused(name[:60], self.line, "its prefix is bound to nothing", "tiền tố chưa khai báo")
        if self._foreign or namespace.lstrip("{") not in ("", NAMESPACE):
            self._foreign += 1
            return
        if self.in_content:
            raise refused(name[:60], self.line, "an element within base64", "phần tử lạ trong base64")
        # XML 1.0, 2.10; by its ancestors it would count for codes and names, too.
        node = Node(name, self.line, exact=attributes.get(_SPACE) == "preserve")
        if self._open:
            if name == _CONTENT and self._open[-1].name == "Attachment":
                self.in_content = True
                self._contents.begin(self._open[-1], self.line)
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)

    def end(self, _: str) -> None:
        if self._foreign:
            self._foreign -= 1
            return
        self._open.pop()
        if self.in_content:
            self.in_content = False
            self._contents.end()

    def data(self, text: str) -> None:
        self.events += 1
        if self._foreign:
            return
        if self.in_content:
            self._contents.text(text)
            return
        self._text += len(text)
        if self._text > _MOST_TEXT:
            raise refused(self._open[-1].name, self.line, "too much text", "nội dung văn bản quá dài")
        if self._open:
            self._open[-1].pieces.append(text)

    def close(self) -> Node | None:
        return self.root


def parse(chunks: Iterable[bytes], contents: Contents) -> Node:
    """The packet's root. Refusal (22) for what is no well-formed XML or over a limit, naming the line."""
    target = _Target(contents)
    parser: Any = etree.XMLParser(
        target=target,  # type: ignore[arg-type]
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=True,  # the limits are ours; a packet's one text of base64 may be long
        remove_comments=True,
        remove_pis=True,
    )
    target.unbound = lambda: any(error.type == _UNBOUND for error in parser.feed_error_log)
    try:
        unread, events = 0, 0
        for piece in _pieces(chunks, target):
            parser.feed(piece)
            target.line += piece.count(b"\n")
            # One tag, attribute or comment that does not end: the parser would keep all of it.
            unread = unread + len(piece) if target.events == events else 0
            events = target.events
            if unread > _MOST_UNREAD:
                raise refused(
                    "XML", target.line, "a tag or comment is too long", "thẻ hoặc chú thích quá dài"
                )
        root: Node | None = parser.close()
    except etree.XMLSyntaxError as error:
        line = error.lineno or target.line
        raise refused("XML", line, f"not well-formed: {error.msg}", "XML không đúng cú pháp") from error
    if root is None:
        raise refused("XML", target.line, "there is nothing", "gói tin rỗng")
    return root


def _pieces(chunks: Iterable[bytes], target: _Target) -> Iterator[bytes]:
    """Lines; within base64 everything up to the next tag."""
    rest = b""
    for chunk in chunks:
        rest += chunk
        start = 0
        while start < len(rest):
            end = _end_of_piece(rest, start, target.in_content)
            if end is None:
                break
            yield rest[start:end]
            start = end
        rest = rest[start:]
    if rest:
        yield rest


def _end_of_piece(data: bytes, start: int, in_content: bool) -> int | None:
    """Where the next piece ends; None where more must come first."""
    if in_content:
        tag = data.find(b"<", start)
        if tag != start:
            return tag if tag > start else len(data)
        end = data.find(b">", start)
    else:
        end = data.find(b"\n", start)
    if end >= 0:
        return end + 1
    return len(data) if len(data) - start >= _MOST_TAG else None
