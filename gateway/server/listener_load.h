// How many connections one listener has in the whole process, in all and by client, so that max_connections
// is the same limit with one worker and with four. Made by the main thread, kept by address and scheme over
// reloads; workers touch it once at accept and once at close.
#pragma once
#include <atomic>
#include <cstdint>

#include "server/client_table.h"

namespace penstock::server {

class ListenerLoad {
 public:
  // Takes a place; false: the limit is reached.
  bool enter(uint32_t max_connections) {
    if (connections_.fetch_add(1, std::memory_order_relaxed) < max_connections) return true;
    connections_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  void count_refused() { refused_.fetch_add(1, std::memory_order_relaxed); }
  void count_evicted(uint64_t connections) { evicted_.fetch_add(connections, std::memory_order_relaxed); }
  // How many TLS handshakes are under way, this one included.
  uint32_t begin_handshake() { return handshakes_.fetch_add(1, std::memory_order_relaxed) + 1; }
  void end_handshake() { handshakes_.fetch_sub(1, std::memory_order_relaxed); }
  uint32_t handshakes() const { return handshakes_.load(std::memory_order_relaxed); }

  void leave() { connections_.fetch_sub(1, std::memory_order_relaxed); }

  void count_bad_greeting() { bad_greetings_.fetch_add(1, std::memory_order_relaxed); }

  uint32_t connections() const { return connections_.load(std::memory_order_relaxed); }
  uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }
  uint64_t evicted() const { return evicted_.load(std::memory_order_relaxed); }
  uint64_t bad_greetings() const { return bad_greetings_.load(std::memory_order_relaxed); }

  ClientTable clients;

 private:
  alignas(64) std::atomic<uint32_t> connections_{0};
  alignas(64) std::atomic<uint32_t> handshakes_{0};
  alignas(64) std::atomic<uint64_t> refused_{0};
  std::atomic<uint64_t> evicted_{0};
  std::atomic<uint64_t> bad_greetings_{0};
};

}  // namespace penstock::server
