// Why a peer is not being read: named bits instead of a count, so that a pause can be printed and cannot
// leak. A transport reads only while no bit is set.
#pragma once
#include <cstdint>
#include <string>

namespace penstock {

enum class PauseReason : uint8_t {
  sink_full = 1,  // the other side's send queue is over its high mark
  pipelined = 2,  // an HTTP/1 client sent the next request before this answer was over
  waiting = 4,    // the request body is held back while no upstream is connected yet
  plugin = 8,     // a plugin asked for time
};

class PauseReasons {
 public:
  bool any() const { return bits_ != 0; }
  bool has(PauseReason reason) const { return bits_ & static_cast<uint8_t>(reason); }
  // true when the first bit was set, or the last one cleared.
  bool set(PauseReason reason) {
    bool was = any();
    bits_ |= static_cast<uint8_t>(reason);
    return !was;
  }
  bool clear(PauseReason reason) {
    bool was = any();
    bits_ &= static_cast<uint8_t>(~static_cast<uint8_t>(reason));
    return was && !any();
  }

 private:
  uint8_t bits_ = 0;
};

}  // namespace penstock
