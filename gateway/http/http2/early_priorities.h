// What a client says of its streams by PRIORITY_UPDATE (RFC 9218 7.1): the frame that is being read, and the
// last priorities of streams that are not open yet. Few clients send any: a piece of the loop's pool, made
// with the first and given back when nothing in it is to come. Owned by a connection.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <new>
#include <string_view>
#include <utility>

#include "base/sized_pool.h"
#include "http/http2/priority.h"

namespace penstock::http::http2 {

class EarlyPriorities {
 public:
  static void* operator new(size_t size, SizedPool& pool) {
    void* memory = pool.take(size);
    if (!memory) throw std::bad_alloc();
    return memory;
  }
  static void operator delete(void* memory) { SizedPool::give(memory); }
  static void operator delete(void* memory, SizedPool&) { SizedPool::give(memory); }

  void read(std::string_view bytes) { update_.add(bytes); }
  // The frame is whole.
  PriorityUpdate take() { return std::exchange(update_, {}); }

  // Who says it of more streams has the oldest forgotten.
  void keep(int32_t stream, Priority priority) { last_[next_++ % last_.size()] = {stream, priority}; }
  const Priority* of(int32_t stream) const {
    const Priority* found = nullptr;
    for (size_t i = 0; i < last_.size(); ++i) {  // from the oldest on
      const Early& each = last_[(next_ + i) % last_.size()];
      if (each.stream == stream) found = &each.priority;
    }
    return found;
  }
  // Of streams behind this one it knows nothing, and no frame is being read.
  bool over(int32_t last_stream) const {
    return update_.empty() &&
           std::ranges::all_of(last_, [=](const Early& each) { return each.stream <= last_stream; });
  }

 private:
  struct Early {
    int32_t stream = 0;  // none
    Priority priority;
  };
  std::array<Early, 4> last_{};
  PriorityUpdate update_;
  uint8_t next_ = 0;
};

}  // namespace penstock::http::http2
