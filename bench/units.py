"""A register as large as the country's, made up: ministries and provinces, what is below them, and names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from axis.demo.units import demo_units

__all__ = ["COUNTRY", "MadeUnit", "made_certificates", "made_units"]

#: Registered agencies of all levels in October 2025.
COUNTRY: Final = 111_339

_SECOND: Final = (
    "Sở Giáo dục và Đào tạo", "Sở Y tế", "Sở Nội vụ", "Sở Tài chính", "Sở Công Thương", "Sở Tư pháp",
    "Ủy ban nhân dân huyện Châu Thành", "Ủy ban nhân dân thị xã Hòa Thành",
    "Ủy ban nhân dân thành phố Thủ Đức",
    "Cục Thuế", "Cục Thống kê", "Ban Quản lý khu kinh tế", "Thanh tra tỉnh", "Văn phòng Ủy ban nhân dân",
)  # fmt: skip
_THIRD: Final = (
    "Ủy ban nhân dân xã Tân Bình", "Ủy ban nhân dân phường Long Hoa", "Trường Tiểu học Nguyễn Bỉnh Khiêm",
    "Trường Trung học cơ sở Đặng Thùy Trâm", "Trạm Y tế xã Phước Đông", "Phòng Tài nguyên và Môi trường",
    "Phòng Lao động – Thương binh và Xã hội", "Trung tâm Dịch vụ việc làm", "Hạt Kiểm lâm Đắk Lắk",
    "Chi cục Chăn nuôi và Thú y", "Trường Mầm non Hướng Dương", "Bệnh viện Đa khoa khu vực Gò Dầu",
)  # fmt: skip
_BELOW: Final = 20


class MadeUnit(NamedTuple):
    """A row of an import file."""

    code: str
    old_code: str
    name: str
    parent: str


def made_units(count: int) -> Iterator[MadeUnit]:
    """`count` units, parents first; always the same ones."""
    top = demo_units(min(94, count))
    for unit in top:
        yield MadeUnit(unit.code, unit.old_code, unit.name, "")
    made = len(top)
    second = 0
    while made < count:
        above = top[second % len(top)]
        number = second // len(top) + 1
        code = f"{above.code}.{number:02}"
        old = f"000.{number:02}.00.{above.code}" if number < 100 else ""
        yield MadeUnit(code, old, f"{_SECOND[second % len(_SECOND)]} {number}, {above.name}", above.code)
        made += 1
        for third in range(1, min(_BELOW, count - made) + 1):
            name = f"{_THIRD[(second + third) % len(_THIRD)]} số {third}, {above.name}"
            yield MadeUnit(f"{code}.{third:02}", "", name, code)
        made += min(_BELOW, count - made)
        second += 1


def made_certificates(count: int, codes: list[str]) -> Iterator[tuple[str, str, str, bytes]]:
    """(organisation, usage, serial, 700 bytes in place of a certificate): two for each organisation."""
    for number in range(count):
        digest = hashlib.sha256(str(number).encode()).digest()
        yield codes[number // 2], ("tls", "sign")[number % 2], digest[:16].hex(), (digest * 22)[:700]
