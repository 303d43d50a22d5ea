#include "proxy/websocket.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "net/digest.h"

namespace penstock::proxy {
namespace {
using http::HeaderId;

constexpr std::string_view guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr size_t key_size = 24;     // base64 of 16 bytes
constexpr size_t accept_size = 28;  // and of 20

// The one field of that name; null when there is none or more than one.
const http::Field* only(const http::Headers& headers, HeaderId id) {
  const http::Field* found = nullptr;
  for (const http::Field& field : headers.fields()) {
    if (field.id != id) continue;
    if (found) return nullptr;
    found = &field;
  }
  return found;
}

// In the one form that 16 bytes have: the last digit carries two bits, the others behind them are 0
// (RFC 4648 3.5).
bool good_key(std::string_view key) {
  return key.size() == key_size && key.ends_with("==") &&
         std::ranges::all_of(key.substr(0, key_size - 2),
                             [](char c) { return alphabet.find(c) != alphabet.npos; }) &&
         alphabet.find(key[key_size - 3]) % 16 == 0;
}

// RFC 4648 4.
template <size_t size>
std::array<char, (size + 2) / 3 * 4> base64(const std::array<uint8_t, size>& bytes) {
  std::array<char, (size + 2) / 3 * 4> out;
  out.fill('=');
  char* at = out.data();
  for (size_t i = 0; i < size; i += 3, at += 4) {
    uint32_t bits =
        bytes[i] << 16 | (i + 1 < size ? bytes[i + 1] << 8 : 0) | (i + 2 < size ? bytes[i + 2] : 0);
    size_t digits = std::min<size_t>(3, size - i) + 1;
    for (size_t d = 0; d < digits; ++d) at[d] = alphabet[bits >> (18 - 6 * d) & 63];
  }
  return out;
}

std::array<char, accept_size> accept_of(std::string_view key) {
  std::array<char, key_size + guid.size()> text;
  std::ranges::copy(guid, std::ranges::copy(key, text.begin()).out);
  return base64(net::sha1({text.data(), text.size()}));
}

}  // namespace

HandshakeFault handshake_fault(const http::Message& request) {
  if (request.method != http::Method::get) return {400, "a WebSocket handshake is a GET"};
  const http::Field* version = only(request.headers, HeaderId::sec_websocket_version);
  if (!version || version->value != "13") return {426, "the WebSocket version is 13"};
  if (must_upgrade(request)) return {};  // HTTP/2 knows no key
  const http::Field* key = only(request.headers, HeaderId::sec_websocket_key);
  if (!key || !good_key(key->value)) return {400, "Sec-WebSocket-Key is not the base64 form of 16 bytes"};
  return {};
}

void set_handshake_key(http::Message& request, uint64_t random, uint64_t more_random) {
  std::array<uint8_t, 16> bytes;
  std::memcpy(bytes.data(), &random, sizeof random);
  std::memcpy(bytes.data() + sizeof random, &more_random, sizeof more_random);
  const auto key = base64(bytes);
  request.headers.set(HeaderId::sec_websocket_key, request.headers.arena().copy({key.data(), key.size()}));
}

void set_handshake_accept(const http::Message& request, http::Message& response) {
  const http::Field* key = only(request.headers, HeaderId::sec_websocket_key);
  if (!key || key->value.size() != key_size) return;
  const auto accept = accept_of(key->value);
  response.headers.set(HeaderId::sec_websocket_accept,
                       response.headers.arena().copy({accept.data(), accept.size()}));
}

bool handshake_accepted(const http::Message& request, const http::Message& response) {
  const http::Field* key = only(request.headers, HeaderId::sec_websocket_key);
  const http::Field* accept = only(response.headers, HeaderId::sec_websocket_accept);
  if (!key || !accept || key->value.size() != key_size) return false;
  auto expected = accept_of(key->value);
  return accept->value == std::string_view(expected.data(), expected.size());
}

}  // namespace penstock::proxy
