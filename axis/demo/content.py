"""What the demonstration's documents say: invented subjects of the usual kinds, no person's name."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime
from typing import Final

__all__ = ["Draft", "decision_274", "draft"]


@dataclass(frozen=True, slots=True)
class Draft:
    """The fields and text of one document before it is sent."""

    issuer: str
    place: str
    number: str
    notation: str
    type_name: str
    subject: str
    paragraphs: tuple[str, ...]
    competence: str
    position: str
    issued: datetime
    priority: int = 0

    def as_request(self, sender: str, recipients: list[str]) -> dict[str, object]:
        """The `document` part of POST /v1/documents."""
        return {
            "from": sender,
            "to": recipients,
            "subject": self.subject,
            "number": self.number,
            "notation": self.notation,
            "type_name": self.type_name,
            "priority": self.priority,
            "content": self.paragraphs[0],
            "promulgation_place": self.place,
            "promulgation_date": f"{self.issued:%Y-%m-%d}",
        }


# Kind, notation, and what such a document is usually about.
_KINDS: Final = (
    ("Công văn", "", "Về việc {topic}"),
    ("Báo cáo", "BC", "Báo cáo {topic}"),
    ("Thông báo", "TB", "Thông báo kết luận về {topic}"),
    ("Kế hoạch", "KH", "Kế hoạch {topic}"),
    ("Giấy mời", "GM", "Mời họp về {topic}"),
    ("Công điện", "CĐ", "Về việc khẩn trương {topic}"),
    ("Tờ trình", "TTr", "Về việc đề nghị {topic}"),
)

_TOPICS: Final = (
    "triển khai gửi, nhận văn bản điện tử",
    "kết nối, liên thông phần mềm quản lý văn bản",
    "cấp và quản lý chứng thư số chuyên dùng",
    "ứng phó với mưa lũ tại các tỉnh miền núi phía Bắc",
    "thực hiện dịch vụ công trực tuyến toàn trình",
    "rà soát, đơn giản hóa thủ tục hành chính",
    "giải ngân vốn đầu tư công những tháng cuối năm",
    "phòng cháy, chữa cháy rừng mùa khô",
    "chuẩn bị hội nghị trực tuyến với các địa phương",
    "đánh giá chỉ số cải cách hành chính năm trước",
    "bảo đảm an toàn thông tin trong cơ quan nhà nước",
    "tổ chức kỳ thi tốt nghiệp trung học phổ thông",
)

_BODY: Final = (
    "Căn cứ Nghị định số 30/2020/NĐ-CP của Chính phủ về công tác văn thư, {issuer} gửi quý cơ quan "
    "văn bản về {topic}.",
    "Đề nghị quý cơ quan chỉ đạo các đơn vị trực thuộc nghiên cứu, tổ chức thực hiện và phản hồi qua "
    "Trục liên thông văn bản quốc gia trong thời hạn quy định.",
    "Văn bản này được gửi dưới dạng điện tử, có chữ ký số của cơ quan và không gửi bản giấy kèm theo.",
)

_SHORT: Final = {"Văn phòng Chính phủ": "VPCP", "Bộ Thông tin và Truyền thông": "BTTTT"}


def decision_274(issued: datetime) -> Draft:
    """The first document that was ever sent through the axis, on 12 March 2019."""
    return Draft(
        issuer="Thủ tướng Chính phủ",
        place="Hà Nội",
        number="274",
        notation="QĐ-TTg",
        type_name="Quyết định",
        subject="Về việc phê duyệt Đề án Cổng Dịch vụ công quốc gia",
        paragraphs=(
            "Phê duyệt Đề án Cổng Dịch vụ công quốc gia.",
            "Văn phòng Chính phủ, các bộ, cơ quan ngang bộ, cơ quan thuộc Chính phủ, Ủy ban nhân dân các "
            "tỉnh, thành phố trực thuộc trung ương chịu trách nhiệm thi hành Quyết định này.",
            "Quyết định có hiệu lực kể từ ngày ký ban hành.",
        ),
        competence="",
        position="THỦ TƯỚNG",
        issued=issued,
        priority=1,
    )


def draft(rng: random.Random, issuer: str, number: int, issued: datetime) -> Draft:
    """An everyday document of `issuer`, numbered as Decree 30/2020 article 15 asks (01, 02 …)."""
    type_name, notation, subject = rng.choice(_KINDS)
    topic = rng.choice(_TOPICS)
    office = _SHORT.get(issuer, "VP")
    return Draft(
        issuer=issuer,
        place="Hà Nội" if issuer.startswith(("Bộ", "Văn phòng", "Ngân hàng", "Thanh tra")) else "Trụ sở",
        number=f"{number:02d}",
        notation=f"{notation}-{office}" if notation else f"{office}-VX",
        type_name=type_name,
        subject=subject.format(topic=topic),
        paragraphs=tuple(text.format(issuer=issuer, topic=topic) for text in _BODY),
        competence="TL. THỦ TRƯỞNG",
        position="CHÁNH VĂN PHÒNG",
        issued=issued,
        # One in twenty is urgent, as in the sample packets' spread of Priority.
        priority=rng.choice((1, 2, 3)) if rng.random() < 0.05 else 0,
    )
