"""What a reply says: the operators' numeric code, and a sentence in Vietnamese, then in English."""

from __future__ import annotations

from typing import Final

from axis.core.errors import Refusal

__all__ = ["DONE", "error_code", "sentence"]

DONE: Final = "Thành công."

#: Our stable codes by the codes of the public operator's guide; everything else is 20, a system error.
_NUMBERS: Final = {
    "header_too_large": 10,
    "not_authorised": 15,
    "system_unknown": 15,
    "signed_header_differs": 15,
    "timestamp_skewed": 15,
    "recipient_unknown": 18,
    "sender_not_registered": 19,
    "not_host_of_unit": 19,
    "sender_suspended": 19,
    "system_not_allowed": 19,
    "attachment_mismatch": 21,
    "packet_signature_invalid": 21,
    "recipient_suspended": 23,
}
_VIETNAMESE: Final = {
    "header_too_large": "Gói tin quá lớn. Giảm số lượng hoặc dung lượng tệp rồi gửi lại.",
    "not_authorised": "Thiếu thông tin xác thực. Kiểm tra các tiêu đề XroadVnpt-….",
    "system_unknown": "Mã hệ thống hoặc khóa bí mật không đúng. Kiểm tra lại cấu hình kết nối.",
    "signed_header_differs": "Tiêu đề đã ký khác với tiêu đề nhận được. Kiểm tra đường truyền rồi gửi lại.",
    "timestamp_skewed": "Thời gian gửi lệch quá mức cho phép. Đồng bộ đồng hồ rồi khởi tạo lại kết nối.",
    "recipient_unknown": "Đơn vị nhận không tồn tại trên trục. Cập nhật danh sách đơn vị rồi gửi lại.",
    "recipient_duplicate": "Đơn vị nhận bị lặp. Mỗi đơn vị chỉ nêu một lần.",
    "recipient_suspended": "Đơn vị nhận đang bị khóa.",
    "sender_not_registered": "Đơn vị gửi chưa đăng ký trên trục.",
    "sender_suspended": "Đơn vị gửi đang bị khóa.",
    "not_host_of_unit": "Đơn vị không do nút này phục vụ.",
    "unit_limit": "Đã đăng ký đủ số đơn vị cho phép. Đề nghị quản trị trục đăng ký thêm.",
    "system_not_allowed": "Hệ thống không được phép thực hiện thay cho đơn vị này.",
    "attachment_mismatch": "Mã băm của gói tin không khớp. Gửi lại gói tin.",
    "packet_signature_invalid": "Chữ ký số trong gói tin không hợp lệ.",
    "field_invalid": "Dữ liệu không hợp lệ.",
    "document_unknown": "Không tìm thấy văn bản.",
    "not_a_recipient": "Đơn vị không phải là nơi nhận của văn bản này.",
    "outcome_conflict": "Văn bản đã có kết quả khác.",
    "delivery_closed": "Lượt gửi nhận này đã đóng.",
    "route_unknown": "Không có thao tác này.",
    "rate_limited": "Quá nhiều yêu cầu. Thử lại sau.",
    "storage_full": "Nút không còn chỗ lưu trữ. Thử lại sau.",
    "shutting_down": "Nút đang dừng. Thử lại sau.",
    "unavailable": "Hệ thống tạm thời không phục vụ được. Thử lại sau.",
}


def error_code(refusal: Refusal) -> int:
    """The numeric code of a refusal; one that a part names itself (edXML: 21, 22) comes first."""
    named = refusal.extra.get("vxp")
    return named if isinstance(named, int) else _NUMBERS.get(refusal.name, 20)


def sentence(refusal: Refusal) -> str:
    """What is wrong and what to do: Vietnamese, the English detail, our stable code in brackets."""
    named = refusal.extra.get("vi")
    vietnamese = _VIETNAMESE.get(refusal.name, "Lỗi hệ thống.")
    if isinstance(named, str):
        vietnamese = f"{vietnamese[:-1]}: {named}."
    return f"{vietnamese} / {refusal.detail} [{refusal.name}]"
