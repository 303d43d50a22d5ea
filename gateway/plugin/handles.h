// What stands behind the opaque handles of the ABI. A gw_req is one hook's view of one request, on the stack
// of the call; a gw_instance lives with its filter; a gw_node lives during configure.
#pragma once
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/keyed_hash.h"
#include "config/diagnostic.h"
#include "config/node.h"
#include "penstock_plugin.h"
#include "plugin/library.h"
#include "proxy/filter.h"
#include "proxy/request_context.h"

namespace penstock::plugin {

enum class Stage : uint8_t { authenticate, request_headers, response_headers, attempt, complete };

inline std::string_view view(gw_str s) { return {s.ptr, s.len}; }
inline gw_str str(std::string_view s) { return {s.data(), s.size()}; }

class TargetSink;

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

}  // namespace penstock::plugin

struct gw_req {
  penstock::proxy::RequestContext& context;
  penstock::plugin::Host& host;
  const gw_instance& instance;
  const penstock::plugin::Stage stage;
  size_t arena_used = 0;
  bool took_ticket = false;
};

struct gw_instance {
  penstock::plugin::Host* host = nullptr;
  std::string name, type;
  penstock::Hash128 kv_space;
  uint32_t without_hooks = 0;  // GW_HOOK_...: what configure gave up
  std::string challenge;
  std::vector<std::string> credential_headers, credential_query, credential_cookies;
};

struct gw_node {
  const penstock::config::Node* node;
  penstock::plugin::Configuration* configuration;
};

struct gw_worker {
  uint32_t index;
};
