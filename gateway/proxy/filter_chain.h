// The plugins of one route in their order, flattened by phase: version, before_auth, auth, plugins,
// access_log. A plugin without a hook of a phase is not in that phase's list and costs nothing. Immutable,
// part of a snapshot; a request's walk along it is a Decision (decision.h).
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/route_config.h"
#include "proxy/filter.h"

namespace penstock::proxy {

struct ChainLink {
  const Filter* filter;
  uint32_t context_offset;  // into RequestContext::contexts
};

struct AccessRule {
  std::vector<std::string> consumers, groups;
  bool empty() const { return consumers.empty() && groups.empty(); }
  bool covers(const RequestContext& request) const;
};

struct AuthPolicy {
  config::Auth::Combine combine = config::Auth::Combine::any_of;
  bool optional = false;
  std::vector<ChainLink> authenticators;
  AccessRule allow, deny;
};

class Chain {
 public:
  // In this order: add() for version and before_auth, set_auth(), add() for plugins and access_log.
  void add(const Filter& filter);
  void set_auth(AuthPolicy policy, const std::vector<const Filter*>& authenticators);

  const std::vector<ChainLink>& before_auth() const { return before_auth_; }  // with a request-header hook
  const std::optional<AuthPolicy>& auth() const { return auth_; }             // nullopt: public
  const std::vector<ChainLink>& after_auth() const { return after_auth_; }
  const std::vector<ChainLink>& responses() const { return responses_; }  // backwards already
  const std::vector<ChainLink>& completions() const { return completions_; }
  // Of the direction: forwards for requests, backwards for responses.
  const std::vector<ChainLink>& bodies(Way way) const { return bodies_[static_cast<size_t>(way)]; }
  const std::vector<ChainLink>& trailers(Way way) const { return trailers_[static_cast<size_t>(way)]; }
  const std::vector<ChainLink>& upgrades() const { return upgrades_; }  // backwards
  const std::vector<ChainLink>& attempts() const { return attempts_; }
  const std::vector<ChainLink>& all() const { return all_; }
  size_t context_bytes() const { return context_bytes_; }

 private:
  ChainLink link(const Filter& filter);
  void add_body_hooks(const ChainLink& link);
  std::vector<ChainLink> before_auth_, after_auth_, responses_, completions_, attempts_, all_, upgrades_;
  std::array<std::vector<ChainLink>, 2> bodies_, trailers_;
  std::optional<AuthPolicy> auth_;
  size_t context_bytes_ = 0;
};

// Whether this link's body, trailers and upgrade hooks run for this request and direction: not those of an
// authenticator that another one was accepted in place of, nor of one that wanted no more of this message.
bool takes_part(const ChainLink& link, Way way, const RequestContext& request);

// What a hook is called with: the worker's and the request's memory of that instance.
FilterCall call_of(const ChainLink& link, RequestContext& request);

}  // namespace penstock::proxy
