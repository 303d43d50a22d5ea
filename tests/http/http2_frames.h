// Frames of HTTP/2 as bytes, for tests that play a client frame by frame, and the other way round as text.
// Headers are literals without Huffman codes or a table, so that a test says just what is sent; what the
// gateway sends is decoded by nghttp2's HPACK, which is not what is tested.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::test::h2 {

enum Type : uint8_t {
  data,
  headers,
  priority,
  rst_stream,
  settings,
  push_promise,
  ping,
  goaway,
  window_update,
  continuation
};
enum Flag : uint8_t { none = 0, end_stream = 1, ack = 1, end_headers = 4, padded = 8 };

using Fields = std::vector<std::pair<std::string, std::string>>;

inline constexpr std::string_view preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

std::string number(uint64_t value, int bytes);  // big-endian
std::string frame(Type type, int flags, uint32_t stream, std::string_view payload = {});
std::string hpack(const Fields& fields);
std::string head(uint32_t stream, const Fields& fields, int flags = end_stream | end_headers);
Fields get(std::string_view path = "/", std::string_view authority = "x");
Fields request(std::string_view method, std::string_view path, const Fields& more = {});
inline std::string body(uint32_t stream, std::string_view bytes, int flags = none) {
  return frame(data, flags, stream, bytes);
}
inline std::string reset(uint32_t stream, uint32_t code) {
  return frame(rst_stream, none, stream, number(code, 4));
}
inline std::string window(uint32_t stream, uint32_t by) {
  return frame(window_update, none, stream, number(by, 4));
}
std::string setting(const std::vector<std::pair<uint16_t, uint32_t>>& values);
// What every client begins with.
inline std::string hello() { return std::string(preface) + setting({}); }

// One connection's frames as lines of text: "SETTINGS", "HEADERS 1 :status=200 date=D END", "DATA 1 2 END",
// "RST 1 8", "GOAWAY 1 11", "WINDOW 1 100", "PING", "PING ACK".
class Reader {
 public:
  Reader();
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  // The frames that are whole with these bytes. SETTINGS and what acknowledges them are left out after the
  // first.
  std::vector<std::string> read(std::string_view bytes);
  std::string text(std::string_view bytes);  // the same, joined by " | "
  const std::string& body(uint32_t stream) { return bodies_[stream]; }
  const std::string& last_ping() const { return pings_.back(); }

 private:
  std::string fields(std::string_view block);
  std::string rest_;
  std::map<uint32_t, std::string> bodies_;
  std::vector<std::string> pings_;
  void* inflater_ = nullptr;
};

}  // namespace penstock::test::h2
