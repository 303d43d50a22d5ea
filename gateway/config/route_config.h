// One route of a compiled configuration, as plain structs: what it matches, who may pass, where it goes. No
// behaviour: the router (proxy/) does the matching. Owned by Config; made on the control thread, read-only
// afterwards. Defaults are merged in already; names that are referred to are known to exist.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/node.h"
#include "config/values.h"

namespace penstock::config {

// A name used at a place: a plugin, an upstream, a listener, a group.
struct NameRef {
  std::string name;
  Position at;
  bool secret = false;  // not to be printed
};

struct HostPattern {
  enum class Kind : uint8_t { exact, wildcard };
  Kind kind = Kind::exact;
  std::string text;  // lower case, no final dot; a wildcard keeps ".docs.example.com" without its star
  Position at;
};

struct PathSegment {
  enum class Kind : uint8_t { literal, version, parameter };  // in the order of precedence
  Kind kind = Kind::literal;
  std::string text;  // canonical bytes of a literal, or the parameter's name ("version" for {version})
  bool operator==(const PathSegment&) const = default;
};

// Exact and prefix patterns may hold parameters too: an exact pattern with one is a `templated` one, a prefix
// keeps its kind. A prefix "/" has no segments and matches every path.
struct PathPattern {
  enum class Kind : uint8_t { exact, templated, regex, prefix };  // in the order of precedence
  enum class FinalSlash : uint8_t { absent, present };
  Kind kind = Kind::prefix;
  std::string text;                   // exact: canonical path; regex: the expression; else as written
  std::vector<PathSegment> segments;  // exact, templated, prefix
  FinalSlash final_slash = FinalSlash::absent;  // counts for exact and templated, ignored for prefixes
  std::vector<std::string> parameters;          // names that path.NAME gives: {names} or named groups
  bool every_target = false;                    // of a match without a path: takes "*" too (OPTIONS *)
  Position at;
};

// A test of one header or query parameter. Of repeated fields any one may satisfy it (`absent`: none).
struct ValueCondition {
  enum class Kind : uint8_t { present, absent, exact, regex };
  Kind kind = Kind::present;
  std::string name;   // header names in lower case
  std::string value;  // exact text or RE2 expression, on the whole value
  Position at;
};

struct Match {
  std::vector<HostPattern> hosts;    // empty: every host
  std::vector<PathPattern> paths;    // never empty: without a path condition it is the prefix "/"
  std::vector<std::string> methods;  // upper case; empty: every method; GET brings HEAD with it
  std::vector<ValueCondition> headers;
  std::vector<ValueCondition> query;
};

// Who is let in once known. Either list of `allow` suffices, `deny` is stronger. Empty lists: no such rule.
struct AccessList {
  std::vector<NameRef> consumers;
  std::vector<NameRef> groups;
  bool empty() const { return consumers.empty() && groups.empty(); }
};

struct Auth {
  enum class Combine : uint8_t { any_of, all_of };
  enum class Credentials : uint8_t { required, optional };
  Combine combine = Combine::any_of;
  std::vector<NameRef> authenticators;  // plugin instances, never empty
  AccessList allow;
  AccessList deny;
  Credentials credentials = Credentials::required;
  Position at;
};

struct UpstreamTarget {
  std::string upstream;
  Position at;
  bool secret = false;  // the name is not to be printed
};
struct SplitSide {
  std::string upstream;
  uint32_t weight = 1;  // relative; the sum of a split is never 0
  Position at;
};
struct SplitTarget {
  std::vector<SplitSide> sides;  // in the order written, which the hash depends on
  std::optional<Attribute> key;  // split_by; without one: at random per request
  Position at;
  bool secret_key = false;  // `key` is not to be printed
};
struct RedirectTarget {
  uint16_t status = 308;
  std::optional<std::string> scheme;  // what is not given is kept from the request
  std::optional<std::string> host;    // may hold ":port"
  std::optional<Template> path;
  std::optional<Template> query;  // without '?'; empty text: none
  Position at;
};
struct RespondTarget {
  uint16_t status = 200;
  std::string body;
  std::vector<HeaderTemplate> headers;
  Position at;
};
// monostate only while a configuration is in error, and on a route whose versions all bring their own.
using Target = std::variant<std::monostate, UpstreamTarget, SplitTarget, RedirectTarget, RespondTarget>;

// One name under version.versions. `target` is the effective one: its own, else the route's.
struct VersionEntry {
  std::string name;
  Target target;
  Position at;
};
// `node` is the whole subtree, for the plugin of type `version` which reads from, default, unknown and dates.
struct Version {
  Node node;
  std::string path;  // such as "routes.orders.version", for diagnostics
  std::vector<VersionEntry> versions;
  Position at;
};

struct Rewrite {
  enum class Location : uint8_t { keep, map_back };
  std::optional<std::string> host;
  std::optional<std::string> path_prefix;  // in place of the matched prefix's segments
  std::optional<Template> path;            // never with path_prefix
  Location location = Location::keep;
  Position at;
};

struct HeaderEdits {
  std::vector<HeaderTemplate> set;  // replaces what is there
  std::vector<HeaderTemplate> add;  // one more field
  std::vector<std::string> remove;  // lower case; removed before set and add
  bool empty() const { return set.empty() && add.empty() && remove.empty(); }
};

struct IdentityHeader {
  std::string name;  // lower case; the client's own is dropped
  Attribute value;
  bool secret = false;  // `value` is not to be printed
};

struct Timeouts {
  Duration connect{2'000};
  Duration first_byte{30'000};
  Duration idle{60'000};
  std::optional<Duration> total;  // nullopt: none
};

struct Retries {
  enum class Unsafe : uint8_t { never, allowed };  // POST and PATCH
  uint32_t attempts = 2;                           // beyond the first
  bool on_connect = true;
  bool on_reset = true;
  bool on_timeout = true;
  std::vector<uint16_t> on_status = {503};
  double budget = 0.20;  // share of requests over the last 10 s
  uint64_t body_limit = 64 * 1024;
  Unsafe unsafe = Unsafe::never;
};

// One access log: an instance of the plugin type `logging`. `node` is its subtree (an empty map for the
// built-in one), `name` and `path` such as "access_log[0]" or "routes.export.access_log[1]".
struct LogInstance {
  std::string name;
  std::string path;
  Node node;
  Position at;
};

struct Route {
  enum class ForwardCredentials : uint8_t { no, yes };
  enum class GrpcWeb : uint8_t { kept, translated };  // to gRPC
  std::string name;
  Position at;
  Match match;
  std::vector<NameRef> listeners;  // empty: every listener
  int32_t priority = 0;
  std::optional<Auth> auth;  // nullopt: public
  std::vector<NameRef> before_auth;
  std::vector<NameRef> plugins;
  std::optional<Version> version;
  Target target;
  std::optional<Rewrite> rewrite;
  HeaderEdits request_headers;
  HeaderEdits response_headers;
  std::vector<IdentityHeader> identity_headers;
  Timeouts timeouts;
  Retries retries;
  std::optional<uint64_t> body_size;                   // nullopt: the listener's
  uint64_t body_buffer = 1024 * 1024;                  // of one plugin
  std::optional<std::vector<LogInstance>> access_log;  // nullopt: the global ones; empty: none
  std::vector<std::string> upgrade = {"websocket"};    // lower case
  ForwardCredentials forward_credentials = ForwardCredentials::no;
  GrpcWeb grpc_web = GrpcWeb::kept;
};

}  // namespace penstock::config
