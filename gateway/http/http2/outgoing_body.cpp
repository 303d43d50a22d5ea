#include "http/http2/outgoing_body.h"

#include <utility>

#include "http/http2/outgoing_fields.h"

namespace penstock::http::http2 {

bool OutgoingBody::lend(std::string_view bytes) {
  if (state_ != Sending::body) return false;
  if (has_length_) {
    if (bytes.size() > left_) return false;
    left_ -= bytes.size();
  }
  sent_ += bytes.size();
  out.lend(bytes);
  dirty_ = true;
  return true;
}

bool OutgoingBody::finish() {
  if (state_ == Sending::ended) return true;
  if (state_ == Sending::nothing || left_ > 0) return false;
  state_ = Sending::ended;
  ended = dirty_ = true;
  return true;
}

bool OutgoingBody::keep_trailers(const Headers& trailers, Arena& arena) {
  constexpr uint64_t never = http1::request_fields | http1::bit(HeaderId::trailer);
  auto* kept = arena.make<Headers>(arena);
  for (const Field& field : trailers.fields()) {
    if (never & http1::bit(field.id)) continue;
    if (!http1::is_token(field.name) || http1::count_controls(field.value)) return false;
    kept->add(arena.copy(field.name), arena.copy(field.value));
  }
  if (!kept->empty()) ending_ = kept;
  return true;
}

bool OutgoingBody::end_with_trailers() {
  Headers* ending = std::exchange(ending_, nullptr);
  if (!ending) return false;
  OutgoingFields fields(ending->arena(), ending->size());
  if (!fields.add_all(*ending, 0)) return false;
  return nghttp2_submit_trailer(raw(), id_, fields.data(), fields.count()) == 0;
}

// Behind an empty DATA trailers would wait for a window, which they need not. They must not go before their
// head, though, which nghttp2 may keep back.
void OutgoingBody::wake() {
  const bool alone = ended && out.empty() && ending_ && nghttp2_session_find_stream(raw(), id_);
  if (alone && end_with_trailers()) return;
  if (!asleep || (!ended && out.empty())) return;
  asleep = false;
  nghttp2_session_resume_data(raw(), id_);
}

void OutgoingBody::keep_rest() {
  out.keep();
  rest_ = !out.empty();
  was_high_ |= out.size() > net::Transport::low_mark;
}

// Told as a transport tells it, at the low mark and at the end.
void OutgoingBody::on_given() {
  if (!rest_) return;
  if (out.empty())
    rest_ = was_high_ = false;
  else if (was_high_ && out.size() <= net::Transport::low_mark)
    was_high_ = false;
  else
    return;
  room_ = true;
  news();
}

}  // namespace penstock::http::http2
