// gRPC-Web to gRPC and back, for one call: the request's base64 is read, the answer's trailers become the
// last frame of its body, and base64 where the client wants text. No message is put together: bytes go on as
// they come. Lives in its request's arena.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "http/message.h"
#include "proxy/grpc.h"

namespace penstock::proxy {

// Base64 (RFC 4648 4) that comes in pieces. Each group of four may end in padding: senders write what they
// have when they have it.
class Base64Reader {
 public:
  struct Read {
    size_t taken, made;
    bool good;
  };
  // As much of `text` as `out` has room for; out needs 3 bytes at least.
  Read read(std::string_view text, std::span<char> out);
  bool whole() const { return count_ == 0; }  // not in the middle of a group

 private:
  uint32_t bits_ = 0;
  uint8_t count_ = 0;    // characters of the group
  uint8_t padding_ = 0;  // of them, "="
};

constexpr size_t base64_size(size_t bytes) { return (bytes + 2) / 3 * 4; }
// base64_size(bytes.size()) bytes, padded.
void write_base64(std::string_view bytes, char* out);

// Where messages end: five bytes stand before each, a flag and its length. What comes in between belongs to
// the message, whatever it is meant to be.
class MessageEnds {
 public:
  void pass(std::string_view bytes);
  bool at_end() const { return prefix_ == 0 && left_ == 0; }

 private:
  uint32_t left_ = 0;   // of the message; while its prefix comes, what is known of its length
  uint8_t prefix_ = 0;  // bytes of it that were there
};

struct GrpcWeb {
  Grpc asks = Grpc::web;     // how the request comes
  Grpc answers = Grpc::web;  // how the answer goes, while one is translated
  bool translates = false;   // an answer that is gRPC is under way
  Base64Reader reader;
  MessageEnds answer;                     // what was passed on of it
  const http::Headers* ending = nullptr;  // of an answer without a body, what its head had of trailers
};

// The head of such a request as a backend of gRPC takes it.
void to_grpc(http::Message& request, Grpc kind);
// The last frame of an answer's body: its trailers (flag 0x80, length, lines of HTTP/1), not in base64 yet.
std::string_view trailer_frame(Arena& arena, const http::Headers& trailers);

}  // namespace penstock::proxy
