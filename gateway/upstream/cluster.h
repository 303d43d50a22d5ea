// One upstream as a worker sees it: its endpoints with their connection pools, and the balancing policy. Kept
// by name over reloads; settings and endpoint sets are exchanged under it. Owned by the worker, used on its
// loop thread only; counts that are process-wide are in EndpointState. Knows nothing of routes, plugins or
// retries: proxy/ decides those.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/intrusive_list.h"
#include "base/result.h"
#include "http/connection.h"
#include "net/tls_client.h"
#include "observe/http2_errors.h"
#include "upstream/endpoint_set.h"
#include "upstream/health/check_settings.h"

namespace penstock::upstream {

enum class BalancePolicy : uint8_t { round_robin, random, least_request };

struct ClusterSettings {
  std::string name;
  BalancePolicy balance = BalancePolicy::least_request;
  uint32_t max_idle = 64;  // idle connections per endpoint, of the whole process
  uint32_t idle_timeout_ms = 30'000;
  uint32_t failures_to_rest = 5;  // in a row
  uint32_t rest_ms = 30'000;
  http::UpstreamSettings http;
  std::shared_ptr<const net::TlsClientContext> tls;  // null: plain
  std::optional<CheckSettings> health_check;         // not a worker's business: HealthChecks does it
};

// What became of a cluster's connects on one worker, and how its backends ended what is of HTTP/2.
struct ConnectCounters {
  enum Kind : uint8_t { full_1_2, resumed_1_2, full_1_3, resumed_1_3, kinds };
  std::array<uint64_t, kinds> handshakes{};       // of TLS that succeeded
  std::map<std::string_view, uint64_t> failures;  // by reason code; our own shortages are none
  observe::Http2ErrorCounts goaways, stream_resets;
  void count(const net::TlsInfo& tls) {
    ++handshakes[(tls.version == "TLSv1.3" ? full_1_3 : full_1_2) + (tls.resumed ? 1 : 0)];
  }
  void merge(const ConnectCounters& other);
};

// What a cluster has open on one worker, at this moment.
struct ClusterUse {
  enum Version : uint8_t { http1, http2, versions };
  std::array<size_t, versions> connections{};  // in use and idle
  size_t http2_streams = 0;
  size_t waiting = 0;  // attempts, for a connection or for a place on one
  void merge(const ClusterUse& other);
};

class Cluster;
class Connector;
class DescriptorOwner;
class ConnectionPool;

// One endpoint on one worker. Stays valid while an Attempt or a pooled connection refers to it, also after it
// left the set.
class Endpoint;

// One try to get a stream on an endpoint: a member of who waits (an exchange); its destructor cancels. At
// most one acquire() is pending at a time; it may be reused for the next try after finish().
class Attempt : public ListHook {
 public:
  // The events of the stream go to `handler`.
  explicit Attempt(http::StreamHandler& handler) : handler_(handler) {}
  // Cancels a pending acquire; does not release a stream. Without a finish() the outcome is neutral.
  virtual ~Attempt();
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  // Later, on the loop thread, never inside acquire(): exactly one of them for a pending acquire. It may come
  // inside the release() of another exchange's stream, whose connection became free.
  virtual void on_acquired(http::Stream& stream) = 0;
  // error.source is upstream and error.retry is yes: no byte was sent. What failed was counted against the
  // endpoint already: the outcome given to finish() is ignored. It comes at the latest when
  // connect_timeout_ms is over.
  virtual void on_acquire_failed(const Error& error) = 0;

  // What is sent cannot be held back until the connection has shown to be quiet, so it is asked before it is
  // lent (UpstreamConnection::quiet). Before acquire().
  void ask_connection(bool ask) { ask_connection_ = ask; }
  // No connection that lay idle: one such was gone. Before acquire().
  void want_fresh(bool fresh) { want_fresh_ = fresh; }
  Endpoint* endpoint() const { return endpoint_; }  // of the acquire under way or held; null after finish()
  bool pending() const { return linked(); }         // neither on_acquired nor on_acquire_failed came yet

 private:
  friend class Endpoint;
  friend class ConnectionPool;
  enum class Acquire : uint8_t { open, failed };
  http::StreamHandler& handler_;
  Endpoint* endpoint_ = nullptr;
  uint64_t deadline_ms_ = 0;  // while pending
  uint64_t begun_ms_ = 0;     // acquire()
  Acquire acquire_ = Acquire::open;
  bool ask_connection_ = false;
  bool want_fresh_ = false;
};

// What an attempt's end says about its endpoint.
enum class Outcome : uint8_t {
  success,
  failure,
  neutral,  // the client left, or a local limit
  stale     // a connection lent again was gone: no word about the endpoint, but those idle as long go too
};

// Endpoints that an exchange has tried already, so that the next attempt goes elsewhere.
class Tried {
 public:
  static constexpr size_t max = 16;
  void add(const Endpoint* endpoint) {
    if (count_ < max) tried_[count_++] = endpoint;
  }
  bool has(const Endpoint* endpoint) const {
    for (size_t i = 0; i < count_; ++i)
      if (tried_[i] == endpoint) return true;
    return false;
  }
  size_t count() const { return count_; }

 private:
  const Endpoint* tried_[max];
  size_t count_ = 0;
};

class Cluster {
 public:
  // worker of workers: rotates where round_robin begins and shares max_idle out evenly, at least 1.
  // `descriptors` (may be null) is asked when there is none left to connect with.
  Cluster(net::Loop& loop, uint32_t worker, uint32_t workers, ClusterSettings settings,
          DescriptorOwner* descriptors = nullptr);
  // The same with another way of connecting.
  Cluster(net::Loop& loop, uint32_t worker, uint32_t workers, ClusterSettings settings,
          std::unique_ptr<Connector> connector, DescriptorOwner* descriptors = nullptr);
  ~Cluster();  // closes all connections; no attempt may be under way
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  const std::string& name() const { return settings_.name; }
  void set_settings(ClusterSettings settings);
  void set_endpoints(std::shared_ptr<const EndpointSet> set);  // pools of endpoints that stay are kept
  const EndpointSet& endpoints() const { return *set_; }

  // The policy's choice among endpoints that are not resting and not tried; when all of those are out, among
  // resting ones not tried (trying beats refusing); null: nothing left to try. An endpoint whose name did not
  // resolve yet is chosen only as the first one, so that the reason shows. One that active checks have taken
  // out is never chosen: they bring it back without a request's help.
  Endpoint* pick(const Tried& tried);

  // A stream now (an idle connection was there) or null: then on_acquired or on_acquire_failed follows.
  // Counts the endpoint's active until finish(), which must be called exactly once for every acquire, also a
  // failed one.
  http::Stream* acquire(Attempt& attempt, Endpoint& endpoint, uint32_t connect_timeout_ms);
  void finish(Attempt& attempt, Outcome outcome);

  size_t attempts() const;          // acquired and not finished: a cluster without any may be destroyed
  size_t open_connections() const;  // for metrics
  size_t idle_connections() const;
  const ConnectCounters& connects() const;
  ClusterUse use() const;
  void close_idle();  // drain

 private:
  net::Loop& loop_;
  uint32_t worker_, workers_;
  ClusterSettings settings_;
  std::shared_ptr<const EndpointSet> set_;
  struct State;  // endpoints, balancer, connector
  std::unique_ptr<State> state_;
};

const std::string& name_of(const Endpoint& endpoint);

}  // namespace penstock::upstream
