// Which route a request takes (LANGUAGE.md "Which route wins"). Immutable; the answer depends on the request
// alone and never on the order of routes in the file. Exact paths are found by hash; the rest is tried in
// order of precedence.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "proxy/route.h"

namespace re2 {
class RE2;
}

namespace penstock::proxy {

enum class Mismatch : uint8_t { none, listener, host, path, method, header, query };
std::string_view name(Mismatch mismatch);

class Router {
 public:
  // `routes` is borrowed: it lives in the same snapshot. listener_names gives the index a request comes with.
  Router(const std::vector<std::unique_ptr<Route>>& routes, const std::vector<std::string>& listener_names);
  ~Router();

  struct Found {
    const Route* route = nullptr;
    // When there is no route: the methods that would have found one ("GET, HEAD"), in the request's arena;
    // empty: 404.
    std::string_view allow;
  };
  // Looks at request.path, .request and the listener's index; fills route, parameters and matched_prefix.
  Found find(RequestContext& request, uint32_t listener) const;

  // For explain: why this route does not take the request (none: it would, alone).
  Mismatch why_not(RequestContext& request, uint32_t listener, const Route& route) const;

 private:
  struct Condition;
  struct Entry;
  struct Tier;
  struct Rule;
  const Entry* search(const Tier& tier, RequestContext& request, uint32_t listener) const;
  bool accepts(const Entry& entry, RequestContext& request, uint32_t listener, Mismatch* why) const;
  std::string_view allowed_methods(RequestContext& request, uint32_t listener) const;

  std::vector<std::unique_ptr<Rule>> rules_;  // by route: methods, headers, query, listeners
  std::unordered_map<std::string_view, std::unique_ptr<Tier>> exact_hosts_;
  std::vector<std::pair<std::string, std::unique_ptr<Tier>>>
      wildcard_hosts_;  // ".example.com", longest first
  std::unique_ptr<Tier> any_host_;
};

}  // namespace penstock::proxy
