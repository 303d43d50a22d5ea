// Which system call of the daemon is to fail: the page that a test and the shim in the daemon have in common.
// The test writes the plan and arms it last; the shim counts and strikes. Any thread.
#pragma once
#include <atomic>
#include <cstdint>

namespace faults {

enum class Call : uint32_t { recv, send, connect, accept4, socket, epoll_add, splice, pipe2 };

struct Plan {
  static constexpr int one_byte = -1;  // in place of an errno: the call does its work on one byte alone
  static constexpr int end = -2;       // recv: the peer has ended
  std::atomic<uint32_t> armed;         // 0: nothing is counted
  std::atomic<Call> call;
  std::atomic<uint32_t> at;     // the call that fails, from 1
  std::atomic<uint32_t> times;  // how many in a row
  std::atomic<int> error;
  std::atomic<uint32_t> seen, struck;
};

constexpr const char* variable = "PENSTOCK_FAULT_PLAN";  // the file that both map

}  // namespace faults
