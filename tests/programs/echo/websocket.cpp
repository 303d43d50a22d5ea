#include "echo/websocket.h"

#include <openssl/evp.h>

#include <array>

namespace echo {
namespace {
constexpr unsigned opcode_close = 8, opcode_ping = 9, opcode_pong = 10;
}

bool is_websocket(const Request& request) {
  return equal_ignoring_case(request.header("upgrade"), "websocket") &&
         contains_token(request.header("connection"), "upgrade");
}

std::string websocket_accept(std::string_view key) {
  std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &length, EVP_sha1(), nullptr);
  std::array<unsigned char, 64> encoded{};
  int size = EVP_EncodeBlock(encoded.data(), digest.data(), static_cast<int>(length));
  return {encoded.begin(), encoded.begin() + size};
}

FrameResult echo_frame(std::string_view input, size_t& consumed, std::string& output) {
  auto byte = [&](size_t at) { return static_cast<unsigned char>(input[at]); };
  if (input.size() < 2) return FrameResult::incomplete;
  unsigned opcode = byte(0) & 15;
  bool masked = byte(1) & 0x80;
  uint64_t length = byte(1) & 0x7f;
  size_t at = 2;
  size_t extended = length == 126 ? 2 : length == 127 ? 8 : 0;
  if (input.size() < at + extended) return FrameResult::incomplete;
  if (extended != 0) length = 0;
  for (size_t i = 0; i < extended; ++i) length = length << 8 | byte(at++);
  size_t mask_at = at;
  if (masked) at += 4;
  if (input.size() < at || input.size() - at < length) return FrameResult::incomplete;

  if (opcode != opcode_pong) {
    auto answer = static_cast<char>(opcode == opcode_ping ? 0x80 | opcode_pong : byte(0));
    output += answer;
    output += static_cast<char>(byte(1) & 0x7f);
    output.append(input.substr(2, extended));
    for (uint64_t i = 0; i < length; ++i)
      output += static_cast<char>(masked ? byte(at + i) ^ byte(mask_at + i % 4) : byte(at + i));
  }
  consumed += at + length;
  return opcode == opcode_close ? FrameResult::closed : FrameResult::echoed;
}

}  // namespace echo
