#include "proxy/grpc_web.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace penstock::proxy {
namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t not_base64 = 0xff;

constexpr std::array<uint8_t, 256> values = [] {
  std::array<uint8_t, 256> table{};
  table.fill(not_base64);
  for (size_t i = 0; i < alphabet.size(); ++i)
    table[static_cast<unsigned char>(alphabet[i])] = static_cast<uint8_t>(i);
  return table;
}();

}  // namespace

Base64Reader::Read Base64Reader::read(std::string_view text, std::span<char> out) {
  size_t made = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (count_ == 3 && made + 3 > out.size()) return {i, made, true};
    const char c = text[i];
    const bool pad = c == '=' && count_ >= 2;
    const uint8_t value = values[static_cast<unsigned char>(c)];
    if (!pad && (value == not_base64 || padding_ > 0)) return {i, made, false};
    padding_ += pad;
    bits_ = bits_ << 6 | (pad ? 0u : value);
    if (++count_ < 4) continue;
    for (unsigned byte = 0; byte < 3u - padding_; ++byte)
      out[made++] = static_cast<char>(bits_ >> (16 - 8 * byte) & 0xff);
    bits_ = 0;
    count_ = padding_ = 0;
  }
  return {text.size(), made, true};
}

void write_base64(std::string_view bytes, char* out) {
  auto at = [&](size_t i) { return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0u; };
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const uint32_t bits = at(i) << 16 | at(i + 1) << 8 | at(i + 2);
    const size_t left = bytes.size() - i;
    *out++ = alphabet[bits >> 18];
    *out++ = alphabet[bits >> 12 & 63];
    *out++ = left > 1 ? alphabet[bits >> 6 & 63] : '=';
    *out++ = left > 2 ? alphabet[bits & 63] : '=';
  }
}

void MessageEnds::pass(std::string_view bytes) {
  constexpr uint8_t prefix_size = 5;
  while (!bytes.empty()) {
    if (prefix_ == 0 && left_ > 0) {
      const size_t part = std::min<size_t>(left_, bytes.size());
      left_ -= static_cast<uint32_t>(part);
      bytes.remove_prefix(part);
      continue;
    }
    if (prefix_++ > 0) left_ = left_ << 8 | static_cast<unsigned char>(bytes.front());
    if (prefix_ == prefix_size) prefix_ = 0;
    bytes.remove_prefix(1);
  }
}

void to_grpc(http::Message& request, Grpc kind) {
  http::Headers& headers = request.headers;
  const std::string_view format = grpc::format_of(headers.get(http::HeaderId::content_type));
  headers.set(http::HeaderId::content_type, grpc::content_type(headers.arena(), Grpc::native, format));
  headers.remove(http::HeaderId::accept);  // it names what we make of the answer
  request.accepts_trailers = true;
  if (kind != Grpc::web_text || request.body == http::BodyKind::none) return;
  request.body = http::BodyKind::unknown;
  request.has_content_length = false;
  request.content_length = 0;
}

std::string_view trailer_frame(Arena& arena, const http::Headers& trailers) {
  constexpr size_t head = 5;
  size_t size = 0;
  for (const http::Field& field : trailers.fields()) size += field.name.size() + field.value.size() + 4;
  char* frame = static_cast<char*>(arena.allocate(head + size, 1));
  frame[0] = static_cast<char>(0x80);
  for (size_t i = 0; i < 4; ++i) frame[1 + i] = static_cast<char>(size >> (24 - 8 * i) & 0xff);
  char* at = frame + head;
  auto put = [&at](std::string_view text) {
    if (!text.empty()) std::memcpy(at, text.data(), text.size());
    at += text.size();
  };
  for (const http::Field& field : trailers.fields()) {
    put(field.name);
    put(": ");
    put(field.value);
    put("\r\n");
  }
  return {frame, head + size};
}

}  // namespace penstock::proxy
