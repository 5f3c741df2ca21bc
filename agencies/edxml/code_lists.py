"""QCVN 102:2016's code lists, with the meanings that people read. For warnings and for display only.

Nothing is refused for being on none of these lists: senders disagree on them, so what was sent is kept as it
was sent. Vietnamese names are the regulation's. Entries marked `verified=False` could not be checked against
the official text, and nothing is concluded from them. Sources: QCVN 102:2016/BTTTT with amendment 1:2022;
Decree 30/2020/NĐ-CP, annexes I and III, for types and abbreviations.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

__all__ = [
    "BUSINESS_DOC_TYPES",
    "COPY_ABBREVIATIONS",
    "DOCUMENT_TYPES",
    "NOTATION_ABBREVIATIONS",
    "PRIORITIES",
    "STATUSES",
    "STATUS_MEANINGS",
    "STEERING_TYPES",
    "Meaning",
    "priority_warning",
    "status_text",
    "type_warning",
]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code means."""

    vietnamese: str
    english: str = ""
    verified: bool = True


BUSINESS_DOC_TYPES: Final = {
    0: Meaning("Văn bản điện tử mới", "new"),
    1: Meaning("Thu hồi", "recall; the original is named in ResponseFor"),
    2: Meaning("Cập nhật", "update; Bussiness/DocumentId names the original"),
    3: Meaning("Thay thế", "replacement; ReplacementInfoList names the originals"),
}

#: 4 and 5 are one vendor's, not the regulation's.
PRIORITIES: Final = {
    0: Meaning("Thường", "normal"),
    1: Meaning("Khẩn", "urgent"),
    2: Meaning("Thượng khẩn", "very urgent"),
    3: Meaning("Hỏa tốc", "express"),
    4: Meaning("Hỏa tốc hẹn giờ", "express at a set time", verified=False),
    5: Meaning("Thường", "normal", verified=False),
}

STEERING_TYPES: Final = {
    0: Meaning("Không chỉ đạo", "none"),
    1: Meaning("Chỉ đạo", "steering"),
    2: Meaning("Chỉ đạo có báo cáo", "steering, with a report"),
}

STATUS_MEANINGS: Final = {
    "01": Meaning("Đã đến", "arrived in the software, not yet seen by the clerk"),
    "02": Meaning("Từ chối tiếp nhận", "refused"),
    "03": Meaning("Đã tiếp nhận", "accepted, entered in the register of incoming documents"),
    "04": Meaning("Phân công", "assigned"),
    "05": Meaning("Đang xử lý", "in progress"),
    "06": Meaning("Hoàn thành", "done"),
    "13": Meaning("Lấy lại", "the sender asks the document back"),
    "15": Meaning("Đồng ý", "agrees to the update or taking back"),
    "16": Meaning("Từ chối", "refuses the update or taking back"),
}

#: StatusCode → what Vietnamese software shows.
STATUSES: Final = {code: meaning.vietnamese for code, meaning in STATUS_MEANINGS.items()}

_LEGAL: Final = (
    "Hiến pháp", "Luật", "Pháp lệnh", "Lệnh", "Nghị quyết", "Nghị quyết liên tịch", "Nghị định", "Quyết định",
    "Thông tư", "Thông tư liên tịch", "Chỉ thị", "Bộ luật", "VB đơn vị HC-KT đặc biệt",
)  # fmt: skip
_ADMINISTRATIVE: Final = (
    "Nghị quyết", "Quyết định", "Chỉ thị", "Quy chế", "Quy định", "Thông cáo", "Thông báo", "Hướng dẫn",
    "Chương trình", "Kế hoạch", "Phương án", "Đề án", "Dự án", "Báo cáo", "Biên bản", "Tờ trình", "Hợp đồng",
    "Công văn", "Công điện", "Bản ghi nhớ", "Bản cam kết", "Bản thỏa thuận", "Giấy chứng nhận",
    "Giấy ủy quyền", "Giấy mời", "Giấy giới thiệu",
)  # fmt: skip
_UNVERIFIED: Final = range(10, 18)

#: (DocumentType/Type, DocumentType/TypeDetail) → TypeName: 1 legal normative, 2 administrative documents.
DOCUMENT_TYPES: Final = {("1", str(number)): Meaning(name) for number, name in enumerate(_LEGAL, 1)} | {
    ("2", str(number)): Meaning(name, verified=number not in _UNVERIFIED)
    for number, name in enumerate(_ADMINISTRATIVE, 1)
}

#: What stands in a document's notation for its type; a công văn has none (`12/UBND-VX`).
NOTATION_ABBREVIATIONS: Final = {
    "NQ": "Nghị quyết",
    "QĐ": "Quyết định",
    "CT": "Chỉ thị",
    "QC": "Quy chế",
    "QyĐ": "Quy định",
    "TC": "Thông cáo",
    "TB": "Thông báo",
    "HD": "Hướng dẫn",
    "CTr": "Chương trình",
    "KH": "Kế hoạch",
    "PA": "Phương án",
    "ĐA": "Đề án",
    "DA": "Dự án",
    "BC": "Báo cáo",
    "BB": "Biên bản",
    "TTr": "Tờ trình",
    "HĐ": "Hợp đồng",
    "CĐ": "Công điện",
    "BGN": "Bản ghi nhớ",
    "BTT": "Bản thỏa thuận",
    "GUQ": "Giấy ủy quyền",
    "GM": "Giấy mời",
    "GGT": "Giấy giới thiệu",
    "GNP": "Giấy nghỉ phép",
    "PG": "Phiếu gửi",
    "PC": "Phiếu chuyển",
    "PB": "Phiếu báo",
}
COPY_ABBREVIATIONS: Final = {"SY": "Bản sao y", "TrS": "Bản trích sao", "SL": "Bản sao lục"}


def status_text(code: str) -> str:
    """A status for a person, "03 Đã tiếp nhận (accepted, …)"; the code alone where it is none."""
    meaning = STATUS_MEANINGS.get(code)
    return f"{code} {meaning.vietnamese} ({meaning.english})" if meaning is not None else code


def priority_warning(priority: int) -> str:
    """Why a priority is odd; empty where it is not."""
    meaning = PRIORITIES.get(priority)
    if meaning is None or meaning.verified:
        return ""
    return f"priority {priority}: one vendor's {meaning.vietnamese!r}, not in QCVN 102:2016"


def type_warning(group: str, detail: str, name: str) -> str:
    """Why a type's numbers do not fit its name, by which a reader goes; empty where nothing is known."""
    if not name or not (group or detail):
        return ""
    meaning = DOCUMENT_TYPES.get((group, detail.lstrip("0") or detail))
    if meaning is not None and (not meaning.verified or _folded(meaning.vietnamese) == _folded(name)):
        return ""
    listed = f"is {meaning.vietnamese!r}" if meaning is not None else "is no type"
    return f"type {group[:20]}/{detail[:20]} {listed} in QCVN 102:2016; the name counts: {name[:60]!r}"


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", " ".join(text.split())).casefold()
