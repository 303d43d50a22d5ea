#include "fuzz/targets.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "desync/payloads.h"

namespace penstock::fuzz {
namespace {

constexpr std::array all{
    Target{"request", fuzz_request, {"requests", ""}},
    Target{"response", fuzz_response, {"responses", ""}},
    Target{"chunked", fuzz_chunked, {"chunks", ""}},
    Target{"request_reference", fuzz_request_reference, {"requests", ""}},
    Target{"response_reference", fuzz_response_reference, {"responses", ""}},
    Target{"round_trip", fuzz_round_trip, {"requests", "responses"}},
    Target{"uri", fuzz_uri, {"uris", ""}},
    Target{"host", fuzz_host, {"hosts", ""}},
    Target{"forwarded", fuzz_forwarded, {"forwarded", ""}},
    Target{"proxy_protocol", fuzz_proxy_protocol, {"proxy_protocol", ""}},
    Target{"server_name", fuzz_server_name, {"server_names", ""}},
    Target{"ticket_keys", fuzz_ticket_keys, {"ticket_keys", ""}},
    Target{"http2", fuzz_http2, {"http2", ""}},
    Target{"http2_answer", fuzz_http2_answer, {"http2_answers", ""}},
    Target{"grpc_health", fuzz_grpc_health, {"grpc_health", ""}},
    Target{"log_line", fuzz_log_line, {"log_lines", ""}},
    Target{"bulk_answer", fuzz_bulk_answer, {"bulk_answers", ""}},
    Target{"jwt", fuzz_jwt, {"jwt", ""}},
    Target{"jwt_claims", fuzz_jwt_claims, {"jwt_claims", ""}},
    Target{"jwks", fuzz_jwks, {"jwks", ""}},
    Target{"basic", fuzz_basic, {"basic", ""}},
    Target{"carriers", fuzz_carriers, {"carriers", ""}},
};

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0;
}

}  // namespace

std::span<const Target> targets() { return all; }

const Target* find_target(std::string_view name) {
  auto found = std::ranges::find(all, name, &Target::name);
  return found == all.end() ? nullptr : &*found;
}

void broken(std::string_view promise, std::string_view details) {
  std::fprintf(stderr, "broken: %.*s\n%.*s\n", static_cast<int>(promise.size()), promise.data(),
               static_cast<int>(details.size()), details.data());
  std::abort();
}

std::string escaped(std::string_view bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (unsigned char c : bytes) {
    if (c == '\\')
      out += "\\\\";
    else if (c == '\r')
      out += "\\r";
    else if (c == '\n')
      out += "\\n";
    else if (c >= 0x20 && c < 0x7f)
      out += static_cast<char>(c);
    else
      out += {'\\', 'x', digits[c >> 4], digits[c & 15]};
  }
  return out;
}

std::string unescaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    char kind = text[++i];
    if (kind == 'x' && i + 2 < text.size()) {
      out += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    } else {
      out += kind == 'r' ? '\r' : kind == 'n' ? '\n' : kind;
    }
  }
  return out;
}

std::vector<std::string> seeds(const Target& target, const std::string& folder) {
  std::vector<std::string> out;
  for (std::string_view corpus : target.corpora) {
    std::ifstream in(folder + "/" + std::string(corpus) + ".txt");
    for (std::string line; std::getline(in, line);) out.push_back(unescaped(line));
    if (corpus == "requests")
      for (const desync::Payload& payload : desync::payloads()) out.push_back(payload.bytes);
  }
  return out;
}

}  // namespace penstock::fuzz
