// What one request knows about itself while it is decided and served: the facts (head, client, clock), what
// the decision found (route, parameters, version, consumer, target) and what plugins recorded. The exchange
// and explain both fill one and run the same decision over it. One worker; everything in it lives in `arena`
// or in the pinned snapshot.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "base/arena.h"
#include "base/result.h"
#include "http/message.h"
#include "net/address.h"
#include "proxy/attribute.h"
#include "proxy/consumers.h"
#include "proxy/grpc.h"

namespace penstock::http {
class Stream;
}  // namespace penstock::http
namespace penstock::net {
class Loop;
struct TlsInfo;
}  // namespace penstock::net
namespace penstock::upstream {
class Cluster;
}  // namespace penstock::upstream

namespace penstock::proxy {

struct Route;
struct Target;
struct Snapshot;
class BodyChain;
class Filter;
class Random;

enum class Phase : uint8_t { routing, authenticate, request_headers, upstream, response_headers, complete };
// live: hooks run. explain: only explain() hooks run; nothing is counted, stored or sent.
enum class Mode : uint8_t { live, explain };

struct PathParameter {
  std::string_view name, value;  // value: canonical bytes, still percent-encoded
};

struct HeaderEdit {
  enum class Op : uint8_t { set, add, remove } op;
  std::string_view name, value;
  HeaderEdit* next;
};

// What is remembered of one plugin for the bodies that follow.
struct FilterMark {
  enum class Kind : uint8_t { accepted, request_detached, response_detached } kind;
  const Filter* filter;
  const FilterMark* next;
};

// An answer that the gateway gives itself: a refusal, a redirect, a respond, or an error.
struct LocalResponse {
  uint16_t status = 0;       // 0: none recorded
  bool problem = false;      // application/problem+json made from the rest
  std::string_view reason;   // stable code; empty for what is no refusal
  std::string_view detail;   // for a human
  std::string_view members;  // further JSON members, as they are
  std::string_view content_type, body;
  std::string_view plugin;        // the instance that answered; empty: the core
  HeaderEdit* headers = nullptr;  // fields of the answer, last first
};

// What an authenticator recorded; judged by the chain when the hook returns.
struct AuthRecord {
  const Consumer* consumer = nullptr;  // a configured consumer, or
  std::string_view identity;           // "PLUGIN:claim"
  std::span<std::string_view> groups;  // of the identity, "PLUGIN:group"
  uint16_t refuse_status = 0;
  std::string_view refuse_reason, challenge;
  bool hold_head = false;  // with an accept: nothing goes on before its body hook lets something through
};

// Wakes a paused request. Implemented by the exchange; the plugin layer's tickets point to it.
class Resumable {
 public:
  // The request's worker thread, never inside a hook. False: it waits no longer, and nobody got `data`.
  virtual bool resume(void* data) = 0;
  bool took_ticket = false;  // since when the tickets must hear of its end
 protected:
  ~Resumable() = default;
};

struct Trace;  // trace.h

struct RequestContext {
  RequestContext(Arena& a, http::Message& head) : arena(a), request(head) {}
  RequestContext(const RequestContext&) = delete;
  RequestContext& operator=(const RequestContext&) = delete;

  Arena& arena;
  http::Message& request;
  http::Message* response = nullptr;  // from the upstream's or the local answer's head on
  const Snapshot* snapshot = nullptr;
  Names* names = nullptr;
  KeyDigests* key_digests = nullptr;  // the worker's; null outside of one
  net::Loop* loop = nullptr;          // null in explain
  Mode mode = Mode::live;
  Phase phase = Phase::routing;
  uint32_t worker = 0;
  std::span<void* const> worker_states;          // by Filter::index; empty in explain
  std::span<upstream::Cluster* const> clusters;  // by Snapshot::clusters; likewise
  double random = 0;                             // in [0,1), drawn once: splits without a key
  Random* ids = nullptr;                         // the worker's; null in explain

  // facts
  std::string_view listener;
  std::string_view scheme;             // "http" | "https"
  uint16_t listener_port = 0;          // 0: it has none
  const net::Address* peer = nullptr;  // TCP peer
  const net::TlsInfo* tls = nullptr;
  const http::Stream* stream = nullptr;  // whose address the client connected to; null in explain
  bool behind_proxy = false;             // the client came through a proxy that is trusted
  bool believed = false;                 // and what its headers say about the client is believed
  net::Address client;                   // after trusted_proxies
  std::string_view client_address;       // its text
  std::string_view request_id;
  std::string_view sent_path,
      sent_host;                // as the client sent them; the head's own are rewritten for the upstream
  std::string_view sent_query;  // set when credentials were taken out of the head's; for the log
  Grpc grpc = Grpc::none;       // whether it is a call of gRPC
  int64_t wall_ns = 0;          // at the start; explain and tests choose it
  int64_t monotonic_ns = 0;

  // decision
  std::string_view path;  // canonical; what is matched and (rewritten) forwarded
  const Route* route = nullptr;
  std::span<PathParameter> parameters;
  uint32_t matched_prefix = 0;  // bytes of `path` that a path_prefix matched
  std::string_view api_version;
  const Consumer* consumer = nullptr;
  std::string_view consumer_id;  // consumer's name or "PLUGIN:claim"; data() null: nobody
  std::span<const std::string_view> identity_groups;
  const Target* target = nullptr;   // chosen by a plugin (target_set) or the route's own
  std::string_view upstream_path;   // set by rewrite_path of a plugin; empty: by the route's rewrite
  std::string_view forwarded_path;  // what the backend gets
  std::string_view upstream_name, endpoint_address;

  // what plugins recorded
  LocalResponse local;
  AuthRecord auth;
  HeaderEdit* auth_edits = nullptr;  // header edits of an authenticator, applied only on accept
  // Heads that wait for what their body hooks let through; until then hooks may write them.
  bool request_held = false, response_held = false;
  BodyChain* body = nullptr;          // while one of its hooks runs
  const FilterMark* marks = nullptr;  // newest first
  http::Headers* request_trailers = nullptr;
  http::Headers* response_trailers = nullptr;
  std::string_view reason;  // final reason code of the exchange
  std::string_view plugin;  // the instance that answered or failed
  uint64_t request_body_bytes = 0, response_body_bytes = 0;
  // Of a call of gRPC that the gateway answered itself: what a client of HTTP would have got, though it sent
  // 200.
  uint16_t response_status = 0;
  std::optional<GrpcStatus> grpc_status;  // the call's, once it is known
  Resumable* resumable = nullptr;         // null where pausing is not possible
  Trace* trace = nullptr;                 // once somebody asked for it

  void mark(const Filter& filter, FilterMark::Kind kind) {
    marks = arena.make<FilterMark>(kind, &filter, marks);
  }
  bool in_group(std::string_view group) const;
  // data() is null when it is not known (yet) for this request; otherwise valid as long as the request.
  std::string_view attribute(const Attribute& attribute) const;
  std::string_view attribute(uint32_t id) const;
  std::string_view query_attribute() const;                 // request.query
  void set_attribute(uint32_t id, std::string_view value);  // value: the arena's
  // Attributes set by plugins: a mark and what was set since it can be dropped (authenticators that do not
  // accept).
  struct SetAttribute {
    uint32_t id;
    std::string_view value;
    SetAttribute* next;
  };
  SetAttribute* attributes = nullptr;  // newest first
  std::span<std::byte> contexts;       // plugins' per-request memory, zeroed; offsets are in the chain
};

// The first value of a query parameter, percent-decoded into the arena; data() null: not there.
std::string_view query_value(Arena& arena, std::string_view query, std::string_view name);
std::string_view cookie_value(const http::Headers& headers, std::string_view name);

}  // namespace penstock::proxy
