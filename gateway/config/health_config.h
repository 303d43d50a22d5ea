// The `health_check:` of an upstream, compiled: plain structs. Read-only after load().
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "config/values.h"

namespace penstock::config {

struct StatusRange {
  uint16_t first = 200, last = 299;
};

struct HealthCheck {
  enum class Kind : uint8_t { http, tcp, grpc };
  Kind kind = Kind::http;
  uint32_t port = 0;  // 0: the endpoint's own
  std::string host;   // empty: the endpoint as it is called
  // http
  std::string method = "GET";
  std::string path;                                          // begins with '/'; maybe with a query
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::vector<StatusRange> status{{}};
  std::string body;  // empty: any
  uint64_t body_size = 64 * 1024;
  // grpc
  std::string service;  // empty: the server as a whole

  Duration interval{5'000};
  Duration timeout{2'000};
  double jitter = 0.1;
  uint32_t healthy = 2;
  uint32_t unhealthy = 3;
  Position at;
};

}  // namespace penstock::config
