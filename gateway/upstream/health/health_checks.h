// The active checks of the process: every endpoint of an upstream that has a check is asked in turn, on the
// control plane's loop, however many workers there are. What comes of it stands in EndpointState, where each
// worker's next pick sees it. A bounded number is under way at once; those that are due and find no place
// wait, and upstreams take turns: one with thousands of slow endpoints does not hold up the others' checks.
// Owned by the server; main thread.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/intrusive_list.h"
#include "base/limit.h"
#include "net/loop.h"
#include "net/timer.h"
#include "upstream/cluster.h"
#include "upstream/health/probe.h"
#include "upstream/health/verdict.h"
#include "upstream/random.h"

namespace penstock::upstream {

class HealthChecks final : private net::Task {
 public:
  using Log = std::function<void(const std::string& line)>;
  using MakeConnector = std::function<std::unique_ptr<Connector>(CheckPlan& plan)>;

  // `log` is told of each endpoint that goes down or comes back, within a bound. Without a MakeConnector
  // connections are made as the upstream's are.
  HealthChecks(net::Loop& loop, uint64_t seed, Log log, MakeConnector make_connector = {});
  ~HealthChecks() override;
  HealthChecks(const HealthChecks&) = delete;
  HealthChecks& operator=(const HealthChecks&) = delete;

  // Under way at once.
  void set_most(uint32_t most);
  // The upstreams of a new configuration. A check that asks what it asked before goes on, with its new pace;
  // another one begins anew, and so its endpoints are used until it has an opinion. What is under way within
  // other limits than the new ones is given up and asked again: it would say nothing of these.
  void apply(const std::vector<ClusterSettings>& clusters);
  // Endpoints that stay keep their state and their schedule. Nothing for an upstream without a check.
  void set_endpoints(const std::string& upstream, const EndpointSet& set);

  // --- for metrics ---
  struct Known {
    Health health = Health::unknown;
    CheckReport last;
  };
  Known known(const std::string& upstream, const std::string& endpoint) const;
  // How checks of each upstream have ended since the daemon started.
  const std::map<std::string, CheckCounts>& counts() const { return counts_; }
  size_t running() const { return running_; }
  size_t waiting() const { return waiting_; }
  const LimitCounts& limits() const { return limits_; }

 private:
  struct Check;
  struct Group;
  static constexpr uint32_t max_lines_a_second = 20;

  void run_task() override;  // starts what is due
  void due(Check& check);
  void use_free_places();
  Check* next_due();
  void start(Check& check);
  void give_up(Check& check);
  void ended(Check& check, const CheckReport& report);
  void tell(const Check& check, const CheckReport& report, Verdict::Change change);
  void say(const std::string& line);
  std::shared_ptr<const CheckPlan> plan_for(const ClusterSettings& cluster);
  double point() { return static_cast<double>(random_.next() >> 11) * 0x1.0p-53; }

  net::Loop& loop_;
  Random random_;
  Log log_;
  MakeConnector make_connector_;
  uint32_t most_ = 500;
  uint32_t running_ = 0, waiting_ = 0;
  IntrusiveList<Group> due_;  // whose checks wait; the next one to have its turn first
  std::map<std::string, std::unique_ptr<Group>> groups_;  // by upstream
  std::map<std::string, CheckCounts> counts_;
  LimitCounts limits_;
  struct {
    uint64_t second = 0;
    uint32_t told = 0, untold = 0;
  } lines_;
};

}  // namespace penstock::upstream
