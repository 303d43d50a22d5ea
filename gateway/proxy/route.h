// One route, compiled from its configuration: everything that serving a request needs, found without names.
// Immutable, part of a snapshot. The matching itself is in router.h.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/route_config.h"
#include "proxy/filter_chain.h"
#include "proxy/text_template.h"

namespace penstock::proxy {

// Where a request goes. Exactly one of the four kinds; `cluster` indexes Snapshot::clusters.
struct Target {
  enum class Kind : uint8_t { upstream, split, redirect, respond };
  struct Side {
    uint32_t cluster;
    uint64_t until;  // cumulative weight, in the order written
  };
  struct Redirect {
    uint16_t status = 308;
    std::optional<std::string> scheme, host;
    std::optional<TextTemplate> path, query;
  };
  struct Respond {
    uint16_t status = 200;
    std::string body;
    std::vector<std::pair<std::string, TextTemplate>> headers;
  };
  Kind kind = Kind::respond;
  uint32_t cluster = 0;
  std::vector<Side> sides;
  std::optional<Attribute> split_by;
  Redirect redirect;
  Respond respond;
  std::string at;  // file:line:column
};

struct CompiledEdits {
  std::vector<std::string> remove;
  std::vector<std::pair<std::string, TextTemplate>> set, add;
  void apply(http::Headers& headers, const RequestContext& request) const;
  // Is there a name that is set or removed, for which same(name)?
  template <class Fn>
  bool decides(Fn same) const {
    return std::ranges::any_of(remove, same) ||
           std::ranges::any_of(set, [&](const auto& edit) { return same(edit.first); });
  }
};

struct Route {
  std::string name;
  std::string at;
  uint32_t index = 0;
  const config::Route* config = nullptr;  // lives in the snapshot
  Chain chain;
  const Target* target = nullptr;  // null: every version brings its own
  CompiledEdits request_edits, response_edits;
  struct IdentityHeader {
    std::string name;
    Attribute value;
  };
  std::vector<IdentityHeader> identity_headers;
  // Where its authenticators read credentials; none of it goes to the backend.
  std::vector<std::string> dropped_headers, dropped_query, dropped_cookies;
  std::optional<TextTemplate> rewrite_path;
  uint64_t body_size_limit = 0;  // 0: the listener's
  uint64_t body_buffer = 1024 * 1024;
  uint32_t connect_timeout_ms = 2'000, first_byte_timeout_ms = 30'000, idle_timeout_ms = 60'000;
  uint32_t total_timeout_ms = 0;  // 0: none
};

}  // namespace penstock::proxy
