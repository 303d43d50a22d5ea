// How urgent an answer is (RFC 9218 4), as a `priority` field or a PRIORITY_UPDATE says it. Plain values.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace penstock::http::http2 {

struct Priority {
  uint8_t urgency = 3;  // 0 to 7, 0 first
  bool incremental = false;

  // Takes over what the field says; what it does not say, or not as RFC 9218 wants it, stays.
  void merge(std::string_view field);
  bool operator==(const Priority&) const = default;
};

// A PRIORITY_UPDATE as it comes (RFC 9218 7.1). Of a field that is longer than any that says something only
// the stream is known.
class PriorityUpdate {
 public:
  void add(std::string_view bytes) {
    const size_t part = std::min(bytes.size(), text_.size() - size_);
    std::copy_n(bytes.data(), part, text_.data() + size_);
    size_ += static_cast<uint8_t>(part);
    whole_ &= part == bytes.size();
  }
  bool empty() const { return size_ == 0; }
  bool has_stream() const { return size_ >= id_size; }
  bool whole() const { return whole_; }
  int32_t stream() const {
    uint32_t id = 0;
    for (size_t i = 0; i < id_size; ++i) id = id << 8 | static_cast<uint8_t>(text_[i]);
    return static_cast<int32_t>(id & 0x7fffffff);
  }
  std::string_view field() const { return {text_.data() + id_size, size_ - id_size}; }

 private:
  static constexpr size_t id_size = 4;
  std::array<char, id_size + 26> text_{};
  uint8_t size_ = 0;
  bool whole_ = true;
};

}  // namespace penstock::http::http2
