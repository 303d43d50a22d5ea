// The connections of one endpoint on one worker, and the attempts that wait for one. A connection that
// becomes free or was just made serves the oldest waiter; the most recently used idle one is lent first, so
// that what is too many falls idle and times out. One that takes many streams is filled before the next one
// is used, and another is made when all are full; as many wait for one that is being made as it will take.
// Owned by its Endpoint. Taking an idle connection and giving it back allocates nothing and arms no timer. It
// does not judge the endpoint: Endpoint counts.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "base/intrusive_list.h"
#include "http/connection.h"
#include "net/loop.h"
#include "net/timer.h"
#include "net/tls_client.h"
#include "upstream/cluster.h"
#include "upstream/connector.h"

namespace penstock::upstream {

// What all endpoints of a cluster on one worker share. Owned by the cluster.
struct ClusterShared {
  uint32_t worker = 0;
  Connector* connector = nullptr;
  uint32_t max_idle = 1;  // of one endpoint on this worker
  uint32_t idle_timeout_ms = 30'000;
  uint32_t failures_to_rest = 5;
  uint32_t rest_ms = 30'000;
  size_t attempts = 0;
  uint32_t streams_each = 1;  // that a connection takes at once, as far as we allow
  uint32_t epoch = 0;         // of the settings that connections are made with: those of others serve out
  ConnectCounters connects;
};

class ConnectionPool final : public http::UpstreamOwner {
 public:
  ConnectionPool(net::Loop& loop, Endpoint& endpoint, ClusterShared& shared);
  ~ConnectionPool();

  // A stream, or null: the attempt waits for on_acquired or on_acquire_failed.
  http::Stream* acquire(Attempt& attempt, uint32_t connect_timeout_ms);
  void cancel(Attempt& attempt);  // a waiting one; its connection is still made and becomes idle

  // In the order in which they are tried. Connections to others, or under another name, are closed when they
  // are idle.
  void set_place(const std::string& host, const std::vector<net::Address>& addresses);
  bool resolved() const { return !addresses_.empty(); }

  void apply_limits();                 // after these changed
  void close_idle();                   // now; connections in use live on
  void close_idle_since(uint64_t ms);  // those that were idle by then (Loop::now_ms)
  void retire();                       // from now on nothing is kept idle
  void close_all();                    // in use and being made, too: nobody may be waiting

  size_t open() const { return idle_count_ + busy_count_; }
  size_t idle() const { return idle_count_; }
  ClusterUse use();

 private:
  // One address that is being tried. Deleted late, since it ends inside its own callback.
  struct Connecting : net::Deferred, ListHook {
    ConnectionPool* pool;
    net::Address address;
    size_t index;  // of the address
    size_t addresses_left;
    uint64_t deadline_ms;
    uint32_t epoch;
    std::unique_ptr<Connector::Pending> pending;
  };
  struct Pooled;
  enum class Keep : uint8_t { idle, nothing };

  // UpstreamOwner
  void on_idle(http::UpstreamConnection& connection) override;
  void on_closed(http::UpstreamConnection& connection) override;
  void on_room(http::UpstreamConnection& connection) override;
  void on_goaway(uint32_t code) override { shared_.connects.goaways.count(code); }
  void on_stream_reset(uint32_t code) override { shared_.connects.stream_resets.count(code); }

  http::Stream* open_stream(Attempt& attempt);
  http::Stream* open_shared(Attempt& attempt);
  http::Stream* open_idle(Attempt& attempt);
  void sort_in(http::UpstreamConnection& connection);
  bool connects_suffice() const { return uint64_t{connecting_count_} * streams_each_ >= waiting_; }
  Attempt* next_waiter();
  enum class Lent : uint8_t { unasked, none, some };  // none: somebody waits, and no connection takes it
  void serve_waiters();
  Lent lend_to_waiters();
  Attempt& take_waiter(Attempt& attempt);
  void fail_waiter(Attempt& attempt, const Error& error);
  void fail_waiters(const Error& error);
  void arm_wait_timer();

  void start_connect(uint64_t deadline_ms);
  void connect_for_waiters();
  void connect_failed(const Error& error);
  Error no_connect_error() const;
  // Not for who left the set: the settings are those of the endpoints that are in it, and may be none of TLS.
  bool may_connect() const { return resolved() && keep_ == Keep::idle; }
  void connect_to(size_t index, size_t addresses_left, uint64_t deadline_ms);
  void on_connected(Connecting& connecting, Result<std::unique_ptr<http::UpstreamConnection>> result);
  void adopt(std::unique_ptr<http::UpstreamConnection> connection, const Connecting& made_by);
  void trim();
  static bool is_idle(const http::UpstreamConnection& connection);
  void make_idle(http::UpstreamConnection& connection);
  void discard(http::UpstreamConnection& connection);
  void forget(http::UpstreamConnection& connection);
  void arm_idle_timer();

  static void on_idle_timer(void* self);
  static void on_wait_timer(void* self);
  bool current(const http::UpstreamConnection& connection) const;
  void drop_outdated();

  net::Loop& loop_;
  Endpoint& endpoint_;
  ClusterShared& shared_;
  IntrusiveList<http::UpstreamConnection> idle_;   // most recently used first
  IntrusiveList<http::UpstreamConnection> busy_;   // those that are full
  IntrusiveList<http::UpstreamConnection> roomy_;  // in use, with room for more streams: the last one first
  IntrusiveList<Attempt> waiters_;                 // oldest first
  IntrusiveList<Connecting> connecting_;
  uint32_t idle_count_ = 0, busy_count_ = 0;  // busy: all that are in use
  uint32_t http2_count_ = 0;                  // of both
  uint32_t streams_each_;   // that the last connection took, and the next one is expected to
  uint32_t epoch_ = 0;      // of what connections are made with
  uint32_t settings_seen_;  // ClusterShared::epoch
  uint32_t waiting_ = 0, waiting_fresh_ = 0, connecting_count_ = 0;
  bool serving_ = false;
  Keep keep_ = Keep::idle;
  net::TlsPeer peer_{{}};
  net::Timer idle_timer_;
  net::Timer wait_timer_;
  std::vector<net::Address> addresses_;
  size_t preferred_ = 0;           // the address that answered last
  uint64_t wait_deadline_ms_ = 0;  // for which wait_timer_ runs
};

}  // namespace penstock::upstream
