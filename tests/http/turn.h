// One turn of a loop in which tests play the peers.
#pragma once
#include "net/loop.h"

namespace penstock::test {

// What waits for the end of the turn or for the next one happens; the loop looks for events, and does not
// wait for them.
template <class Serve>
void turn_by(net::Loop& loop, Serve serve) {
  struct Stop final : net::Task {
    net::Loop& loop;
    explicit Stop(net::Loop& of) : loop(of) {}
    void run_task() override { loop.stop(); }
  } stop(loop);
  loop.schedule_next_turn(stop);
  serve();
}
inline void turn(net::Loop& loop) {
  turn_by(loop, [&] { loop.run(); });
}

}  // namespace penstock::test
