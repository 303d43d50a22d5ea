// The fields of a message that is to be sent, as nghttp2 takes them: it copies them when the message is
// submitted, so the texts have to stay until then, and the list of a usual message lies on the stack.
#pragma once
#include <nghttp2/nghttp2.h>

#include <charconv>
#include <cstdint>
#include <string_view>

#include "http/headers.h"
#include "http/http1/framing.h"
#include "http/http1/syntax.h"

namespace penstock::http::http2 {

// Of a known field. One whose value is another in each message would drive out of HPACK's table what repeats,
// and a secret is to be in no table (RFC 7541 7.1.3; the library sees to authorization and short cookies).
inline uint8_t flags_of(HeaderId id) {
  constexpr uint64_t never_indexed =
      http1::bit(HeaderId::x_request_id) | http1::bit(HeaderId::x_correlation_id) |
      http1::bit(HeaderId::traceparent) | http1::bit(HeaderId::tracestate) | http1::bit(HeaderId::x_api_key);
  return never_indexed & http1::bit(id) ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
}

class OutgoingFields {
 public:
  OutgoingFields(Arena& arena, size_t most)
      : fields_(most <= few ? few_ : arena.make_array<nghttp2_nv>(most).data()) {}
  OutgoingFields(const OutgoingFields&) = delete;
  OutgoingFields& operator=(const OutgoingFields&) = delete;

  void add(std::string_view name, std::string_view value, uint8_t flags = NGHTTP2_NV_FLAG_NONE) {
    fields_[count_++] = {bytes(name), bytes(value), name.size(), value.size(), flags};
    size_ += name.size() + value.size() + overhead;
  }
  // False: one of them could not stand in a message.
  bool add_all(const Headers& headers, uint64_t without) {
    for (const Field& field : headers.fields()) {
      if (without & http1::bit(field.id)) continue;
      if (!http1::is_token(field.name) || http1::count_controls(field.value) != 0) return false;
      add(field.name, field.value, flags_of(field.id));
    }
    return true;
  }
  const nghttp2_nv* data() const { return fields_; }
  size_t count() const { return count_; }
  size_t size() const { return size_; }  // as SETTINGS_MAX_HEADER_LIST_SIZE counts

 private:
  static constexpr size_t overhead = 32;  // of a field, RFC 9113 6.5.2
  static constexpr size_t few = 24;

  static uint8_t* bytes(std::string_view text) {
    return const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(text.data()));
  }

  nghttp2_nv* fields_;
  size_t count_ = 0;
  size_t size_ = 0;
  nghttp2_nv few_[few];  // not set before add(): there is one for each message
};

// A number's text, as long as it lives.
struct NumberText {
  char text[20];
  std::string_view operator()(uint64_t value) {
    return {text, static_cast<size_t>(std::to_chars(text, text + sizeof text, value).ptr - text)};
  }
};

}  // namespace penstock::http::http2
