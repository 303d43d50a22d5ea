// What is fuzzed: each target takes any bytes and aborts when a promise is broken. The libFuzzer program and
// the replay of the corpora in the ordinary test run share them.
#pragma once
#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::fuzz {

struct Target {
  std::string_view name;
  void (*run)(std::string_view bytes);
  std::array<std::string_view, 2>
      corpora;  // files of corpus/ without .txt; targets with one kind of input share
};
std::span<const Target> targets();
const Target* find_target(std::string_view name);

// Says what is broken and aborts, which is what libFuzzer takes for a find.
[[noreturn]] void broken(std::string_view promise, std::string_view details = {});
inline void promise(bool kept, std::string_view text, std::string_view details = {}) {
  if (!kept) broken(text, details);
}

// "\r\n" and the like as escapes, and back: corpora are text files with one input a line.
std::string escaped(std::string_view bytes);
std::string unescaped(std::string_view text);

// The inputs that the tree has for a target: the lines of its corpora under `folder` and, for requests, the
// payloads of the desync table.
std::vector<std::string> seeds(const Target& target, const std::string& folder);

// The targets, by file.
void fuzz_request(std::string_view bytes);  // parser_targets.cpp
void fuzz_response(std::string_view bytes);
void fuzz_chunked(std::string_view bytes);
void fuzz_request_reference(std::string_view bytes);  // reference_targets.cpp
void fuzz_response_reference(std::string_view bytes);
void fuzz_round_trip(std::string_view bytes);  // round_trip_target.cpp
void fuzz_uri(std::string_view bytes);         // address_targets.cpp
void fuzz_host(std::string_view bytes);
void fuzz_forwarded(std::string_view bytes);
void fuzz_proxy_protocol(std::string_view bytes);  // proxy_protocol_target.cpp
void fuzz_server_name(std::string_view bytes);     // tls_targets.cpp
void fuzz_ticket_keys(std::string_view bytes);
void fuzz_http2(std::string_view bytes);         // http2_target.cpp
void fuzz_http2_answer(std::string_view bytes);  // http2_answer_target.cpp
void fuzz_grpc_health(std::string_view bytes);   // grpc_health_target.cpp
void fuzz_log_line(std::string_view bytes);      // log_targets.cpp
void fuzz_bulk_answer(std::string_view bytes);
void fuzz_jwt(std::string_view bytes);  // credential_targets.cpp
void fuzz_jwt_claims(std::string_view bytes);
void fuzz_jwks(std::string_view bytes);
void fuzz_basic(std::string_view bytes);
void fuzz_carriers(std::string_view bytes);

}  // namespace penstock::fuzz
