// A second reading of HTTP/1 messages, straight from the grammar of RFC 9110 and RFC 9112: slow, simple, over
// whole buffers, sharing no line with the gateway. Where the RFCs let a recipient choose, it refuses, but for
// what its comments name. The tables and the fuzzers compare the gateway with it, and read with it what a
// backend or a client received.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace reference {

struct Field {
  std::string name;   // as sent
  std::string value;  // without the blanks around it
  std::string raw;    // with them
};
using Fields = std::vector<Field>;

enum class Ends { nowhere, by_length, by_chunks, by_close, by_switching };

// One message as far as it is there.
struct Message {
  std::string method, target;  // request
  int status = 0;              // response
  std::string phrase;
  int minor = 1;  // of HTTP/1.x
  Fields fields;
  bool head_read = false;
  Ends ends = Ends::nowhere;
  uint64_t length = 0;  // declared by Content-Length
  bool has_length = false;
  std::string body;
  Fields trailers;
  size_t head_size = 0;  // with an empty line before it
  size_t size = 0;       // of the whole message

  std::string value(std::string_view lower_name) const;  // of the first such field
  size_t count(std::string_view lower_name) const;
};

enum class Outcome { whole, partial, refused };
struct Reading {
  Outcome outcome = Outcome::partial;
  std::string why;  // refused
  Message message;
};

Reading read_request(std::string_view bytes);

// One response, an interim one too. `closed`: nothing comes after these bytes.
struct Question {
  std::string method = "GET";
  bool upgrade = false;
};
enum class Stream { open, closed };
Reading read_response(std::string_view bytes, const Question& question, Stream stream);

// uri-host [":" port] of RFC 9110 7.2 and RFC 3986 3.2.2, without user information; may be empty.
bool is_authority(std::string_view text);
bool is_token(std::string_view text);
std::string lower(std::string_view text);
// The elements of a comma-separated list without empty ones.
std::vector<std::string> list(std::string_view text);

}  // namespace reference
