// What penstock_load is told on its command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace load {

// Of connections: none is plain; full never offers a session; resumed offers the one it got last.
enum class Tls { none, full, resumed };
// kept: keep-alive, the next request after the answer. fresh: a connection for each request. rate:
// keep-alive, requests at fixed times whether or not answers came. held: one request on each, then nothing.
enum class Mode { kept, fresh, rate, held };

struct Options {
  uint16_t port = 0;
  std::string path = "/bytes/1024";
  size_t connections = 64;
  double seconds = 3;
  uint64_t requests = UINT64_MAX;  // an earlier end
  uint64_t body = 0;               // bytes of a POST; 0: GET
  uint64_t rate = 0;               // a second, with Mode::rate
  Tls tls = Tls::none;
  Mode mode = Mode::kept;
  std::vector<std::string> headers;
};

// Prints what is wrong and ends the program when something is.
Options parse_options(int count, char** arguments);

}  // namespace load
