// The endpoints of one upstream at one moment: what a discovery provider publishes. Immutable, shared by all
// workers. EndpointState is the process-wide part of an endpoint, kept by upstream and name over reloads and
// over changes of the set, so that counts are the same with 1 worker and with 4.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "net/address.h"

namespace penstock::upstream {

// How many requests are under way on all workers. Each worker counts on a cache line of its own (when there
// are more workers than lines, several share one), so that no request waits for what another core has
// written; who compares endpoints adds the lines up. Any thread; relaxed: a sum may be one behind.
class ActiveCount {
 public:
  void add(uint32_t worker, uint32_t more) { of(worker).fetch_add(more, std::memory_order_relaxed); }
  void remove(uint32_t worker, uint32_t fewer) { of(worker).fetch_sub(fewer, std::memory_order_relaxed); }
  uint32_t sum() const {
    uint32_t all = 0;
    for (const Line& line : lines_) all += line.count.load(std::memory_order_relaxed);
    return all;
  }

 private:
  struct Line {
    alignas(64) std::atomic<uint32_t> count{0};
  };
  std::atomic<uint32_t>& of(uint32_t worker) { return lines_[worker % lines_.size()].count; }
  std::array<Line, 8> lines_;
};

// What active checks say. Of what nothing is known yet is used.
enum class Health : uint8_t { unknown, up, down };

// Any thread. Relaxed atomics.
struct EndpointState {
  ActiveCount active;
  // Beside each other: a pick reads both of the last ones. Written only when they change.
  alignas(64) std::atomic<uint32_t> consecutive_failures{0};
  std::atomic<Health> health{Health::unknown};  // HealthChecks writes it
  std::atomic<uint64_t> resting_until_ms{0};    // Loop::now_ms() (monotonic); 0: in use
};

struct EndpointInfo {
  std::string name;  // "127.0.0.1:9101", "users.internal:80": as in the configuration or the record
  std::string host;  // the name that was resolved, or the address: what a certificate has to be for
  std::vector<net::Address> addresses;  // tried in turn; empty: the name did not resolve yet
  uint32_t weight = 1;                  // 1..; 0 is left out of the set
  std::shared_ptr<EndpointState> state;
};

struct EndpointSet {
  std::vector<EndpointInfo> endpoints;  // in a stable order
};

// Finds or makes the state of an endpoint. Main thread. States that nobody holds any more are forgotten at
// sweep().
class EndpointStates {
 public:
  std::shared_ptr<EndpointState> get(const std::string& upstream, const std::string& endpoint);
  void sweep();

 private:
  std::map<std::pair<std::string, std::string>, std::weak_ptr<EndpointState>> states_;
};

}  // namespace penstock::upstream
