// One plugin instance as the proxy sees it. Implemented by plugin/ over the C ABI and by tests in C++. An
// instance is immutable and shared by all workers; what it keeps per worker and per request is handed in with
// each call. Hooks never throw and never block. Request hooks run forwards through the chain, response hooks
// backwards.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/request_context.h"

namespace penstock::proxy {

enum class Action : uint8_t {
  next,     // go on with the chain
  respond,  // request.local holds the answer
  pause,    // a ticket was taken; resume() of the exchange continues with on_resume
  error,    // the plugin failed: on_error decides; for an authenticator it is a refusal
  buffer,   // of a body: this chunk is kept; of a head: it waits until its body hooks let something through
  detach,   // go on, and no further body or trailers hook of this plugin and direction
};

// Which message of an exchange.
enum class Way : uint8_t { request, response };

enum class AuthVerdict : uint8_t { accept, absent, refuse, pause, error };

enum class OnError : uint8_t { fail, skip };

// Everything about a finished exchange, for on_complete. Times in ns since start, -1: not applicable.
struct Summary {
  uint16_t status = 0;
  uint16_t attempts = 0;
  int64_t start_wall_ns = 0;
  int64_t total_ns = -1, first_byte_ns = -1, upstream_ns = -1, upstream_first_byte_ns = -1, connect_ns = -1,
          queue_ns = -1, auth_ns = -1;
  uint64_t request_header_bytes = 0, request_body_bytes = 0, response_header_bytes = 0,
           response_body_bytes = 0;
  bool upgraded = false, client_closed = false, truncated = false;
  std::string_view reason, plugin, route, upstream, endpoint, request_id;
  int8_t grpc_status = -1;                   // of a call of gRPC
  std::string_view rpc_service, rpc_method;  // from its path
  std::string_view trace_id, span_id;        // hex; empty: it is in no trace
  bool sampled = false;
};

// One try on an endpoint: about to begin, and over.
struct AttemptReport {
  uint16_t number = 0, status = 0;
  int64_t start_wall_ns = 0, duration_ns = -1;  // -1: about to begin
  std::string_view upstream, endpoint, reason;
  std::span<const uint8_t, 8> span_id;
};

// What explain shows for one plugin.
struct Explanation {
  enum class Verdict : uint8_t { next, answer, depends, accept, absent, refuse } verdict = Verdict::depends;
  enum class On : uint8_t { unknown, limit, fetch, time, random } on = On::unknown;
  std::string_view detail;  // arena of the request
};

constexpr FilterMark::Kind detached(Way way) {
  return way == Way::request ? FilterMark::Kind::request_detached : FilterMark::Kind::response_detached;
}

struct FilterCall {
  RequestContext& request;
  void* worker_state;  // what worker_start made on this worker; null in explain
  void* context;       // context_size() bytes of this request
};

class Filter {
 public:
  enum Hook : uint32_t {
    authenticate_hook = 1,
    request_headers_hook = 2,
    response_headers_hook = 4,
    complete_hook = 8,
    explain_hook = 16,
    request_body_hook = 32,
    request_trailers_hook = 64,
    response_body_hook = 128,
    response_trailers_hook = 256,
    upgrade_hook = 512,
    attempt_hook = 1024,
  };
  static constexpr uint32_t body_hooks =
      request_body_hook | request_trailers_hook | response_body_hook | response_trailers_hook;
  virtual ~Filter() = default;  // main thread
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;

  const std::string& name() const { return name_; }  // the instance's name in the configuration
  const std::string& type() const { return type_; }
  uint32_t hooks() const { return hooks_; }
  bool has(Hook hook) const { return hooks_ & hook; }
  size_t context_size() const { return context_size_; }
  OnError on_error() const { return on_error_; }
  const std::string& at() const { return at_; }  // file:line:column, for explain
  uint32_t index = 0;                            // in its snapshot: where the worker's state is found

  // Main thread, once: the configuration that it belongs to was taken, on every worker.
  virtual void started() const {}
  // Main thread: what it would tell an operator, one JSON object; empty: nothing.
  virtual std::string status() const { return {}; }
  // That worker's thread. false: the snapshot must not be used on this worker.
  virtual bool worker_start(uint32_t worker, net::Loop& loop, void** state) const = 0;
  virtual void worker_stop(uint32_t worker, void* state) const = 0;

  // Each only when hooks() has it.
  virtual AuthVerdict authenticate(const FilterCall& call) const = 0;
  virtual Action on_request_headers(const FilterCall& call) const = 0;
  // After a pause of either hook above; `authenticating` says which result is meant.
  virtual Action on_resume(const FilterCall& call, void* data) const = 0;
  virtual AuthVerdict authenticate_resume(const FilterCall& call, void* data) const = 0;
  // Instead of one of the two: the pause took too long, and nothing is to come of it any more.
  virtual void pause_over(const FilterCall&) const {}
  virtual Action on_response_headers(const FilterCall& call) const = 0;
  // Of the direction's body hook. `request.body` takes what goes on in place of the chunk. A response can
  // neither pause nor be answered.
  virtual Action on_body(Way way, const FilterCall& call, std::string_view chunk, bool end) const = 0;
  virtual Action on_body_resume(const FilterCall& call, void* data) const = 0;  // the verdict on that chunk
  virtual Action on_trailers(Way way, const FilterCall& call) const = 0;
  virtual Action on_upgrade(const FilterCall& call) const = 0;
  virtual void on_complete(const FilterCall& call, const Summary& summary) const = 0;
  virtual void on_attempt(const FilterCall& /*call*/, const AttemptReport& /*attempt*/) const {}
  virtual Explanation explain(const FilterCall& call) const = 0;
  // WWW-Authenticate of an authenticator, `ApiKey realm="keys"`.
  virtual std::string_view challenge() const = 0;
  // Request headers that carry this authenticator's credential: not forwarded unless forward_credentials.
  virtual const std::vector<std::string>& credential_headers() const = 0;
  // The same for query parameters (percent-decoded names) and cookies.
  virtual const std::vector<std::string>& credential_query() const = 0;
  virtual const std::vector<std::string>& credential_cookies() const = 0;

 protected:
  Filter(std::string name, std::string type, std::string at)
      : name_(std::move(name)), type_(std::move(type)), at_(std::move(at)) {}
  uint32_t hooks_ = 0;
  size_t context_size_ = 0;
  OnError on_error_ = OnError::fail;

 private:
  std::string name_, type_, at_;
};

}  // namespace penstock::proxy
