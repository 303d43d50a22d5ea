// The retry rule (LANGUAGE.md "Retries") and its budget. The budget is for the whole process: each worker
// counts in a slot of its own, and only a retry reads the others' slots.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "config/route_config.h"
#include "http/message.h"

namespace penstock::proxy {

// Retries may be at most `share` of the requests of the last 10 s, with a floor of 10 a second.
class RetryBudget {
 public:
  explicit RetryBudget(uint32_t workers);
  void count_request(uint32_t worker, uint64_t now_ms);
  // Takes one retry when the budget allows it.
  bool take(uint32_t worker, uint64_t now_ms, double share);

 private:
  static constexpr size_t seconds = 11;
  struct alignas(64) Slot {
    std::array<std::atomic<uint64_t>, seconds> requests{};  // second << 32 | count
    std::array<std::atomic<uint64_t>, seconds> retries{};
  };
  enum class Count : uint8_t { requests, retries };
  uint64_t total(uint64_t now_s, Count what) const;
  std::vector<Slot> slots_;
};

// What is known when an attempt has failed or was answered with a status to retry on.
struct AttemptEnd {
  bool request_bytes_sent = false;  // any byte of the request reached the kernel
  bool response_bytes_received = false;
  bool reused_connection = false;
  bool informational_forwarded = false;
  bool body_held = true;  // the whole body so far can be sent again
  bool status = false;    // a response head with a status of retry_on
  Error error;            // when not `status`
};

enum class RetryVerdict : uint8_t {
  no,
  elsewhere,  // counts as an attempt and takes from the budget
  free,       // no byte was sent or a stale reused connection: does not take from the budget
};
RetryVerdict judge(const config::Retries& rule, http::Method method, const AttemptEnd& end);

}  // namespace penstock::proxy
