// A tracer that is somebody else's plugin: spans of requests and of each attempt, joined with the client's
// and the backend's.
#include <doctest/doctest.h>

#include <csignal>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/wire_server.h"

using namespace e2e;

namespace {

using Spans = std::vector<nlohmann::json>;

// Answers with the traceparent that came, after `failures` connections that it closes instead.
struct Traced {
  explicit Traced(int failures = 0)
      : left(failures), server([this](WireServer::Conversation& talk) {
          if (talk.received.find("\r\n\r\n") == std::string::npos) return;
          const std::lock_guard lock(mutex);
          const std::string key = "traceparent: ";
          const size_t at = talk.received.find(key);
          const std::string parent =
              at == std::string::npos ? "none" : talk.received.substr(at + key.size(), 55);
          talk.received.clear();
          parents.push_back(parent);
          talk.close = WireServer::Conversation::Close::after_sending;
          if (left-- > 0) return;
          talk.to_send = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 55\r\n\r\n" + parent;
        }) {}
  std::mutex mutex;
  std::vector<std::string> parents;
  int left;
  WireServer server;
};

Spans spans_of(const Gateway& gateway) {
  Spans out;
  std::istringstream lines(gateway.folder().read("spans"));
  for (std::string line; std::getline(lines, line);) out.push_back(nlohmann::json::parse(line));
  return out;
}

std::string traced_by(const std::string& upstreams) {
  return basics(
      "plugin_libraries: [\"" + binary("tests/plugins/tracer.so") + "\"]\n" +
      "plugins: { spans: { type: tracer, file: spans } }\n"
      "routes: [{ name: traced, match: { path_prefix: / }, public: true, plugins: [spans], upstream: u,\n"
      "           retries: { attempts: 1, retry_on: [reset] } }]\n"
      "upstreams: { u: { endpoints: [" +
      upstreams + "], balance: round_robin } }\n");
}

const std::string parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

}  // namespace

TEST_CASE("a tracer's spans hang together from the client's to the backend's") {
  Traced backend;
  Gateway gateway(traced_by('"' + backend.server.endpoint() + '"'));
  const Response answer = get(gateway.port(), "/a", "traceparent: " + parent + "\r\ntracestate: x=y\r\n");
  CHECK(answer.status == 200);
  CHECK(gateway.stop(SIGTERM) == 0);
  const Spans spans = spans_of(gateway);
  REQUIRE(spans.size() == 2);
  const auto &attempt = spans[0], &request = spans[1];
  CHECK(attempt["kind"] == "CLIENT");
  CHECK(request["kind"] == "SERVER");
  CHECK(request["parentId"] == "00f067aa0ba902b7");
  CHECK(request["traceId"] == "4bf92f3577b34da6a3ce929d0e0e4736");
  CHECK(attempt["traceId"] == request["traceId"]);
  CHECK(attempt["parentId"] == request["id"]);
  CHECK(attempt["name"] == backend.server.endpoint());
  CHECK(attempt["timestamp"] >= request["timestamp"]);
  CHECK(answer.body == "00-4bf92f3577b34da6a3ce929d0e0e4736-" + attempt["id"].get<std::string>() + "-01");
  const auto line = nlohmann::json::parse(gateway.folder().read("access.log"));
  CHECK(line["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736");
}

TEST_CASE("each attempt is a span, the lost one too") {
  Traced failing(1), serving;
  Gateway gateway(traced_by('"' + failing.server.endpoint() + "\", \"" + serving.server.endpoint() + '"'));
  // Round robin begins somewhere: one of two requests meets the failing one first.
  for (int i = 0; i < 2; ++i) CHECK(get(gateway.port(), "/a").status == 200);
  CHECK(gateway.stop(SIGTERM) == 0);
  const Spans spans = spans_of(gateway);
  std::map<std::string, int> attempts, requests;
  for (const auto& span : spans) ++(span["kind"] == "CLIENT" ? attempts : requests)[span["traceId"]];
  CHECK(requests.size() == 2);
  REQUIRE(attempts.size() == 2);
  CHECK(attempts.begin()->second + attempts.rbegin()->second == 3);
  std::vector<std::string> told = failing.parents;
  told.insert(told.end(), serving.parents.begin(), serving.parents.end());
  CHECK(told.size() == 3);
  for (const std::string& one : told) CHECK(one != "none");
}
