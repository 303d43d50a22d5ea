#include "upstream/health/health_checks.h"

#include <fmt/format.h>

#include <unordered_set>

namespace penstock::upstream {

// One endpoint of one upstream. In Group::due while it waits for a place.
struct HealthChecks::Check final : penstock::ListHook {
  Check(HealthChecks& checks, Group& of, const EndpointInfo& info)
      : all(checks),
        group(of),
        name(info.name),
        host(info.host),
        addresses(info.addresses),
        state(info.state),
        timer(checks.loop_, [](void* self) { static_cast<Check*>(self)->on_timer(); }, this) {
    state->health.store(Health::unknown, std::memory_order_relaxed);
  }
  ~Check();
  void on_timer() { all.due(*this); }

  HealthChecks& all;
  Group& group;
  std::string name, host;
  std::vector<net::Address> addresses;
  std::shared_ptr<EndpointState> state;
  Verdict verdict;
  CheckReport last;
  uint64_t begun_ms = 0;
  std::unique_ptr<Probe> probe;  // while one is under way
  net::Timer timer;              // until the next one
};

// One upstream. In due_ while checks of it wait.
struct HealthChecks::Group final : penstock::ListHook {
  const std::string& name() const { return plan->cluster.name; }
  std::shared_ptr<const CheckPlan> plan;
  size_t down = 0;
  IntrusiveList<Check> due;                                        // in the order in which they came
  std::unordered_map<std::string, std::unique_ptr<Check>> checks;  // by endpoint
};

HealthChecks::Check::~Check() {
  if (linked()) --all.waiting_;
  if (verdict.health() == Health::down) --group.down;
  state->health.store(Health::unknown, std::memory_order_relaxed);
  if (probe) all.give_up(*this);
}

HealthChecks::HealthChecks(net::Loop& loop, uint64_t seed, Log log, MakeConnector make_connector)
    : loop_(loop), random_(seed), log_(std::move(log)), make_connector_(std::move(make_connector)) {
  if (!make_connector_)
    make_connector_ = [&loop](CheckPlan& plan) {
      return upstream::make_connector(loop, plan.cluster, plan.connects, nullptr);
    };
}

HealthChecks::~HealthChecks() = default;

void HealthChecks::set_most(uint32_t most) {
  most_ = most;
  loop_.schedule(*this);
}

// --- what is checked ---

std::shared_ptr<const CheckPlan> HealthChecks::plan_for(const ClusterSettings& cluster) {
  auto plan = std::make_shared<CheckPlan>(CheckPlan{cluster, *cluster.health_check, {}, nullptr});
  // gRPC is HTTP/2 whatever else is spoken there; for tcp nothing has to be heard of the backend.
  if (plan->check.question.kind == CheckKind::grpc) plan->cluster.http.protocol = http::Protocol::http2;
  if (plan->check.question.kind == CheckKind::tcp) {
    plan->cluster.http.protocol = http::Protocol::http1;
    plan->cluster.tls = nullptr;
  }
  plan->connector = make_connector_(*plan);
  return plan;
}

static bool same_tls(const net::TlsClientContext* one, const net::TlsClientContext* other) {
  return one == other || (one && other && one->digest() == other->digest());
}

static bool same_check(const CheckPlan& one, const CheckPlan& other) {
  return one.check.question == other.check.question &&
         one.cluster.http.protocol == other.cluster.http.protocol &&
         same_tls(one.cluster.tls.get(), other.cluster.tls.get());
}

// What decides whether the same answer passes.
static bool same_limits(const CheckPlan& one, const CheckPlan& other) {
  return one.check.pace.timeout_ms == other.check.pace.timeout_ms &&
         one.check.pace.body_size == other.check.pace.body_size && one.cluster.http == other.cluster.http;
}

void HealthChecks::apply(const std::vector<ClusterSettings>& clusters) {
  std::unordered_set<std::string> checked;
  for (const ClusterSettings& cluster : clusters)
    if (cluster.health_check) checked.insert(cluster.name);
  std::erase_if(groups_, [&](const auto& entry) { return !checked.contains(entry.first); });
  std::erase_if(counts_, [&](const auto& entry) { return !checked.contains(entry.first); });

  for (const ClusterSettings& cluster : clusters) {
    if (!cluster.health_check) continue;
    counts_.try_emplace(cluster.name);
    auto& known_group = groups_[cluster.name];
    if (!known_group) known_group = std::make_unique<Group>();
    Group& group = *known_group;
    auto plan = plan_for(cluster);
    if (group.plan && !same_check(*group.plan, *plan)) group.checks.clear();
    const bool sooner = group.plan && plan->check.pace.interval_ms < group.plan->check.pace.interval_ms;
    const bool within_others = group.plan && !same_limits(*group.plan, *plan);
    group.plan = std::move(plan);
    for (auto& [name, check] : group.checks) {
      const bool again = within_others && check->probe;
      if (again) give_up(*check);
      if (again || (sooner && check->timer.running()))
        check->timer.start(first_check_delay_ms(group.plan->check.pace, point()));
    }
  }
  use_free_places();
}

void HealthChecks::set_endpoints(const std::string& upstream, const EndpointSet& set) {
  auto found = groups_.find(upstream);
  if (found == groups_.end()) return;
  Group& group = *found->second;
  std::unordered_map<std::string, std::unique_ptr<Check>> kept;
  kept.reserve(set.endpoints.size());
  for (const EndpointInfo& info : set.endpoints) {
    if (info.weight == 0 || kept.contains(info.name)) continue;
    auto known = group.checks.find(info.name);
    if (known != group.checks.end() && known->second->state == info.state) {
      known->second->host = info.host;
      known->second->addresses = info.addresses;
      kept.emplace(info.name, std::move(known->second));
      group.checks.erase(known);
      continue;
    }
    if (known != group.checks.end()) group.checks.erase(known);  // its state is another's
    auto check = std::make_unique<Check>(*this, group, info);
    check->timer.start(first_check_delay_ms(group.plan->check.pace, point()));
    kept.emplace(info.name, std::move(check));
  }
  group.checks = std::move(kept);
  use_free_places();
}

// Checks that were under way may have left.
void HealthChecks::use_free_places() {
  if (waiting_ > 0) loop_.schedule(*this);
}

// --- when ---

void HealthChecks::due(Check& check) {
  check.group.due.push_back(check);
  if (!check.group.linked()) due_.push_back(check.group);
  // Several may be due before any of them begins: those before this one take what places there are.
  if (running_ + waiting_ >= most_) limits_.add(Limit::health_checks);
  ++waiting_;
  if (running_ < most_) loop_.schedule(*this);
}

// One of each upstream in turn. Those that waited may have left.
HealthChecks::Check* HealthChecks::next_due() {
  while (Group* group = due_.pop_front()) {
    Check* check = group->due.pop_front();
    if (!check) continue;
    if (!group->due.empty()) due_.push_back(*group);
    --waiting_;
    return check;
  }
  return nullptr;
}

void HealthChecks::run_task() {
  const uint64_t begun = loop_.now_ns();
  while (running_ < most_) {
    Check* check = next_due();
    if (!check) return;
    start(*check);
    if (loop_.now_ns() - begun >= net::Loop::work_share_ns) return loop_.schedule_next_turn(*this);
  }
}

void HealthChecks::start(Check& check) {
  const CheckPace& pace = check.group.plan->check.pace;
  check.begun_ms = loop_.now_ms();
  // A name without an address cannot be asked, nor can requests go there.
  if (check.addresses.empty()) return check.timer.start(check_delay_ms(pace, point()));
  ++running_;
  check.probe = std::make_unique<Probe>(
      loop_, check.group.plan, check.name, check.host, check.addresses,
      [](void* who, const CheckReport& report) {
        auto& one = *static_cast<Check*>(who);
        one.all.ended(one, report);
      },
      &check);
  check.probe->start();
}

// Without a result; the place is free.
void HealthChecks::give_up(Check& check) {
  --running_;
  check.probe->forget();
  loop_.defer_delete(std::move(check.probe));
}

void HealthChecks::ended(Check& check, const CheckReport& report) {
  --running_;
  loop_.defer_delete(std::move(check.probe));
  const CheckPace& pace = check.group.plan->check.pace;
  ++counts_[check.group.name()][static_cast<size_t>(report.result)];
  uint64_t again_ms = check.begun_ms + check_delay_ms(pace, point()), now = loop_.now_ms();
  check.timer.start(again_ms > now ? again_ms - now : 1);
  use_free_places();
  if (report.result == CheckResult::skipped) return;

  check.last = report;
  const bool passed = report.result == CheckResult::passed;
  Verdict::Change change = passed ? check.verdict.passed(pace) : check.verdict.failed(pace);
  check.state->health.store(check.verdict.health(), std::memory_order_relaxed);
  // An endpoint that rests after failed requests, and answers, is used again; its failures are not forgotten,
  // so that the next one rests it again.
  if (passed && check.state->resting_until_ms.load(std::memory_order_relaxed) != 0)
    check.state->resting_until_ms.store(0, std::memory_order_relaxed);
  if (change != Verdict::Change::none) tell(check, report, change);
}

// --- what is said of it ---

void HealthChecks::tell(const Check& check, const CheckReport& report, Verdict::Change change) {
  Group& group = check.group;
  const bool down = change == Verdict::Change::went_down;
  down ? ++group.down : --group.down;
  say(down ? fmt::format("upstream {}: endpoint {} is out after {} failed checks: {}; {} of {} left",
                         group.name(), check.name, -check.verdict.in_row(), describe(report),
                         group.checks.size() - group.down, group.checks.size())
           : fmt::format("upstream {}: endpoint {} is back after {} passed checks; {} of {} left",
                         group.name(), check.name, check.verdict.in_row(), group.checks.size() - group.down,
                         group.checks.size()));
}

// Thousands of endpoints can go down at once.
void HealthChecks::say(const std::string& line) {
  const uint64_t second = loop_.now_ms() / 1'000;
  if (std::exchange(lines_.second, second) != second) lines_.told = 0;
  if (lines_.told == max_lines_a_second) {
    ++lines_.untold;
    return;
  }
  ++lines_.told;
  if (uint32_t untold = std::exchange(lines_.untold, 0); untold > 0)
    log_(fmt::format("{} more endpoints went out or came back", untold));
  log_(line);
}

HealthChecks::Known HealthChecks::known(const std::string& upstream, const std::string& endpoint) const {
  auto group = groups_.find(upstream);
  if (group == groups_.end()) return {};
  auto check = group->second->checks.find(endpoint);
  if (check == group->second->checks.end()) return {};
  return {check->second->verdict.health(), check->second->last};
}

}  // namespace penstock::upstream
