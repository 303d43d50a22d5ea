// Clients that take next to nothing of what is sent to them, those that are stuck longest first: who goes
// last when newcomers want their places. Nobody tells of them, so the door looks at all from time to time,
// and only while a newcomer finds no place. A kernel opens its window in lumps of a part of its buffer, so a
// client that reads on and on may seem to take nothing for many seconds. Knows neither sockets nor places.
// One thread; milliseconds of Loop::now_ms.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <set>
#include <tuple>

namespace penstock::server {

template <class Self>
class SlowReaders;

// Base of what can be one: a pointer, since every connection is one and few are slow. `Self` has
//   uint64_t taken() const    what its kernel has taken so far, while more waits for it here; UINT64_MAX
//                             otherwise. A system call.
//   uint64_t sent_ms() const  when there was last room for a byte to it.
template <class Self>
class Reader {
 public:
  Reader() = default;
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() {
    if (seen_) seen_->of.forget(*this);
  }

 private:
  friend class SlowReaders<Self>;
  struct Seen {
    SlowReaders<Self>& of;
    uint64_t mark;         // taken() when its patience began
    uint64_t patience_ms;  // in which it has to keep the rate
    uint64_t sent_ms;
    uint64_t ripe_ms;  // the end of that
  };
  std::unique_ptr<Seen> seen_;  // null: not looked at, or nothing waited
};

template <class Self>
class SlowReaders {
 public:
  // Nobody goes before it was looked at for so long,
  static constexpr uint64_t seen_ms = 5'000;
  // or has taken too little for so long: at first, and after it was seen to keep the rate.
  static constexpr uint64_t stuck_ms = 10'000, steady_ms = 30'000;

  // rate: bytes a second; 0: any byte will do.
  void look(Reader<Self>& reader, uint64_t now_ms, uint32_t rate) {
    const uint64_t taken = self(reader).taken();
    if (taken == UINT64_MAX) return forget(reader);
    const bool known = reader.seen_ != nullptr;
    if (known && taken - reader.seen_->mark < std::max<uint64_t>(1, rate * reader.seen_->patience_ms / 1'000))
      return;
    forget(reader);
    const uint64_t sent_ms = self(reader).sent_ms();
    const uint64_t ripe_ms = known ? now_ms + steady_ms : std::max(sent_ms + stuck_ms, now_ms + seen_ms);
    reader.seen_.reset(
        new typename Reader<Self>::Seen{*this, taken, known ? steady_ms : stuck_ms, sent_ms, ripe_ms});
    readers_.insert(key(reader));
  }
  void forget(Reader<Self>& reader) {
    if (!reader.seen_) return;
    readers_.erase(key(reader));
    reader.seen_.reset();
  }
  // Null: all of them take enough, or were not looked at for long enough.
  Self* slowest(uint64_t now_ms, uint32_t rate) {
    while (!readers_.empty() && std::get<0>(*readers_.begin()) <= now_ms) {
      Reader<Self>& reader = *std::get<Reader<Self>*>(*readers_.begin());
      const uint64_t ripe_ms = reader.seen_->ripe_ms;
      look(reader, now_ms, rate);
      if (reader.seen_ && reader.seen_->ripe_ms == ripe_ms) return &self(reader);
    }
    return nullptr;
  }

 private:
  using Key = std::tuple<uint64_t, uint64_t, Reader<Self>*>;
  static Self& self(Reader<Self>& reader) { return static_cast<Self&>(reader); }
  static Key key(Reader<Self>& reader) { return {reader.seen_->ripe_ms, reader.seen_->sent_ms, &reader}; }

  std::set<Key> readers_;
};

}  // namespace penstock::server
