// The endpoints of one upstream at one moment: what a discovery provider publishes. Immutable, shared by all
// workers. EndpointState is the process-wide part of an endpoint, kept by upstream and name over reloads and
// over changes of the set, so that counts are the same with 1 worker and with 4.
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "net/address.h"

namespace penstock::upstream {

// Any thread. Relaxed atomics, each on a cache line of its own, touched once at acquire and once at release.
struct EndpointState {
  alignas(64) std::atomic<uint32_t> active{0};                // requests under way, all workers
  alignas(64) std::atomic<uint32_t> consecutive_failures{0};  // written only when it changes
  std::atomic<uint64_t> resting_until_ms{0};                  // Loop::now_ms() (monotonic); 0: in use
};

struct EndpointInfo {
  std::string name;  // "127.0.0.1:9101", "users.internal:80": as in the configuration or the record
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
