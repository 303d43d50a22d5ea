// What stands behind the opaque handles of the ABI. A gw_req is one hook's view of one request, on the stack
// of the call; a gw_instance lives with its filter, or a little longer; a gw_node lives during configure.
#pragma once
#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/keyed_hash.h"
#include "config/config.h"
#include "config/diagnostic.h"
#include "config/node.h"
#include "penstock_plugin.h"
#include "plugin/events.h"
#include "plugin/library.h"
#include "plugin/plugin_code.h"
#include "proxy/filter.h"
#include "proxy/request_context.h"
#include "store/redis_store.h"

namespace penstock::plugin {

enum class Stage : uint8_t {
  authenticate,
  request_headers,
  request_body,
  request_trailers,
  response_headers,
  response_body,
  response_trailers,
  upgrade,
  attempt,
  complete
};

inline std::string_view view(gw_str s) { return {s.ptr, s.ptr == nullptr ? 0 : s.len}; }
inline gw_str str(std::string_view s) { return {s.data(), s.size()}; }

class TargetSink;
struct InstanceCounts;

// How a fetch ended, for its counter.
enum class FetchResult : uint8_t {
  answered,
  connect,
  tls,
  unresolved,
  protocol,
  too_large,
  timeout,
  failed,
  limit,
  cancelled,
  count_
};

// Whom an instance asks: what gw.fetch endpoint() made of its URL. Immutable once configured.
struct FetchEndpoint {
  uint32_t cluster;  // in the Snapshot::clusters of its instance
  std::string cluster_name;
  std::string place;  // in the configuration
  std::string authority, path, query;
  bool has_query = false;
  std::array<gw_metric*, static_cast<size_t>(FetchResult::count_)> results{};
  gw_metric* duration = nullptr;

  void count(FetchResult result) const;  // any thread
};

// Everything about one run of configure.
struct Configuration {
  const config::Node& root;
  const std::string& path;  // of the root, for diagnostics
  config::Diagnostics& diagnostics;
  TargetSink& targets;
  const std::vector<std::string>& files;
  gw_instance& instance;
  std::span<const std::unique_ptr<proxy::Filter>> configured;  // before this one
  std::deque<gw_node> nodes;                                   // addresses stay
  std::deque<std::string> texts;                               // what path() made
  size_t errors = 0;

  const gw_node* handle(const config::Node* node);
};

std::string place_of(const gw_node* node);  // "plugins.idp.jwks_uri"

}  // namespace penstock::plugin

// One hook's view of one request.
struct gw_req {
  penstock::proxy::RequestContext& context;
  penstock::plugin::Host& host;
  gw_instance& instance;
  const penstock::plugin::Stage stage;
  size_t arena_used = 0;
  bool took_ticket = false;
  bool threw = false;  // the hook, which the log knows already

  // The request may still be made another one: its head has not gone on.
  bool shapes_request() const {
    using penstock::plugin::Stage;
    return stage == Stage::request_headers || (stage == Stage::request_body && context.request_held);
  }
  bool shapes_response() const {
    using penstock::plugin::Stage;
    return context.response != nullptr &&
           (stage == Stage::response_headers || (stage == Stage::response_body && context.response_held));
  }
  bool may_answer() const {
    using penstock::plugin::Stage;
    return stage == Stage::request_headers || stage == Stage::request_body ||
           stage == Stage::request_trailers || stage == Stage::upgrade;
  }
};

// A shared store as one instance has it.
struct gw_store {
  std::shared_ptr<penstock::store::RedisStore> redis;
};

// Lives with its filter, and longer while there are pins (plugin/instances.h). Its end is the plugin's
// destroy.
struct gw_instance {
  gw_instance() = default;
  ~gw_instance();  // main thread
  gw_instance(const gw_instance&) = delete;
  gw_instance& operator=(const gw_instance&) = delete;

  std::shared_ptr<penstock::plugin::Library> library;  // first: its code runs in the destructor
  const gw_plugin* plugin = nullptr;
  void* inst = nullptr;
  bool configured = false;
  std::atomic<uint32_t> users{1};  // its filter and the pins
  std::shared_ptr<penstock::plugin::Events::Mailbox> mailbox =
      std::make_shared<penstock::plugin::Events::Mailbox>();
  penstock::plugin::Host* host = nullptr;
  std::shared_ptr<const penstock::config::Config> configuration;  // its consumers' secrets live with us
  std::string name, type;
  penstock::Hash128 kv_space;
  penstock::plugin::CodeOwner owner{};
  std::shared_ptr<penstock::plugin::InstanceCounts> counts;
  std::array<penstock::plugin::PluginCode, penstock::plugin::code_kinds>
      codes{};  // what its functions run as
  const penstock::plugin::PluginCode& code(penstock::plugin::CodeKind kind) const {
    return codes[static_cast<size_t>(kind)];
  }
  std::string store_space;  // "TYPE:NAME", for stores that several processes share
  std::vector<std::unique_ptr<gw_store>> stores;
  uint32_t without_hooks = 0;  // GW_HOOK_...: what configure gave up
  std::string challenge;
  std::vector<std::string> credential_headers, credential_query, credential_cookies;
  std::vector<penstock::plugin::FetchEndpoint> fetch_endpoints;  // by gw_id - 1
};

struct gw_node {
  const penstock::config::Node* node;
  penstock::plugin::Configuration* configuration;
};

struct gw_worker {
  uint32_t index;
};

namespace penstock::plugin {

// Whether a function of the tables that belongs into a hook may go on. A debug build ends the process when
// it was called anywhere else than inside the hook that was given this request, and names the library.
#ifdef NDEBUG
inline bool usable(const gw_req* req) { return req != nullptr; }
#else
bool usable(const gw_req* req, const char* function = __builtin_FUNCTION(),
            const void* caller = __builtin_return_address(0));
#endif

}  // namespace penstock::plugin
