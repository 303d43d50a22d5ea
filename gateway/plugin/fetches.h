// What plugins ask over HTTP: for a request on its worker, through the clusters of its generation; for an
// instance on the main loop, through clusters of its own, since pools belong to one loop. A bounded number is
// under way at once in the whole process. Owned by the host. start(): that worker; everything else but
// limits(): main thread.
#pragma once
#include <array>
#include <atomic>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>

#include "base/limit.h"
#include "net/loop.h"
#include "plugin/handles.h"
#include "plugin/tickets.h"
#include "proxy/snapshot.h"
#include "upstream/cluster.h"

namespace penstock::upstream {
struct FetchAnswer;
}  // namespace penstock::upstream

namespace penstock::plugin {

class Fetches {
 public:
  using Set = std::shared_ptr<const upstream::EndpointSet>;
  using Done = void (*)(void* user, const gw_fetch_answer* answer);

  explicit Fetches(Tickets& tickets);
  ~Fetches();
  Fetches(const Fetches&) = delete;
  Fetches& operator=(const Fetches&) = delete;

  gw_rc start(gw_req& request, gw_ticket ticket, const FetchEndpoint& endpoint,
              const gw_fetch_request& asked);

  // Before that nothing is asked for an instance: there is no loop under `check` and `explain`.
  void serve(net::Loop& loop) { loop_ = &loop; }
  // A configuration was taken: the clusters that its plugins ask, with their endpoints as far as known.
  void apply(const proxy::Snapshot& snapshot, const std::function<Set(const std::string&)>& endpoints);
  void set_endpoints(const std::string& cluster, const Set& set);
  gw_rc background(const gw_instance& instance, const FetchEndpoint& endpoint, const gw_fetch_request& asked,
                   Done done, void* user);
  void forget(const gw_instance& instance);  // cut, and nobody is told
  void stop();                               // all of it; nothing is asked from then on

  void set_most(uint32_t most) { most_.store(most, std::memory_order_relaxed); }
  size_t under_way() const { return under_way_.load(std::memory_order_relaxed); }
  LimitCounts limits() const;  // any thread

 private:
  class Place;
  struct OfRequest;
  struct OfInstance;
  // A cluster of the main loop, made when it is asked for the first time.
  struct Asked {
    upstream::ClusterSettings settings;
    Set set;
    std::unique_ptr<upstream::Cluster> cluster;
  };

  upstream::Cluster* cluster_for(const std::string& name);
  void leave(std::unique_ptr<upstream::Cluster> cluster);
  void sweep();
  void ended(OfInstance& fetch, const upstream::FetchAnswer& answer);
  void count(Limit limit) { limits_[static_cast<size_t>(limit)].fetch_add(1, std::memory_order_relaxed); }

  Tickets& tickets_;
  net::Loop* loop_ = nullptr;
  std::atomic<uint32_t> most_{1000}, under_way_{0};
  std::array<std::atomic<uint64_t>, limit_count> limits_{};
  std::map<std::string, Asked> asked_;
  std::vector<std::unique_ptr<upstream::Cluster>> leaving_;  // of removed endpoints, while somebody asks them
  std::list<std::unique_ptr<OfInstance>> of_instances_;
};

}  // namespace penstock::plugin
