#include "options.h"

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace load {
namespace {

[[noreturn]] void usage() {
  std::fputs(
      "usage: penstock_load --port N [--path /PATH] [--connections N] [--seconds N] [--requests N] [--body "
      "BYTES]\n"
      "                     [--header 'NAME: VALUE']... [--tls full|resumed] [--mode kept|fresh|held] "
      "[--rate N]\n",
      stderr);
  std::exit(2);
}

uint64_t number(const char* text) {
  char* end = nullptr;
  const uint64_t value = std::strtoull(text, &end, 10);
  if (end == text || *end != '\0') usage();
  return value;
}

Tls tls_of(std::string_view text) {
  if (text == "full") return Tls::full;
  if (text == "resumed") return Tls::resumed;
  usage();
}

Mode mode_of(std::string_view text) {
  if (text == "kept") return Mode::kept;
  if (text == "fresh") return Mode::fresh;
  if (text == "held") return Mode::held;
  usage();
}

}  // namespace

Options parse_options(int count, char** arguments) {
  Options options;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string_view key = arguments[i];
    const char* value = arguments[i + 1];
    if (key == "--port")
      options.port = static_cast<uint16_t>(number(value));
    else if (key == "--path")
      options.path = value;
    else if (key == "--connections")
      options.connections = number(value);
    else if (key == "--seconds")
      options.seconds = std::atof(value);
    else if (key == "--requests")
      options.requests = number(value);
    else if (key == "--body")
      options.body = number(value);
    else if (key == "--header")
      options.headers.emplace_back(value);
    else if (key == "--tls")
      options.tls = tls_of(value);
    else if (key == "--mode")
      options.mode = mode_of(value);
    else if (key == "--rate")
      options.rate = number(value), options.mode = Mode::rate;
    else
      usage();
  }
  if (count % 2 == 0 || options.port == 0 || options.connections == 0) usage();
  // A body leaves by sendfile, which a TLS connection cannot use.
  if (options.body > 0 && options.tls != Tls::none) usage();
  return options;
}

}  // namespace load
