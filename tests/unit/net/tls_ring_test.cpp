// The ring of ticket keys between threads, in the way the daemon uses it; meant for TSan.
#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <memory>
#include <thread>

#include "net/loop.h"
#include "net/tls_tickets.h"

using namespace penstock::net;

namespace {

// A worker: it has the keys that were posted to it last, and uses them all the while.
struct Reader {
  explicit Reader(std::shared_ptr<const TicketKeys> first)
      : keys(std::move(first)), thread([this] { loop.serve(); }) {
    loop.post([this] { read(); });
  }
  void read() {
    const TicketKey& current = keys->encrypting();
    good = good && keys->find(current.name.data()) == &current;
    ++reads;
    if (!stopped) loop.post([this] { read(); });
  }
  void take(std::shared_ptr<const TicketKeys> next) {
    loop.post([this, next = std::move(next)]() mutable {
      // A rotation makes the next key current: what was posted before is known still.
      good = good && next->find(keys->encrypting().name.data()) != nullptr;
      keys = std::move(next);
      ++taken;
    });
  }
  void stop() {
    loop.post([this] {
      stopped = true;
      loop.stop();
    });
    thread.join();
  }

  Loop loop;
  std::shared_ptr<const TicketKeys> keys;
  bool good = true, stopped = false;
  int taken = 0;
  std::atomic<uint64_t> reads = 0;
  std::thread thread;
};

}  // namespace

TEST_CASE("several threads read the ring while the main thread rotates it") {
  constexpr int rotations = 200;
  TicketRing ring;
  std::array<std::unique_ptr<Reader>, 4> readers;
  for (auto& reader : readers) reader = std::make_unique<Reader>(ring.keys());
  for (int i = 0; i < rotations; ++i) {
    ring.rotate();
    for (auto& reader : readers) reader->take(ring.keys());
    // Every set of keys is used before the next one comes.
    for (auto& reader : readers)
      for (const uint64_t before = reader->reads; reader->reads == before;) std::this_thread::yield();
  }
  for (auto& reader : readers) {
    reader->stop();
    CHECK(reader->good);
    CHECK(reader->taken == rotations);
  }
}
