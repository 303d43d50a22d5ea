// One endpoint on one worker: its pool, and what outcomes mean for the process-wide state. Counted by plain
// references: one of the set it belongs to, one of each attempt, connection and connect. When the last ends,
// it is deleted late, so that whoever dropped it may still be inside it.
#pragma once
#include <memory>
#include <string>

#include "base/intrusive_list.h"
#include "net/loop.h"
#include "upstream/cluster.h"
#include "upstream/connection_pool.h"
#include "upstream/endpoint_set.h"

namespace penstock::upstream {

class Endpoint final : public net::Deferred, public ListHook {
 public:
  // With one reference, the set's. `info.state` is not null.
  Endpoint(net::Loop& loop, const EndpointInfo& info, ClusterShared& shared);

  const std::string& name() const { return name_; }
  EndpointState& state() { return *state_; }
  const std::shared_ptr<EndpointState>& shared_state() const { return state_; }
  ConnectionPool& pool() { return pool_; }
  const ConnectionPool& pool() const { return pool_; }

  http::Stream* acquire(Attempt& attempt, uint32_t connect_timeout_ms);
  void finish(Attempt& attempt, Outcome outcome);
  void count(Outcome outcome);

  void ref() { ++references_; }
  void unref();

 private:
  net::Loop& loop_;
  ClusterShared& shared_;
  std::string name_;
  std::shared_ptr<EndpointState> state_;
  ConnectionPool pool_;
  uint32_t references_ = 1;
};

}  // namespace penstock::upstream
