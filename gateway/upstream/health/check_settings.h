// What an active check asks an endpoint, and how often. Plain data, a part of ClusterSettings; immutable.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace penstock::upstream {

enum class CheckKind : uint8_t { http, tcp, grpc };

struct StatusRange {
  uint16_t first = 200, last = 299;
  bool operator==(const StatusRange&) const = default;
};

// What makes it this check: another question is another check, which begins anew.
struct CheckQuestion {
  CheckKind kind = CheckKind::http;
  uint16_t port = 0;  // 0: the endpoint's own
  std::string host;   // Host, :authority; empty: the endpoint's name
  // http
  std::string method = "GET";
  std::string path, query;
  bool has_query = false;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::vector<StatusRange> status{{}};
  std::string body;  // that is in the answer's; empty: any
  // grpc
  std::string service;  // empty: the server as a whole

  bool operator==(const CheckQuestion&) const = default;
};

// These apply to the state that is there.
struct CheckPace {
  uint32_t interval_ms = 5'000;  // from the beginning of a check to that of the next one
  uint32_t timeout_ms = 2'000;   // for all of it
  double jitter = 0.1;           // of interval_ms, either way
  uint32_t healthy = 2;          // passed in a row, to come back
  uint32_t unhealthy = 3;        // failed in a row, to be taken out
  uint32_t body_size = 64 * 1024;
};

struct CheckSettings {
  CheckQuestion question;
  CheckPace pace;
};

}  // namespace penstock::upstream
