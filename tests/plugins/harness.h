// Plugins as the gateway runs them, without the gateway: real shared objects in a real Host, requests made by
// hand.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "net/loop.h"
#include "net/timer_wheel.h"
#include "plugin/host.h"
#include "proxy/snapshot.h"

namespace penstock::plugin::testing {

inline config::Node node_of(const nlohmann::ordered_json& json) {
  config::Node node;
  node.at = {0, 1, 1};
  if (json.is_object()) {
    node.kind = config::NodeKind::map;
    for (const auto& [key, value] : json.items()) {
      config::Node child = node_of(value);
      child.key = key;
      child.key_at = {0, static_cast<uint32_t>(node.children.size() + 1), 3};
      child.at = {0, static_cast<uint32_t>(node.children.size() + 1), 10};
      node.children.push_back(std::move(child));
    }
  } else if (json.is_array()) {
    node.kind = config::NodeKind::list;
    for (const auto& value : json) node.children.push_back(node_of(value));
  } else if (!json.is_null()) {
    node.kind = config::NodeKind::scalar;
    node.text = json.is_string() ? json.get<std::string>() : json.dump();
  }
  return node;
}
inline config::Node node_of(const char* text) { return node_of(nlohmann::ordered_json::parse(text)); }

// A folder that goes with the test.
struct Folder {
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "penstock-test-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path;
};

inline std::string shipped(const std::string& name) {
  return std::string(PENSTOCK_BINARY_DIR) + "/plugins/" + name + ".so";
}
inline std::string test_plugin(const std::string& name) {
  return std::string(PENSTOCK_BINARY_DIR) + "/tests/plugins/" + name + ".so";
}

struct World : TargetSink {
  explicit World(HostSettings settings = {}) : host(names, quiet(std::move(settings))) {
    snapshot.targets.push_back(std::make_unique<proxy::Target>());
    snapshot.targets.push_back(std::make_unique<proxy::Target>());
  }
  virtual ~World() { stop_all(); }

  HostSettings quiet(HostSettings settings) {
    if (settings.main == nullptr) settings.main = &loop;
    settings.log = [this](LogLevel, std::string_view line) {
      const std::lock_guard lock(log_mutex);
      log += std::string(line) + "\n";
    };
    return settings;
  }
  uint32_t add_target(const config::Node& node) override {
    target_nodes.push_back(&node);
    return static_cast<uint32_t>(target_nodes.size());  // 1, 2: the targets above
  }
  Asked add_asked(config::Upstream upstream, const std::string&) override {
    snapshot.asked.push_back(std::move(upstream));
    return {static_cast<uint32_t>(snapshot.asked.size() - 1), snapshot.asked.back().name};
  }

  std::string load(const std::string& path) {
    auto library = host.load(path);
    return library ? types.add(*library) : library.error();
  }
  // Null: `diagnostics` says why.
  proxy::Filter* make(const std::string& type, const std::string& name, const char* json,
                      proxy::OnError on_error = proxy::OnError::fail) {
    const config::Node node = node_of(json);
    diagnostics = {};
    auto filter = host.configure({name,
                                  type,
                                  node,
                                  "plugins." + name,
                                  {0, 1, 1},
                                  "test:1:1",
                                  on_error,
                                  {},
                                  {},
                                  files,
                                  snapshot.filters,
                                  configuration},
                                 types, *this, diagnostics);
    if (filter == nullptr) return nullptr;
    filter->index = static_cast<uint32_t>(snapshot.filters.size());
    snapshot.filters.push_back(std::move(filter));
    states.push_back(nullptr);
    if (!snapshot.filters.back()->worker_start(0, loop, &states.back())) return nullptr;
    return snapshot.filters.back().get();
  }
  void stop_all() {
    for (size_t i = 0; i < snapshot.filters.size(); ++i) snapshot.filters[i]->worker_stop(0, states[i]);
    snapshot.filters.clear();
    states.clear();
  }
  std::string messages() const {
    std::string out;
    for (const auto& d : diagnostics.all()) out += d.code + " " + d.path + ": " + d.message + "\n";
    return out;
  }
  proxy::Consumer& consumer(const std::string& name, std::vector<std::string> groups = {}) {
    return snapshot.consumers.add(name, std::move(groups));
  }
  uint64_t counted(const std::string& name, const std::string& instance, const std::string& value = {}) {
    for (const MetricSample& sample : host.metrics()) {
      if (sample.name != name || sample.labels[0].second != instance) continue;
      if (sample.labels.size() < 2 || sample.labels[1].second == value) return sample.count;
    }
    return 0;
  }

  proxy::Names names;
  std::mutex log_mutex;
  std::string log;
  std::vector<const config::Node*> target_nodes;
  std::vector<std::string> files{"/etc/penstock/gateway.yaml"};
  config::Diagnostics diagnostics;
  net::Loop loop;
  Host host;
  TypeSet types;
  proxy::Snapshot snapshot;
  std::shared_ptr<const config::Config> configuration;  // what plugins see of the whole; null: nothing
  std::vector<void*> states;
};

// One request; hooks run through the filters that a test names.
struct Request final : proxy::Resumable {
  explicit Request(World& w)
      : world(w), arena(w.loop.blocks()), head(arena), answer(arena), context(arena, head) {
    head.method_text = "GET";
    head.path = context.path = context.sent_path = "/orders/17";
    context.sent_host = head.authority = "api.example.com";
    context.snapshot = &w.snapshot;
    context.names = &w.names;
    context.loop = &w.loop;
    context.client_address = "203.0.113.9";
    context.request_id = "req-1";
    context.scheme = "https";
    context.wall_ns = 1'800'000'000'000'000'000;  // 2027-01-15T08:00:00Z
    context.monotonic_ns = 1'000'000'000;
    context.resumable = this;
    memory.resize(8192);
    context.contexts = memory;
  }
  bool resume(void* data) override {
    resumed = true;
    resume_data = data;
    return !over;
  }
  Request& header(std::string_view name, std::string_view value) {
    head.headers.add(arena.copy(name), arena.copy(value));
    return *this;
  }
  Request& query(std::string_view text) {
    head.query = text;
    head.has_query = true;
    return *this;
  }
  proxy::FilterCall call(const proxy::Filter& filter) {
    void* state = context.mode == proxy::Mode::live ? world.states[filter.index] : nullptr;
    return {context, state, memory.data() + 512 * (filter.index % 16)};
  }
  proxy::Action run(const proxy::Filter& filter) { return filter.on_request_headers(call(filter)); }
  proxy::AuthVerdict auth(const proxy::Filter& filter) { return filter.authenticate(call(filter)); }
  proxy::Explanation explain(const proxy::Filter& filter) {
    context.mode = proxy::Mode::explain;
    const auto out = filter.explain(call(filter));
    context.mode = proxy::Mode::live;
    return out;
  }
  // The response head as the plugin leaves it: "name: value\n" each.
  std::string respond(const proxy::Filter& filter) {
    answer.headers.clear();
    context.response = &answer;
    action = filter.on_response_headers(call(filter));
    std::string out;
    for (const http::Field& field : answer.headers.fields()) {
      out += std::string(field.name) + ": " + std::string(field.value) + "\n";
    }
    return out;
  }
  std::string_view attribute(std::string_view name) {
    return context.attribute(world.names.attribute_id(name));
  }

  World& world;
  Arena arena;
  http::Message head, answer;
  proxy::RequestContext context;
  std::vector<std::byte> memory;
  proxy::Action action = proxy::Action::next;
  bool resumed = false;
  bool over = false;  // it waits no longer
  void* resume_data = nullptr;
};

}  // namespace penstock::plugin::testing
