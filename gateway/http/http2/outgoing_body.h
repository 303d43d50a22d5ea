// What a stream sends behind its head, whichever end of its connection it is: bytes, no more and no fewer
// than were announced, then trailers or nothing. Base of a stream, which says what becomes of one that breaks
// that; one loop.
#pragma once
#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <string_view>

#include "http/http2/session.h"
#include "http/message.h"

namespace penstock::http::http2 {

class OutgoingBody : public BodySource {
 protected:
  enum class Sending : uint8_t { nothing, body, ended };

  explicit OutgoingBody(BlockPool& pool, int32_t id = 0) : BodySource(pool), id_(id) {}
  ~OutgoingBody() = default;

  // What a head promises of the body behind it.
  void announce(const Message& head) {
    has_length_ = head.body == BodyKind::length;
    left_ = has_length_ ? head.content_length : 0;
  }
  // False: that is not what was announced.
  [[nodiscard]] bool lend(std::string_view bytes);
  [[nodiscard]] bool finish();
  // Copies those that may go; false: one of them could not stand in a message.
  [[nodiscard]] bool keep_trailers(const Headers& trailers, Arena& arena);

  // nghttp2 is to ask for what has come since it asked last.
  void wake();
  // What could not leave is kept, and on_given() tells when there is room again.
  void keep_rest();

  virtual nghttp2_session* raw() const = 0;
  virtual void news() = 0;  // room_ is to be told

  bool end_with_trailers() override;
  void on_given() override;

  int32_t id_;  // 0: nghttp2 knows of nothing yet
  Sending state_ = Sending::nothing;
  bool has_length_ : 1 = false;
  bool dirty_ : 1 = false;     // sent something since the last flush
  bool rest_ : 1 = false;      // and the last flush left some
  bool was_high_ : 1 = false;  // over the low mark then
  bool room_ : 1 = false;      // and its handler is to be told that there is room again
  uint64_t sent_ = 0;
  uint64_t left_ = 0;  // of the announced length

 private:
  Headers* ending_ = nullptr;  // in the stream's arena
};

}  // namespace penstock::http::http2
