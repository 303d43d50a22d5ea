// What a connection knows of a client that has ended its side while its exchange goes on. One that closed and
// one that only waits for its answer look the same until something is sent, so the first is looked for with
// one interim answer (RFC 9110 15.2: every HTTP/1.1 client has to expect them; the kernel of one that is gone
// answers with a reset), and both have limits.half_close_timeout without a byte moving either way. That is
// looked at a few times, so it strikes late by a quarter at most. Milliseconds; member of a connection.
#pragma once
#include <algorithm>
#include <cstdint>

#include "http/connection.h"

namespace penstock::http::http1 {

class HalfClose {
 public:
  enum class Step : uint8_t { wait, probe, give_up };

  void begin() { begun_ = true; }
  bool begun() const { return begun_; }
  void next_exchange() { watching_ = probed_ = false; }

  // `moved`: bytes of the connection so far, both ways. How long until look() is due.
  uint64_t patience_ms(const DownstreamSettings& settings, uint64_t now_ms, uint64_t moved) {
    if (!watching_) probe_at_ms_ = now_ms + settings.linger_ms;
    note(now_ms, moved);
    uint32_t timeout_ms = settings.half_close_timeout_ms;
    uint64_t next = std::min(progress_ms_ + timeout_ms, now_ms + std::max(1u, timeout_ms / looks));
    if (!probed_ && probe_at_ms_ > now_ms) next = std::min(next, probe_at_ms_);
    return next > now_ms ? next - now_ms : 0;
  }
  Step look(const DownstreamSettings& settings, uint64_t now_ms, uint64_t moved) {
    note(now_ms, moved);
    if (now_ms >= progress_ms_ + settings.half_close_timeout_ms) return Step::give_up;
    if (probed_ || now_ms < probe_at_ms_) return Step::wait;
    probed_ = true;
    return Step::probe;
  }
  // Somebody waits for this one's place: the probe is due.
  void hurry(uint64_t now_ms) { probe_at_ms_ = std::min(probe_at_ms_, now_ms); }
  // What was sent meanwhile was nothing that the client waits for.
  void disregard(uint64_t moved) { moved_ = moved; }
  // Something waits for the client: that is limits.send_timeout's.
  void count_from(uint64_t now_ms) { progress_ms_ = now_ms; }

 private:
  static constexpr uint32_t looks = 4;

  void note(uint64_t now_ms, uint64_t moved) {
    if (!watching_ || moved != moved_) progress_ms_ = now_ms;
    watching_ = true;
    moved_ = moved;
  }

  bool begun_ = false;     // for good
  bool watching_ = false;  // this exchange
  bool probed_ = false;    // once an exchange
  uint64_t probe_at_ms_ = 0;
  uint64_t progress_ms_ = 0;
  uint64_t moved_ = 0;
};

}  // namespace penstock::http::http1
