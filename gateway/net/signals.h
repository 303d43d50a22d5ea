// POSIX signals on the main loop. One thread.
#pragma once
#include <functional>
#include <memory>
#include <vector>

namespace penstock::net {

class Loop;

class Signals {
 public:
  Signals(Loop& loop, std::vector<int> numbers, std::function<void(int)> fn);
  ~Signals();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace penstock::net
