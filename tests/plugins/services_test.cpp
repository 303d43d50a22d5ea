// What the host does for plugins beside their requests: work on the thread pool, calls and events on the main
// thread, gauges, status, secrets of consumers. Through a plugin that is built with the SDK.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "plugins/harness.h"
#include "plugins/programs/probe.h"

using namespace penstock::plugin;
using namespace penstock::plugin::testing;
using penstock::Limit;
using penstock::proxy::Action;
using penstock::proxy::Filter;

namespace {

constexpr int pool_threads = 4;  // libuv's, unless the environment says otherwise

struct Services : World {
  explicit Services(const char* type = "services") {
    REQUIRE(load(test_plugin("services")) == "");
    filter = make_one(type, "s");
  }
  ~Services() override {
    probe.open();
    stop_all();
    loop.run();
  }
  Filter* make_one(const char* type, const char* name) {
    const auto address = std::to_string(reinterpret_cast<uintptr_t>(&probe));
    auto* made = make(type, name, (R"({"probe": ")" + address + "\"}").c_str());
    REQUIRE_MESSAGE(made != nullptr, messages());
    return made;
  }
  std::unique_ptr<Request> begin(const char* what = "offload") {
    auto request = std::make_unique<Request>(*this);
    request->action = request->header("do", what).run(*filter);
    return request;
  }
  void end(std::unique_ptr<Request>& request) {
    filter->on_complete(request->call(*filter), {});
    request.reset();
  }

  Probe probe;
  Filter* filter = nullptr;
};

}  // namespace

TEST_CASE("offloaded work is done elsewhere, and its request goes on with what came of it") {
  Services w;
  auto r = w.begin();
  REQUIRE(r->action == Action::pause);
  w.probe.open();
  w.loop.run();
  REQUIRE(r->resumed);
  CHECK(w.filter->on_resume(r->call(*w.filter), r->resume_data) == Action::respond);
  CHECK(r->context.local.status == 442);
  CHECK(w.probe.released == 1);
  CHECK(w.host.offload().pieces() == 0);
  CHECK(w.host.tickets().waiting() == 0);
}

TEST_CASE("work that throws is an error of its plugin") {
  Services w;
  auto r = w.begin("throw");
  w.probe.open();
  w.loop.run();
  REQUIRE(r->resumed);
  CHECK(w.filter->on_resume(r->call(*w.filter), r->resume_data) == Action::error);
  CHECK(w.log.find("on_resume: in the work") != std::string::npos);
  CHECK(w.probe.released == 1);
}

TEST_CASE("whenever its request ends, a piece of work is released exactly once") {
  enum class Ends { before_its_turn, while_it_runs, after_it, at_delivery, without_pause };
  for (const Ends ends :
       {Ends::before_its_turn, Ends::while_it_runs, Ends::after_it, Ends::at_delivery, Ends::without_pause}) {
    CAPTURE(static_cast<int>(ends));
    Services w;
    std::vector<std::unique_ptr<Request>> others;
    if (ends == Ends::before_its_turn) {
      for (int i = 0; i < pool_threads; ++i) others.push_back(w.begin());
      w.probe.wait_until(w.probe.begun, pool_threads);
    }
    auto r = w.begin(ends == Ends::without_pause ? "offload-continue" : "offload");
    REQUIRE(r->action == (ends == Ends::without_pause ? Action::next : Action::pause));
    if (ends == Ends::while_it_runs) w.probe.wait_until(w.probe.begun, 1);
    if (ends == Ends::before_its_turn || ends == Ends::while_it_runs) w.end(r);
    w.probe.open();
    if (ends == Ends::after_it) {
      w.probe.wait_until(w.probe.done, 1);
      w.end(r);
    }
    if (ends == Ends::at_delivery) r->over = true;
    w.loop.run();
    CHECK(w.probe.resumed == 0);
    CHECK(w.probe.released == 1);
    if (ends == Ends::before_its_turn) CHECK(w.probe.begun == pool_threads);
    for (auto& other : others) {
      REQUIRE(other->resumed);
      w.filter->on_resume(other->call(*w.filter), other->resume_data);
    }
    CHECK(w.host.tickets().waiting() == 0);
  }
}

TEST_CASE("a pause that took too long makes its ticket stale") {
  Services w;
  auto r = w.begin();
  w.probe.wait_until(w.probe.begun, 1);
  w.filter->pause_over(r->call(*w.filter));
  w.probe.open();
  w.loop.run();
  CHECK_FALSE(r->resumed);
  CHECK(w.probe.released == 1);
}

TEST_CASE("over limits.plugin_work nothing is begun, the plugin is told, and it is counted") {
  Services w;
  penstock::config::ProcessLimits limits;
  limits.plugin_work = 2;
  w.host.set_limits(limits);
  std::vector<std::unique_ptr<Request>> requests;
  for (int i = 0; i < 4; ++i) requests.push_back(w.begin());
  for (int i = 0; i < 4; ++i) {
    CHECK(requests[i]->action == (i < 2 ? Action::pause : Action::respond));
    if (i >= 2) CHECK(requests[i]->context.local.status == 503);
  }
  CHECK(w.host.limit_counts().of(Limit::plugin_work) == 2);
  CHECK(w.probe.released == 2);
  w.probe.open();
  w.loop.run();
  for (int i = 0; i < 2; ++i) w.filter->on_resume(requests[i]->call(*w.filter), requests[i]->resume_data);
  auto next = w.begin();
  CHECK(next->action == Action::pause);
  w.end(next);
}

TEST_CASE("a request that cannot wait begins no work") {
  Services w;
  Request r(w);
  r.context.resumable = nullptr;
  CHECK(r.header("do", "offload").run(*w.filter) == Action::respond);
  CHECK(w.probe.released == 1);
  CHECK(w.probe.begun == 0);
}

TEST_CASE("an instance and its library live until their work is over, also when the snapshot is gone") {
  Services w;
  const std::weak_ptr<Library> library = w.types.find("services")->library;
  auto r = w.begin();
  w.probe.wait_until(w.probe.begun, 1);
  w.end(r);
  w.stop_all();
  w.types = {};
  w.loop.post([&] { w.loop.stop(); });
  w.loop.run();
  CHECK(w.probe.destroyed == 0);
  CHECK(w.host.instances().retired() == 1);
  CHECK_FALSE(library.expired());
  w.probe.open();
  w.loop.run();
  CHECK(w.probe.released == 1);
  CHECK(w.probe.destroyed == 1);
  CHECK(w.host.instances().retired() == 0);
  CHECK(library.expired());
}

TEST_CASE("requests come and go on the loop while the pool works: nothing is lost and nothing is twice") {
  Services w;
  w.probe.open();
  constexpr int rounds = 400;
  std::vector<std::unique_ptr<Request>> requests;
  int resumed = 0;
  const auto settle = [&] {
    w.loop.run();
    for (auto& r : requests) {
      if (r->resumed && ++resumed > 0) w.filter->on_resume(r->call(*w.filter), r->resume_data);
      w.end(r);
    }
    requests.clear();
  };
  for (int i = 0; i < rounds; ++i) {
    requests.push_back(w.begin());
    REQUIRE(requests.back()->action == Action::pause);
    if (i % 3 == 0) {  // gone at some moment of its work
      w.end(requests.back());
      requests.pop_back();
    }
    if (i % 50 == 49) settle();
  }
  settle();
  CHECK(w.probe.released == rounds);
  CHECK(w.probe.resumed == resumed);
  CHECK(resumed == rounds - (rounds + 2) / 3);
}

TEST_CASE("START comes when the configuration was taken, then a tick a second; other events at any time") {
  Services w;
  w.host.notify(Event::reopen_logs);
  CHECK(w.probe.events == "R");
  w.filter->started();
  w.filter->started();
  CHECK(w.probe.events == "RS");
  const uint64_t began = w.loop.now_ms();
  w.probe.told = [&] {
    if (w.probe.events.ends_with("TT")) w.loop.stop();
  };
  w.loop.run();
  CHECK(w.probe.events == "RSTT");
  CHECK(w.loop.now_ms() - began >= 1'990);
  w.host.notify(Event::drain);  // throws
  CHECK(w.probe.events == "RSTTD");
  CHECK(w.log.find("threw") != std::string::npos);
}

TEST_CASE(
    "whatever is posted from any thread is called on the main one, in bounds, and never after destroy") {
  Services w;
  penstock::config::ProcessLimits limits;
  limits.plugin_posts = 100;
  w.host.set_limits(limits);
  std::atomic<int> taken{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) taken += w.probe.post(w.probe.poster) ? 1 : 0;
      });
  }
  CHECK(taken == 100);
  CHECK(w.host.limit_counts().of(Limit::plugin_posts) == 300);
  CHECK(w.probe.posted == 0);
  w.loop.run();
  CHECK(w.probe.posted == 100);
  CHECK(w.probe.post(w.probe.poster));
  w.stop_all();
  w.loop.run();
  CHECK(w.probe.destroyed == 1);
  CHECK(w.probe.posted == 100);
}

TEST_CASE("a gauge shows what was set last, and is no counter") {
  Services w;
  w.begin("level");
  const auto samples = w.host.metrics();
  const auto level = std::ranges::find(samples, "services_level", &MetricSample::name);
  REQUIRE(level != samples.end());
  CHECK(level->kind == SeriesKind::gauge);
  CHECK(level->level == 2.5);
  Metrics metrics;
  gw_metric* gauge = metrics.declare("a", "g", "", "", "", {}, SeriesKind::gauge);
  gauge->add(7);
  gauge->observe(7);
  gauge->set(-1);
  CHECK(metrics.collect()[0].level == -1);
  CHECK(metrics.collect()[0].count == 0);
  CHECK(metrics.declare("a", "g", "", "", "", {}, SeriesKind::counter) == nullptr);
}

TEST_CASE("instances tell their status as one JSON object, if they do, and older plugins are not asked") {
  Services w;
  w.make_one("services_old", "old");
  auto told = statuses(w.snapshot);
  REQUIRE(told.size() == 1);
  CHECK(told[0].name == "s");
  CHECK(told[0].type == "services");
  CHECK(told[0].text == R"({"things":3})");
  for (const char* wrong : {"[]", "{", "3", "{} {}"}) {
    w.probe.status = wrong;
    CHECK(statuses(w.snapshot).empty());
  }
  CHECK(w.log.find("its status is no JSON object") != std::string::npos);
  w.probe.status = "{\"a\":\"" + std::string(64 * 1024, 'x') + "\"}";
  CHECK(statuses(w.snapshot).empty());
  w.probe.status = "";
  CHECK(statuses(w.snapshot).empty());
}

TEST_CASE("a plugin sees consumers' secrets while it is configured, and finds them by name for a request") {
  World w;
  auto configuration = std::make_shared<penstock::config::Config>();
  configuration->consumers.resize(2);
  configuration->consumers[0].name = "ann";
  configuration->consumers[0].basic.push_back({"ann", penstock::config::Secret("$2b$hash"), {}});
  configuration->consumers[1].name = "bob";
  configuration->consumers[1].basic.push_back({"bob", penstock::config::Secret("$2b$other"), {}});
  configuration->consumers[1].hmac.push_back({"id", penstock::config::Secret("key"), {}});
  w.configuration = configuration;
  const auto& ann = w.consumer("ann");
  w.snapshot.consumers.add_secret(ann, penstock::proxy::SecretKind::basic, "ann", "$2b$hash");
  REQUIRE(w.load(test_plugin("services")) == "");
  Probe probe;
  const auto address = std::to_string(reinterpret_cast<uintptr_t>(&probe));
  auto* filter = w.make("services", "s", (R"({"probe": ")" + address + "\"}").c_str());
  REQUIRE(filter != nullptr);
  CHECK(probe.secrets == "ann/ann=$2b$hash bob/bob=$2b$other bob/id=key ");
  Request known(w), unknown(w);
  CHECK(known.header("do", "secret").header("name", "ann").run(*filter) == Action::respond);
  CHECK(known.context.local.detail == "$2b$hash");
  unknown.header("do", "secret").header("name", "eve").run(*filter);
  CHECK(unknown.context.local.status == 404);
  w.stop_all();  // while the probe is there
}
