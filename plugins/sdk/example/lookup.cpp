// Asks a slow source about the tenant of a request: here a folder with a file for each tenant, whose first
// word is its plan. The request waits, its worker does not: a thread looks, then resumes the request.
#include <condition_variable>
#include <deque>
#include <fstream>
#include <memory>
#include <mutex>
#include <penstock_plugin.hpp>
#include <thread>

struct Lookup {
  static constexpr std::string_view type = "lookup", version = "1.0.0";
  struct config {
    gw::path folder;
    uint32_t queue = 1000;
  };
  static constexpr auto fields() {
    return std::tuple{gw::req("folder", &config::folder, "One file for each tenant: its plan"),
                      gw::opt("queue", &config::queue, "Requests that wait at once").range(1, 100'000)};
  }
  Lookup(config c, gw::setup& setup) : cfg(std::move(c)), tenant("x-tenant"), plan("x-plan") {
    refused = setup.counter("example_lookup_refused_total", "Requests for which the queue had no room");
  }

  // What the request and the thread share; gone when both have let go of it.
  struct job {
    gw_ticket ticket;
    std::string tenant, plan;
  };
  struct state {
    std::shared_ptr<job>* mine;  // memory of a request has no destructor: on_complete lets go
  };

  struct worker_state {
    explicit worker_state(Lookup& l) : lookup(l), thread([this] { work(); }) {}
    ~worker_state() {
      {
        const std::lock_guard lock(mutex);
        stopping = true;
      }
      changed.notify_one();
      thread.join();
    }
    bool add(std::shared_ptr<job> one) {
      const std::lock_guard lock(mutex);
      if (jobs.size() >= lookup.cfg.queue) return false;
      jobs.push_back(std::move(one));
      changed.notify_one();
      return true;
    }
    void work() {
      std::unique_lock lock(mutex);
      for (;;) {
        changed.wait(lock, [this] { return stopping || !jobs.empty(); });
        if (stopping) return;
        const std::shared_ptr<job> one = std::move(jobs.front());
        jobs.pop_front();
        lock.unlock();
        std::ifstream(lookup.cfg.folder.text + "/" + one->tenant) >> one->plan;  // may take its time
        gw::resume(one->ticket, one.get());  // false: the request has gone; nothing is lost
        lock.lock();
      }
    }
    Lookup& lookup;
    std::mutex mutex;  // only requests that wait come here
    std::condition_variable changed;
    std::deque<std::shared_ptr<job>> jobs;
    bool stopping = false;
    std::thread thread;  // last: it uses the rest
  };

  // A tenant becomes a part of a path.
  static bool plain(std::string_view name) {
    return !name.empty() && name.size() <= 64 &&
           name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == name.npos;
  }

  gw::verdict on_request_headers(gw::request r) {
    r.remove_header(plan);
    const std::string_view name = r.header(tenant);
    if (!plain(name)) return gw::problem(400, "tenant.missing", "x-tenant names no tenant");
    auto one = std::make_shared<job>(job{r.ticket(), std::string(name), {}});
    r.state<state>().mine = new std::shared_ptr<job>(one);
    if (r.worker<worker_state>()->add(std::move(one))) return gw::pause();
    refused.add();
    return gw::problem(503, "tenant.busy", "too many requests wait for their tenant");
  }
  gw::verdict on_resume(gw::request r, void* data) {
    const auto* found = static_cast<const job*>(data);  // alive: `mine` holds it
    if (found->plan.empty()) return gw::problem(403, "tenant.unknown", "this tenant is not known");
    r.set_header(plan, found->plan);
    return gw::next();
  }
  void on_complete(gw::exchange e, const gw_summary&) { delete e.state<state>().mine; }

  config cfg;
  gw::header tenant, plan;
  gw::counter refused;
};
GW_PLUGIN(Lookup)
