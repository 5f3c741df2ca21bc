"""Code lists of the national message format (QCVN 102:2016/BTTTT and amendment 1:2022), in Vietnamese."""

from __future__ import annotations

from typing import Final

__all__ = ["STATUSES"]

#: `StatusCode`: what is said about a document.
STATUSES: Final = {
    "01": "Đã đến",
    "02": "Từ chối tiếp nhận",
    "03": "Đã tiếp nhận",
    "04": "Phân công",
    "05": "Đang xử lý",
    "06": "Hoàn thành",
    "13": "Lấy lại",
    "15": "Đồng ý",
    "16": "Từ chối",
}
