// Clients that take next to nothing of what is sent to them, those that are stuck longest first: who goes
// last when newcomers want their places. Nobody tells of them, so the door looks at all from time to time,
// and only while a newcomer finds no place. A kernel opens its window in lumps of a part of its buffer, so a
// client that reads on and on may seem to take nothing for many seconds. Knows neither sockets nor places.
// One thread; milliseconds of Loop::now_ms.
#pragma once
#include <algorithm>
#include <cstdint>
#include <set>
#include <tuple>

namespace penstock::server {

class SlowReaders;

class Reader {
 public:
  Reader() = default;
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  inline virtual ~Reader();
  // What its kernel has taken so far, while more waits for it here; UINT64_MAX otherwise. A system call.
  virtual uint64_t taken() const = 0;
  // When there was last room for a byte to it.
  virtual uint64_t sent_ms() const = 0;

 private:
  friend class SlowReaders;
  SlowReaders* of_ = nullptr;  // looked at, and something waited
  uint64_t mark_ = 0;          // taken() when its patience began
  uint64_t patience_ms_ = 0;   // in which it has to keep the rate
  uint64_t sent_when_seen_ = 0;
  uint64_t ripe_ms_ = 0;  // the end of that
};

class SlowReaders {
 public:
  // Nobody goes before it was looked at for so long,
  static constexpr uint64_t seen_ms = 5'000;
  // or has taken too little for so long: at first, and after it was seen to keep the rate.
  static constexpr uint64_t stuck_ms = 10'000, steady_ms = 30'000;

  // rate: bytes a second; 0: any byte will do.
  void look(Reader& reader, uint64_t now_ms, uint32_t rate) {
    const uint64_t taken = reader.taken();
    if (taken == UINT64_MAX) return forget(reader);
    const bool known = reader.of_ != nullptr;
    if (known && taken - reader.mark_ < std::max<uint64_t>(1, rate * reader.patience_ms_ / 1'000)) return;
    forget(reader);
    reader.of_ = this;
    reader.mark_ = taken;
    reader.patience_ms_ = known ? steady_ms : stuck_ms;
    reader.sent_when_seen_ = reader.sent_ms();
    reader.ripe_ms_ =
        known ? now_ms + steady_ms : std::max(reader.sent_when_seen_ + stuck_ms, now_ms + seen_ms);
    readers_.insert(key(reader));
  }
  void forget(Reader& reader) {
    if (!reader.of_) return;
    readers_.erase(key(reader));
    reader.of_ = nullptr;
  }
  // Null: all of them take enough, or were not looked at for long enough.
  Reader* slowest(uint64_t now_ms, uint32_t rate) {
    while (!readers_.empty() && std::get<0>(*readers_.begin()) <= now_ms) {
      Reader& reader = *std::get<Reader*>(*readers_.begin());
      const uint64_t ripe_ms = reader.ripe_ms_;
      look(reader, now_ms, rate);
      if (reader.of_ && reader.ripe_ms_ == ripe_ms) return &reader;
    }
    return nullptr;
  }

 private:
  using Key = std::tuple<uint64_t, uint64_t, Reader*>;
  static Key key(Reader& reader) { return {reader.ripe_ms_, reader.sent_when_seen_, &reader}; }

  std::set<Key> readers_;
};

Reader::~Reader() {
  if (of_) of_->forget(*this);
}

}  // namespace penstock::server
