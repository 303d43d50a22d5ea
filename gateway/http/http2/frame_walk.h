// Where the frames of a connection begin: cuts what was read so that nghttp2 gets one frame at a time, and
// its owner sees each head before, also of those that nghttp2 passes over in silence. Member of a session.
#pragma once
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>

namespace penstock::http::http2 {

class FrameWalk {
 public:
  // `preface`: bytes in front of the first frame.
  explicit FrameWalk(size_t preface) : left_(preface) {}

  // How many of the bytes, which are not empty, belong together: to the end of the frame, or all. The head of
  // a frame is told, once, with the part in which it becomes whole; of PRIORITY its dependency belongs to it.
  template <class OnHead>
  size_t next(std::span<const char> bytes, OnHead on_head) {
    if (left_ > 0) return take(bytes.size());
    size_t part = fill(bytes, head_size);
    const size_t whole = known_ >= head_size && has_dependency() ? head_.size() : head_size;
    part += fill(bytes.subspan(part), whole);
    if (known_ < whole) return part;
    const nghttp2_frame_hd head = parsed();
    left_ = static_cast<uint32_t>(head.length - (whole - head_size));
    on_head(head);
    known_ = 0;
    return part + take(bytes.size() - part);
  }
  // Within on_head of a PRIORITY: RFC 7540 5.3.1.
  bool depends_on_itself() const {
    return known_ > head_size && (number(head_size, 4) & 0x7fffffff) == (number(5, 4) & 0x7fffffff);
  }

 private:
  size_t take(size_t most) {
    const size_t part = std::min<size_t>(left_, most);
    left_ -= static_cast<uint32_t>(part);
    return part;
  }
  size_t fill(std::span<const char> bytes, size_t until) {
    if (known_ >= until) return 0;
    const size_t part = std::min(until - known_, bytes.size());
    std::memcpy(head_.data() + known_, bytes.data(), part);
    known_ += static_cast<uint8_t>(part);
    return part;
  }
  bool has_dependency() const { return head_[3] == NGHTTP2_PRIORITY && number(0, 3) >= 4; }
  uint32_t number(size_t from, size_t size) const {
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i) value = value << 8 | head_[from + i];
    return value;
  }
  nghttp2_frame_hd parsed() const {
    return {number(0, 3), static_cast<int32_t>(number(5, 4) & 0x7fffffff), head_[3], head_[4], 0};
  }

  static constexpr size_t head_size = 9;
  uint32_t left_;  // of the preface, or of a payload
  uint8_t known_ = 0;
  std::array<uint8_t, head_size + 4> head_{};
};

}  // namespace penstock::http::http2
