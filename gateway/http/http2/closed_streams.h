// The streams of a client that were closed last, and by whom: what still comes for one that we have reset was
// on its way, what comes for one that the client has ended itself breaks the rules (RFC 9113 5.1). Member of
// a connection.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>

namespace penstock::http::http2 {

class ClosedStreams {
 public:
  enum class By : uint8_t {
    client,     // it has ended its side, or reset it
    us,         // it may not know yet
    nobody,     // it was never open
    forgotten,  // that is long ago
  };

  // The first word about a stream holds.
  void note(uint32_t id, By by) {
    bool known = false;  // all sixteen are compared at once: each request comes by here
    for (uint32_t each : last_) known |= (each & ~ours) == id;
    if (known) return;
    uint32_t& place = last_[next_++ % last_.size()];
    forgotten_ = std::max(forgotten_, place & ~ours);
    place = id | (by == By::us ? ours : 0);
  }
  By by_whom(uint32_t id) const {
    for (uint32_t each : last_)
      if ((each & ~ours) == id) return each & ours ? By::us : By::client;
    return id <= forgotten_ ? By::forgotten : By::nobody;
  }

 private:
  static constexpr uint32_t ours = uint32_t{1} << 31;
  std::array<uint32_t, 16> last_{};
  uint32_t forgotten_ = 0;  // none beyond it is
  uint32_t next_ = 0;
};

}  // namespace penstock::http::http2
