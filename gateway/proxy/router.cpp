#include "proxy/router.h"

#include <re2/re2.h>

#include <algorithm>
#include <optional>
#include <tuple>

#include "config/patterns.h"
#include "proxy/path_match.h"

namespace penstock::proxy {
namespace {

constexpr int max_groups = 16;

re2::StringPiece piece(std::string_view text) { return {text.data(), text.size()}; }

std::unique_ptr<re2::RE2> compile_regex(const std::string& expression) {
  re2::RE2::Options options(re2::RE2::Quiet);
  return std::make_unique<re2::RE2>(expression, options);
}

// LANGUAGE.md: port and final dot of a host do not count.
std::string_view host_of(std::string_view authority) {
  if (authority.starts_with('[')) {
    size_t end = authority.find(']');
    return end == std::string_view::npos ? authority : authority.substr(0, end + 1);
  }
  authority = authority.substr(0, authority.find(':'));
  if (authority.ends_with('.')) authority.remove_suffix(1);
  return authority;
}

}  // namespace

std::string_view name(Mismatch mismatch) {
  switch (mismatch) {
    case Mismatch::none: return "matches";
    case Mismatch::listener: return "is not on this listener";
    case Mismatch::host: return "host does not match";
    case Mismatch::path: return "path does not match";
    case Mismatch::method: return "method does not match";
    case Mismatch::header: return "a header does not match";
    case Mismatch::query: return "a query parameter does not match";
  }
  return {};
}

// One header or query condition.
struct Router::Condition {
  const config::ValueCondition* config;
  http::HeaderId header;
  std::unique_ptr<re2::RE2> regex;

  bool holds_for(std::string_view value) const {
    if (config->kind == config::ValueCondition::Kind::exact) return value == config->value;
    return re2::RE2::FullMatch(piece(value), *regex);
  }
};

// What a route asks besides host and path.
struct Router::Rule {
  const Route* route;
  const config::Match* match;
  std::vector<bool> listeners;  // by index; empty: all
  std::vector<Condition> headers, query;
  std::vector<std::pair<const config::PathPattern*, std::unique_ptr<re2::RE2>>> regexes;

  bool on_listener(uint32_t index) const {
    return listeners.empty() || (index < listeners.size() && listeners[index]);
  }
  bool method(const http::Message& request) const {
    if (match->methods.empty()) return true;
    for (const std::string& allowed : match->methods)
      if (allowed == request.method_text || (request.method == http::Method::head && allowed == "GET"))
        return true;
    return false;
  }
  bool header_conditions(const RequestContext& request) const {
    using Kind = config::ValueCondition::Kind;
    return std::ranges::all_of(headers, [&](const Condition& condition) {
      bool host = condition.header == http::HeaderId::host;
      bool seen = host && !request.request.authority.empty();
      bool held =
          seen && condition.config->kind >= Kind::exact && condition.holds_for(request.request.authority);
      for (const http::Field& field : request.request.headers.fields()) {
        if (field.name != condition.config->name) continue;
        seen = true;
        if (condition.config->kind >= Kind::exact && condition.holds_for(field.value)) held = true;
      }
      if (condition.config->kind == Kind::present) return seen;
      if (condition.config->kind == Kind::absent) return !seen;
      return held;
    });
  }
  bool query_conditions(const RequestContext& request) const {
    using Kind = config::ValueCondition::Kind;
    return std::ranges::all_of(query, [&](const Condition& condition) {
      bool seen = false, held = false;
      each_query_value(request.arena, request.request.query, condition.config->name,
                       [&](std::string_view value) {
                         seen = true;
                         if (condition.config->kind >= Kind::exact && condition.holds_for(value)) held = true;
                       });
      if (condition.config->kind == Kind::present) return seen;
      if (condition.config->kind == Kind::absent) return !seen;
      return held;
    });
  }
  size_t conditions() const { return config::condition_count(*match); }
};

// One path pattern of one route in one host tier.
struct Router::Entry {
  const Rule* rule;
  const config::PathPattern* pattern;
  const re2::RE2* regex;

  // true: `a` is tried before `b`.
  static bool before(const Entry& a, const Entry& b) {
    if (auto order = config::compare_paths(*a.pattern, *b.pattern); order != 0) return order < 0;
    return std::forward_as_tuple(b.rule->conditions(), b.rule->route->config->priority, a.rule->route->name) <
           std::forward_as_tuple(a.rule->conditions(), a.rule->route->config->priority, b.rule->route->name);
  }
};

// All patterns of one host pattern.
struct Router::Tier {
  std::unordered_map<std::string_view, std::vector<Entry>> exact;  // by path
  std::vector<Entry> rest;                                         // templates, regular expressions, prefixes

  void add(const Entry& entry) {
    if (entry.pattern->kind == config::PathPattern::Kind::exact)
      exact[entry.pattern->text].push_back(entry);
    else
      rest.push_back(entry);
  }
  void sort() {
    for (auto& [path, entries] : exact) std::ranges::sort(entries, Entry::before);
    std::ranges::sort(rest, Entry::before);
  }
};

Router::Router(const std::vector<std::unique_ptr<Route>>& routes,
               const std::vector<std::string>& listener_names) {
  any_host_ = std::make_unique<Tier>();
  for (const auto& route : routes) {
    const config::Match& match = route->config->match;
    auto rule = std::make_unique<Rule>(Rule{route.get(), &match, {}, {}, {}, {}});
    if (!route->config->listeners.empty()) {
      for (const std::string& listener : listener_names)
        rule->listeners.push_back(std::ranges::any_of(
            route->config->listeners, [&](const config::NameRef& ref) { return ref.name == listener; }));
    }
    auto conditions = [](const std::vector<config::ValueCondition>& from, std::vector<Condition>& to) {
      for (const config::ValueCondition& condition : from)
        to.push_back({&condition, http::header_id(condition.name),
                      condition.kind == config::ValueCondition::Kind::regex ? compile_regex(condition.value)
                                                                            : nullptr});
    };
    conditions(match.headers, rule->headers);
    conditions(match.query, rule->query);
    for (const config::PathPattern& pattern : match.paths) {
      const re2::RE2* regex = nullptr;
      if (pattern.kind == config::PathPattern::Kind::regex)
        regex = rule->regexes.emplace_back(&pattern, compile_regex(pattern.text)).second.get();
      Entry entry{rule.get(), &pattern, regex};
      if (match.hosts.empty()) any_host_->add(entry);
      for (const config::HostPattern& host : match.hosts) {
        if (host.kind == config::HostPattern::Kind::exact) {
          auto& tier = exact_hosts_[host.text];
          if (!tier) tier = std::make_unique<Tier>();
          tier->add(entry);
          continue;
        }
        auto it = std::ranges::find(wildcard_hosts_, host.text,
                                    &std::pair<std::string, std::unique_ptr<Tier>>::first);
        if (it == wildcard_hosts_.end())
          it = wildcard_hosts_.insert(wildcard_hosts_.end(), {host.text, std::make_unique<Tier>()});
        it->second->add(entry);
      }
    }
    rules_.push_back(std::move(rule));
  }
  any_host_->sort();
  for (auto& [host, tier] : exact_hosts_) tier->sort();
  for (auto& [host, tier] : wildcard_hosts_) tier->sort();
  std::ranges::stable_sort(wildcard_hosts_,
                           [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
}

Router::~Router() = default;

bool Router::accepts(const Entry& entry, RequestContext& request, uint32_t listener, Mismatch* why) const {
  auto no = [&](Mismatch mismatch) {
    if (why) *why = mismatch;
    return false;
  };
  const Rule& rule = *entry.rule;
  if (!rule.on_listener(listener)) return no(Mismatch::listener);
  if (!match_path(*entry.pattern, request.path, nullptr)) {
    if (!entry.regex || !re2::RE2::FullMatch(piece(request.path), *entry.regex)) return no(Mismatch::path);
  }
  if (!rule.method(request.request)) return no(Mismatch::method);
  if (!rule.header_conditions(request)) return no(Mismatch::header);
  if (!rule.query_conditions(request)) return no(Mismatch::query);
  return true;
}

const Router::Entry* Router::search(const Tier& tier, RequestContext& request, uint32_t listener) const {
  if (auto it = tier.exact.find(request.path); it != tier.exact.end())
    for (const Entry& entry : it->second)
      if (accepts(entry, request, listener, nullptr)) return &entry;
  for (const Entry& entry : tier.rest)
    if (accepts(entry, request, listener, nullptr)) return &entry;
  return nullptr;
}

// Calls fn(tier) for the tiers that the host belongs to, in order of precedence, until it returns true.
template <class Fn>
static bool each_tier(std::string_view host, const auto& exact, const auto& wildcards, const auto& any,
                      Fn fn) {
  if (auto it = exact.find(host); it != exact.end() && fn(*it->second)) return true;
  for (const auto& [suffix, tier] : wildcards)
    if (host.size() > suffix.size() && host.ends_with(suffix) && fn(*tier)) return true;
  return fn(*any);
}

static void capture_groups(const re2::RE2& regex, RequestContext& request) {
  re2::StringPiece groups[max_groups];
  int count = std::min(regex.NumberOfCapturingGroups() + 1, max_groups);
  re2::StringPiece text = piece(request.path);
  if (!regex.Match(text, 0, text.size(), re2::RE2::ANCHOR_BOTH, groups, count)) return;
  auto parameters = request.arena.make_array<PathParameter>(regex.NamedCapturingGroups().size());
  size_t used = 0;
  for (const auto& [name, index] : regex.NamedCapturingGroups())
    if (index < count && groups[index].data())
      parameters[used++] = {name, {groups[index].data(), groups[index].size()}};
  request.parameters = parameters.first(used);
}

Router::Found Router::find(RequestContext& request, uint32_t listener) const {
  const Entry* found = nullptr;
  each_tier(host_of(request.request.authority), exact_hosts_, wildcard_hosts_, any_host_,
            [&](const Tier& tier) {
              found = search(tier, request, listener);
              return found != nullptr;
            });
  if (!found) return {nullptr, allowed_methods(request, listener)};
  PathMatch match;
  if (found->regex) {
    capture_groups(*found->regex, request);
    match.matched = static_cast<uint32_t>(request.path.size());
  } else {
    if (!found->pattern->parameters.empty())
      request.parameters = request.arena.make_array<PathParameter>(found->pattern->parameters.size());
    match.parameters = request.parameters;
    match_path(*found->pattern, request.path, &match);
  }
  request.matched_prefix = match.matched;
  return {found->rule->route, {}};
}

Mismatch Router::why_not(RequestContext& request, uint32_t listener, const Route& route) const {
  // The furthest that any of its patterns comes.
  Mismatch best = Mismatch::host;
  if (!rules_[route.index]->on_listener(listener)) return Mismatch::listener;
  auto look = [&](const Entry& entry) {
    if (entry.rule->route != &route) return;
    Mismatch why = Mismatch::none;
    accepts(entry, request, listener, &why);
    if (why == Mismatch::none || (best != Mismatch::none && why > best)) best = why;
  };
  each_tier(host_of(request.request.authority), exact_hosts_, wildcard_hosts_, any_host_,
            [&](const Tier& tier) {
              if (best == Mismatch::host &&
                  std::ranges::any_of(tier.rest, [&](auto& e) { return e.rule->route == &route; }))
                best = Mismatch::path;
              for (const auto& [path, entries] : tier.exact)
                for (const Entry& entry : entries) {
                  if (entry.rule->route != &route) continue;
                  if (best == Mismatch::host) best = Mismatch::path;
                  if (path == request.path) look(entry);
                }
              for (const Entry& entry : tier.rest) look(entry);
              return false;
            });
  return best;
}

std::string_view Router::allowed_methods(RequestContext& request, uint32_t listener) const {
  std::string_view allow;
  auto add = [&](std::string_view method) {
    for (std::string_view rest = allow; !rest.empty();) {
      size_t end = rest.find(", ");
      if (rest.substr(0, end) == method) return;
      rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 2);
    }
    allow = allow.empty() ? method : request.arena.join(allow, ", ", method);
  };
  each_tier(host_of(request.request.authority), exact_hosts_, wildcard_hosts_, any_host_,
            [&](const Tier& tier) {
              auto look = [&](const Entry& entry) {
                Mismatch why = Mismatch::none;
                accepts(entry, request, listener, &why);
                if (why != Mismatch::method) return;
                if (!entry.rule->header_conditions(request) || !entry.rule->query_conditions(request)) return;
                for (const std::string& method : entry.rule->match->methods) {
                  add(method);
                  if (method == "GET") add("HEAD");
                }
              };
              if (auto it = tier.exact.find(request.path); it != tier.exact.end())
                std::ranges::for_each(it->second, look);
              std::ranges::for_each(tier.rest, look);
              return false;
            });
  return allow;
}

}  // namespace penstock::proxy
