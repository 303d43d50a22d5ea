// What both test benches of the proxy serve: one public route "/" to one upstream, and a filter "log" that
// keeps what an exchange came to. A bench has it as its first base, so that it outlives what uses it.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "config/patterns.h"
#include "proxy/exchange.h"
#include "unit/proxy/scripted_filter.h"

namespace penstock::proxy::testing {

struct OneRoute {
  config::Route route_config;
  std::shared_ptr<Snapshot> snapshot = std::make_shared<Snapshot>();
  Route* route = nullptr;
  ScriptedFilter* log = nullptr;

  OneRoute() {
    route_config.match.paths = {*config::parse_prefix_pattern("/")};
    auto target = std::make_unique<Target>();
    target->kind = Target::Kind::upstream;
    auto made = std::make_unique<Route>();
    made->name = "all";
    made->config = &route_config;
    made->target = target.get();
    route = made.get();
    snapshot->targets.push_back(std::move(target));
    snapshot->routes.push_back(std::move(made));
    snapshot->router = std::make_unique<Router>(snapshot->routes, std::vector<std::string>{"http"});
    auto filter = std::make_unique<ScriptedFilter>("log");
    filter->add_hooks(Filter::complete_hook);
    log = filter.get();
    route->chain.add(*filter);
    snapshot->base_chain.add(*filter);
    snapshot->filters.push_back(std::move(filter));
  }
};

}  // namespace penstock::proxy::testing
