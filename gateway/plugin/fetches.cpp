#include "plugin/fetches.h"

#include <algorithm>

#include "plugin/fetch_question.h"
#include "plugin/host.h"

namespace penstock::plugin {

// One of limits.plugin_fetches, and what its end is counted as: cancelled, unless an answer came.
class Fetches::Place {
 public:
  Place(Fetches& all, const FetchEndpoint& endpoint, const net::Loop& loop)
      : all_(all), endpoint_(endpoint), loop_(loop), begun_ms_(loop.now_ms()) {}
  ~Place() {
    all_.under_way_.fetch_sub(1, std::memory_order_relaxed);
    endpoint_.count(result_);
    if (endpoint_.duration == nullptr || result_ == FetchResult::cancelled) return;
    endpoint_.duration->observe(static_cast<double>(loop_.now_ms() - begun_ms_) / 1000.0);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  // False: all are taken.
  static bool take(Fetches& all, const FetchEndpoint& endpoint) {
    const uint32_t most = all.most_.load(std::memory_order_relaxed);
    if (all.under_way_.fetch_add(1, std::memory_order_relaxed) < most) return true;
    all.under_way_.fetch_sub(1, std::memory_order_relaxed);
    all.count(Limit::plugin_fetches);
    endpoint.count(FetchResult::limit);
    return false;
  }
  void answered(const upstream::FetchAnswer& answer) {
    result_ = result_of(answer);
    if (answer.limit != Limit::none) all_.count(answer.limit);
  }

 private:
  Fetches& all_;
  const FetchEndpoint& endpoint_;
  const net::Loop& loop_;
  uint64_t begun_ms_;
  FetchResult result_ = FetchResult::cancelled;
};

// Lives with its ticket, so its answer does until on_resume has returned.
struct Fetches::OfRequest final : Tickets::Awaited {
  OfRequest(Fetches& all, const FetchEndpoint& endpoint, net::Loop& loop, upstream::Cluster& cluster,
            gw_ticket t)
      : fetches(all), place(all, endpoint, loop), ticket(t), fetch(loop, cluster, &OfRequest::done, this) {}
  static void done(void* self, const upstream::FetchAnswer& came) {
    auto& mine = *static_cast<OfRequest*>(self);
    mine.place.answered(came);
    mine.answer = answer_of(came, mine.fetch.arena());
    mine.fetches.tickets_.resume(mine.ticket, &mine.answer);
  }
  Fetches& fetches;
  Place place;
  gw_ticket ticket;
  gw_fetch_answer answer{};
  upstream::Fetch fetch;
};

struct Fetches::OfInstance {
  OfInstance(Fetches& all, const gw_instance& i, const FetchEndpoint& endpoint, net::Loop& loop,
             upstream::Cluster& cluster, Done d, void* u)
      : fetches(all),
        instance(i),
        cluster_name(endpoint.cluster_name),
        done(d),
        user(u),
        place(all, endpoint, loop),
        fetch(
            loop, cluster,
            [](void* self, const upstream::FetchAnswer& answer) {
              auto& mine = *static_cast<OfInstance*>(self);
              mine.fetches.ended(mine, answer);
            },
            this) {}
  Fetches& fetches;
  const gw_instance& instance;
  const std::string& cluster_name;
  Done done;
  void* user;
  Place place;
  upstream::Fetch fetch;
};

Fetches::Fetches(Tickets& tickets) : tickets_(tickets) {}
Fetches::~Fetches() { stop(); }

gw_rc Fetches::start(gw_req& request, gw_ticket ticket, const FetchEndpoint& endpoint,
                     const gw_fetch_request& asked) {
  const proxy::RequestContext& context = request.context;
  if (context.loop == nullptr || endpoint.cluster >= context.clusters.size()) return GW_ESTATE;
  const auto question = question_of(endpoint, asked, context.arena);
  if (!question) return GW_EINVAL;
  if (!Place::take(*this, endpoint)) return GW_ELIMIT;
  auto mine = std::make_unique<OfRequest>(*this, endpoint, *context.loop, *context.clusters[endpoint.cluster],
                                          ticket);
  upstream::Fetch& fetch = mine->fetch;
  if (!tickets_.keep(ticket, std::move(mine))) return GW_EINVAL;
  fetch.start(*question);
  return GW_OK;
}

// --- the main loop ---

void Fetches::apply(const proxy::Snapshot& snapshot,
                    const std::function<Set(const std::string&)>& endpoints) {
  std::map<std::string, Asked> next;
  for (const upstream::ClusterSettings& settings : snapshot.clusters) {
    if (std::ranges::count(snapshot.asked, settings.name, &config::Upstream::name) == 0) continue;
    Asked& one = next[settings.name];
    one.settings = settings;
    one.set = endpoints(settings.name);
    if (const auto known = asked_.find(settings.name); known != asked_.end())
      one.cluster = std::move(known->second.cluster);
  }
  std::swap(asked_, next);
  for (auto& [name, gone] : next)
    if (gone.cluster) leaving_.push_back(std::move(gone.cluster));
  sweep();
  for (auto& [name, one] : asked_) {
    if (!one.cluster) continue;
    one.cluster->set_settings(one.settings);
    one.cluster->set_endpoints(one.set);
  }
}

// Those that nobody asks any more.
void Fetches::sweep() {
  std::erase_if(leaving_, [this](const auto& cluster) {
    return std::ranges::none_of(of_instances_,
                                [&](const auto& fetch) { return &fetch->fetch.cluster() == cluster.get(); });
  });
}

void Fetches::set_endpoints(const std::string& cluster, const Set& set) {
  const auto found = asked_.find(cluster);
  if (found == asked_.end()) return;
  Asked& one = found->second;
  one.set = set;
  if (!one.cluster) return;
  one.cluster->set_endpoints(set);
  for (const auto& fetch : of_instances_)
    if (&fetch->fetch.cluster() == one.cluster.get()) fetch->fetch.endpoints_changed();
}

upstream::Cluster* Fetches::cluster_for(const std::string& name) {
  const auto found = asked_.find(name);
  if (found == asked_.end()) return nullptr;
  Asked& one = found->second;
  if (!one.cluster) {
    one.cluster = std::make_unique<upstream::Cluster>(*loop_, 0, 1, one.settings);
    one.cluster->set_endpoints(one.set);
  }
  return one.cluster.get();
}

gw_rc Fetches::background(const gw_instance& instance, const FetchEndpoint& endpoint,
                          const gw_fetch_request& asked, Done done, void* user) {
  if (loop_ == nullptr) return GW_ESTATE;
  upstream::Cluster* cluster = cluster_for(endpoint.cluster_name);
  if (cluster == nullptr) return GW_EUNAVAILABLE;  // of a configuration that was replaced
  Arena scratch(loop_->blocks());
  auto question = question_of(endpoint, asked, scratch);
  if (!question) return GW_EINVAL;
  if (!Place::take(*this, endpoint)) return GW_ELIMIT;
  question->unresolved = upstream::FetchQuestion::Unresolved::wait;  // at the start DNS has just been asked
  auto& mine = of_instances_.emplace_back(
      std::make_unique<OfInstance>(*this, instance, endpoint, *loop_, *cluster, done, user));
  mine->fetch.start(*question);
  return GW_OK;
}

void Fetches::ended(OfInstance& fetch, const upstream::FetchAnswer& answer) {
  const auto at = std::ranges::find(of_instances_, &fetch, [](const auto& one) { return one.get(); });
  std::unique_ptr<OfInstance> mine = std::move(*at);  // what done() asks next comes beside it
  of_instances_.erase(at);
  mine->place.answered(answer);
  const gw_fetch_answer told = answer_of(answer, mine->fetch.arena());
  try {
    mine->done(mine->user, &told);
  } catch (...) {
    mine->instance.host->log(LogLevel::error, &mine->instance, {}, "what gw.fetch background called threw");
  }
  mine.reset();
  sweep();  // its cluster may be one that leaves
}

void Fetches::forget(const gw_instance& instance) {
  std::erase_if(of_instances_, [&](const auto& fetch) { return &fetch->instance == &instance; });
  sweep();
}

void Fetches::stop() {
  of_instances_.clear();
  leaving_.clear();
  asked_.clear();
  loop_ = nullptr;
}

LimitCounts Fetches::limits() const {
  LimitCounts out;
  for (size_t i = 0; i < limit_count; ++i)
    out.add(static_cast<Limit>(i), limits_[i].load(std::memory_order_relaxed));
  return out;
}

}  // namespace penstock::plugin
