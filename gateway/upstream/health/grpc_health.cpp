#include "upstream/health/grpc_health.h"

#include <algorithm>
#include <cstring>

namespace penstock::upstream::grpc_health {
namespace {

// Wire types of protobuf; groups (3, 4) are of no message that is sent to us.
enum : uint64_t { varint = 0, fixed_64 = 1, counted = 2, fixed_32 = 5 };
constexpr uint64_t max_field_number = (1u << 29) - 1;

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

// Takes a number off the front; nothing when it does not end, or has more than 64 bits.
std::optional<uint64_t> take_varint(std::string_view& from) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !from.empty(); shift += 7) {
    auto byte = static_cast<uint8_t>(from.front());
    from.remove_prefix(1);
    if (shift == 63 && byte > 1) return {};
    value |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return value;
  }
  return {};
}

bool skip(std::string_view& from, uint64_t size) {
  if (size > from.size()) return false;
  from.remove_prefix(static_cast<size_t>(size));
  return true;
}

bool skip_field(std::string_view& from, uint64_t type) {
  switch (type) {
    case varint: return take_varint(from).has_value();
    case fixed_64: return skip(from, 8);
    case fixed_32: return skip(from, 4);
    case counted: {
      auto size = take_varint(from);
      return size && skip(from, *size);
    }
    default: return false;
  }
}

}  // namespace

std::string request(std::string_view service) {
  std::string message;
  if (!service.empty()) {
    message += '\x0a';  // field 1, counted
    put_varint(message, service.size());
    message += service;
  }
  std::string out(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(message.size() >> shift);
  return out + message;
}

std::optional<uint64_t> read_status(std::string_view message) {
  uint64_t status = 0;
  while (!message.empty()) {
    auto tag = take_varint(message);
    if (!tag) return {};
    uint64_t number = *tag >> 3, type = *tag & 7;
    if (number == 0 || number > max_field_number) return {};
    if (number != 1) {
      if (!skip_field(message, type)) return {};
      continue;
    }
    if (type != varint) return {};
    auto value = take_varint(message);
    if (!value) return {};
    status = *value;  // of several the last one
  }
  return status;
}

size_t AnswerReader::message_size() const {
  size_t size = 0;
  for (size_t i = 1; i < prefix_size; ++i) size = size << 8 | static_cast<uint8_t>(bytes_[i]);
  return size;
}

bool AnswerReader::feed(std::string_view bytes) {
  if (bad_) return false;
  size_t room = bytes_.size() - size_;
  size_t taken = std::min(room, bytes.size());
  std::memcpy(bytes_.data() + size_, bytes.data(), taken);
  size_ += taken;
  bad_ = taken < bytes.size() || (size_ > 0 && bytes_[0] != 0) ||
         (size_ >= prefix_size && size_ - prefix_size > message_size()) ||
         (size_ >= prefix_size && message_size() > max_message);
  return !bad_;
}

std::optional<uint64_t> AnswerReader::status() const {
  if (bad_ || size_ < prefix_size || size_ - prefix_size != message_size()) return {};
  return read_status({bytes_.data() + prefix_size, size_ - prefix_size});
}

}  // namespace penstock::upstream::grpc_health
