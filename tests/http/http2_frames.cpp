#include "http2_frames.h"

#include <nghttp2/nghttp2.h>

#include <doctest/doctest.h>
#include <algorithm>
#include <array>

namespace penstock::test::h2 {
namespace {

constexpr size_t frame_head = 9;

uint64_t value(std::string_view bytes) {
  uint64_t out = 0;
  for (unsigned char byte : bytes) out = out << 8 | byte;
  return out;
}

// RFC 7541 5.1, with a prefix of 7 bits.
std::string text_of(std::string_view text) {
  std::string out;
  size_t left = text.size();
  if (left < 127) {
    out += static_cast<char>(left);
  } else {
    out += static_cast<char>(127);
    for (left -= 127; left >= 128; left /= 128) out += static_cast<char>(128 + left % 128);
    out += static_cast<char>(left);
  }
  return out.append(text);
}

}  // namespace

std::string number(uint64_t value, int bytes) {
  std::string out;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
  return out;
}

std::string frame(Type type, int flags, uint32_t stream, std::string_view payload) {
  std::string out = number(payload.size(), 3) + static_cast<char>(type) + static_cast<char>(flags);
  return out.append(number(stream, 4)).append(payload);
}

std::string hpack(const Fields& fields) {
  std::string out;
  for (const auto& [name, value] : fields) {
    out += '\0';  // a literal that nobody remembers (RFC 7541 6.2.2)
    out += text_of(name) + text_of(value);
  }
  return out;
}

std::string head(uint32_t stream, const Fields& fields, int flags) {
  return frame(headers, flags, stream, hpack(fields));
}

Fields request(std::string_view method, std::string_view path, const Fields& more) {
  Fields out{{":method", std::string(method)},
             {":scheme", "http"},
             {":path", std::string(path)},
             {":authority", "x"}};
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

Fields get(std::string_view path, std::string_view authority) {
  Fields out = request("GET", path);
  out.back().second = authority;
  return out;
}

std::string setting(const std::vector<std::pair<uint16_t, uint32_t>>& values) {
  std::string payload;
  for (auto [id, each] : values) payload += number(id, 2) + number(each, 4);
  return frame(settings, none, 0, payload);
}

Reader::Reader() {
  nghttp2_hd_inflater* made = nullptr;
  REQUIRE(nghttp2_hd_inflate_new(&made) == 0);
  inflater_ = made;
}

Reader::~Reader() { nghttp2_hd_inflate_del(static_cast<nghttp2_hd_inflater*>(inflater_)); }

std::string Reader::fields(std::string_view block) {
  auto* inflater = static_cast<nghttp2_hd_inflater*>(inflater_);
  std::string out;
  for (;;) {
    nghttp2_nv field;
    int flags = 0;
    const ssize_t used = nghttp2_hd_inflate_hd2(
        inflater, &field, &flags, reinterpret_cast<const uint8_t*>(block.data()), block.size(), 1);
    REQUIRE(used >= 0);
    block.remove_prefix(static_cast<size_t>(used));
    if (flags & NGHTTP2_HD_INFLATE_EMIT) {
      out += " " + std::string(reinterpret_cast<const char*>(field.name), field.namelen) + "=";
      out.append(reinterpret_cast<const char*>(field.value), field.valuelen);
    }
    if (flags & NGHTTP2_HD_INFLATE_FINAL) break;
    if (used == 0 && block.empty()) break;
  }
  nghttp2_hd_inflate_end_headers(inflater);
  return out;
}

std::vector<std::string> Reader::read(std::string_view bytes) {
  static constexpr std::array<std::string_view, 10> names{
      "DATA", "HEADERS", "PRIORITY", "RST", "SETTINGS", "PUSH", "PING", "GOAWAY", "WINDOW", "CONTINUATION"};
  rest_ += bytes;
  std::vector<std::string> out;
  while (rest_.size() >= frame_head) {
    const size_t size = value(rest_.substr(0, 3));
    if (rest_.size() < frame_head + size) break;
    const auto type = static_cast<uint8_t>(rest_[3]);
    const int flags = rest_[4];
    const auto stream = static_cast<uint32_t>(value(rest_.substr(5, 4)));
    const std::string payload = rest_.substr(frame_head, size);
    rest_.erase(0, frame_head + size);
    REQUIRE(type < names.size());
    std::string line(names[type]);
    if (stream > 0) line += " " + std::to_string(stream);
    switch (type) {
      case data:
        line += " " + std::to_string(size);
        bodies_[stream] += payload;
        break;
      case headers: line += fields(payload); break;
      case rst_stream: line += " " + std::to_string(value(payload)); break;
      case window_update:
        line = "WINDOW " + std::to_string(stream) + " " + std::to_string(value(payload));
        break;
      case goaway:
        line += " " + std::to_string(value(payload.substr(0, 4))) + " " +
                std::to_string(value(payload.substr(4, 4)));
        break;
      case settings:
        if (flags & ack) continue;
        break;
      case ping:
        if (flags & ack) line += " ACK";
        pings_.push_back(payload);
        break;
      default: break;
    }
    if ((type == data || type == headers) && (flags & end_stream)) line += " END";
    out.push_back(line);
  }
  return out;
}

std::string Reader::text(std::string_view bytes) {
  std::string out;
  for (const std::string& line : read(bytes)) out += (out.empty() ? "" : " | ") + line;
  return out;
}

}  // namespace penstock::test::h2
