// The gateway's parser over a buffer, as values that can be compared.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/http1/parser.h"

namespace penstock::fuzz {

using FieldList = std::vector<std::pair<std::string, std::string>>;

struct Read {
  enum class Outcome { whole, partial, refused } outcome = Outcome::partial;
  std::string reason, text;  // refused
  bool head = false;
  std::string method, target, path, query, authority, upgrade;
  bool has_query = false, expect = false, trailers_accepted = false;
  int status = 0;
  std::string phrase;
  int minor = 1;
  FieldList fields;
  http::BodyKind kind = http::BodyKind::none;
  bool has_length = false;
  uint64_t length = 0;
  http::http1::BodyEnd end = http::http1::BodyEnd::none;
  bool persistent = false;
  std::string body;
  FieldList trailers;
  size_t size = 0;  // bytes used, when whole
  std::vector<std::pair<int, FieldList>> interim;

  friend bool operator==(const Read&, const Read&) = default;
  std::string show() const;
};

inline constexpr http::http1::HeadLimits limits{4096, 48, UINT32_MAX, 4096, 48};

// How the bytes come: all at once, one by one, or cut by a sequence that `seed` gives.
enum class Cut { whole, bytewise, irregular };
enum class Stream { open, closed };  // whether the peer ends its side behind them

// An input of the response targets: the first byte says what was asked and whether the backend closes.
struct ResponseInput {
  explicit ResponseInput(std::string_view input)
      : asked{input[0] & 1 ? http::Method::head : http::Method::get, input[0] & 2 ? "websocket" : ""},
        stream(input[0] & 4 ? Stream::closed : Stream::open),
        bytes(input.substr(1)) {}
  http::http1::Asked asked;
  Stream stream;
  std::string_view bytes;
};

Read read_message(http::http1::Side side, std::string_view bytes, Cut cut, Stream stream,
                  const http::http1::Asked& asked = {});
// The same by all cuts, which must not matter; where an error lies behind data, how much data came before it
// is not compared.
Read read_in_every_way(http::http1::Side side, std::string_view bytes, Stream stream,
                       const http::http1::Asked& asked = {});

}  // namespace penstock::fuzz
