// A door's connections that wait for their clients, by what they wait for, each list in the order in which
// the waiting began: which of them makes room for a newcomer, found without looking through the others. Owned
// by the door; knows neither sockets nor places. One thread; milliseconds of Loop::now_ms.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/intrusive_list.h"
#include "http/connection.h"

namespace penstock::server {

class WaitLists {
 public:
  // So long nobody's place is taken: a newcomer's first byte comes with it, a head that has begun may stop
  // for a round trip or a lost packet. An idle connection owes nothing, but it has had its answer: it goes at
  // once. Of a body it is its rate over slow_body_ms that counts.
  static constexpr uint64_t silent_grace_ms = 250;
  static constexpr uint64_t slow_head_grace_ms = 500;
  // At the least, so that what has come is found.
  static constexpr uint64_t least_silent_ms = 2;
  // Of a TLS handshake that has begun, while others wait until they may.
  static constexpr uint64_t stopped_handshake_grace_ms = 250;

  void add(http::DownstreamConnection& connection, http::Awaited what) {
    connection.spared.wait_anew();
    if (what != http::Awaited::first_byte) connection.quiet_ms = 0;
    list(what).push_back(connection);
  }
  // What is left of silent_grace_ms: who stood in the kernel's queue for so long had it there, or else the
  // silent would come in as slowly as they are sent away, and everybody behind them.
  static uint64_t rest_of_silence_ms(uint64_t quiet_ms) {
    return std::max(silent_grace_ms - std::min(silent_grace_ms, quiet_ms), least_silent_ms);
  }

  // The one to make room: those that never said anything, then heads that do not end, then the longest idle
  // one. Whose bytes have come and were not read yet (`input_waits`, a system call) is spared as
  // base/spared.h says, and goes to the end of its list. Null: nobody's grace is over, or some were spared
  // and a later look decides (`asked_out`).
  struct Longest {
    http::DownstreamConnection* connection = nullptr;
    bool asked_out = false;
  };
  template <class InputWaits>
  Longest longest(Spared::Moment moment, InputWaits input_waits) {
    using enum http::Awaited;
    int asks = most_asks;
    for (http::Awaited what : {first_byte, rest_of_head, next_request}) {
      const http::DownstreamConnection* spared = nullptr;  // the first of them: with it all were asked
      while (ripe_at_ms(what) <= moment.now_ms && list(what).front() != spared) {
        http::DownstreamConnection& front = *list(what).front();
        if (!front.spared.keeps(moment, [&] { return input_waits(front); })) return {.connection = &front};
        if (!spared) spared = &front;
        list(what).push_back(front);
        if (--asks == 0) return {.asked_out = true};
      }
    }
    return {.asked_out = asks < most_asks};
  }
  // The same for a body that comes too slowly, the one for the longest time: a request is lost with it.
  http::DownstreamConnection* slowest_body(uint64_t now_ms) {
    return ripe_at_ms(http::Awaited::body) <= now_ms ? list(http::Awaited::body).front() : nullptr;
  }
  // The same for calls whose clients say nothing, to which they have a right: when there is nobody else.
  http::DownstreamConnection* quietest_call(uint64_t now_ms) {
    return ripe_at_ms(http::Awaited::call) <= now_ms ? list(http::Awaited::call).front() : nullptr;
  }
  // When one of these will be there; UINT64_MAX: nobody waits.
  uint64_t ripe_at_ms() {
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < lists_.size(); ++i)
      first = std::min(first, ripe_at_ms(static_cast<http::Awaited>(i)));
    return first;
  }

  static uint64_t after(uint64_t since_ms, uint64_t grace_ms) {
    return since_ms == UINT64_MAX ? since_ms : since_ms + grace_ms;
  }

 private:
  static constexpr int most_asks = 4;

  using List = IntrusiveList<http::DownstreamConnection, http::WaitHook>;

  List& list(http::Awaited what) { return lists_[static_cast<size_t>(what)]; }
  uint64_t ripe_at_ms(http::Awaited what) {
    http::DownstreamConnection* longest = list(what).front();
    if (!longest) return UINT64_MAX;
    switch (what) {
      case http::Awaited::first_byte:
        return after(longest->waiting_since_ms(), rest_of_silence_ms(longest->quiet_ms));
      case http::Awaited::rest_of_head: return after(longest->waiting_since_ms(), slow_head_grace_ms);
      case http::Awaited::body:
      case http::Awaited::call: return after(longest->slow_body_since_ms(), longest->slow_body_ms);
      case http::Awaited::next_request:
      case http::Awaited::nothing: break;
    }
    return 0;
  }
  std::array<List, static_cast<size_t>(http::Awaited::nothing)> lists_;
};

}  // namespace penstock::server
