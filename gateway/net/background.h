// Slow work that must not keep a loop waiting: done on libuv's thread pool, its end told on the loop's
// thread. One piece at a time. Owned by whoever uses the result; control plane only (it allocates).
#pragma once
#include <functional>

namespace penstock::net {

class Loop;

class Background {
 public:
  explicit Background(Loop& loop) : loop_(loop) {}
  ~Background();  // work that is under way goes on, and nobody is told
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  // `work` runs on another thread and must hold whatever it uses; `done` comes later on the loop's, never
  // inside this call. Not while busy().
  void run(std::function<void()> work, std::function<void()> done);
  bool busy() const { return job_ != nullptr; }

 private:
  struct Job;
  Loop& loop_;
  Job* job_ = nullptr;  // its own until it is over
};

// Work of which nobody here is told: it runs on another thread, and what it holds is let go on the loop's.
// Its end has to come within the life of the loop, which waits for it. The loop's thread.
void run_apart(Loop& loop, std::function<void()> work);

}  // namespace penstock::net
