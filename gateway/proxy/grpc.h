// What gRPC says in the heads and trailers of HTTP ("gRPC over HTTP2", "gRPC Web"): whether a request is a
// call, how long its client waits, how a call ends. Pure; texts are made in the request's arena.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/grpc_status.h"
#include "http/message.h"

namespace penstock::proxy {

// web, web_text: gRPC-Web, whose trailers are the last bytes of the body; text: and all of it is base64.
enum class Grpc : uint8_t { none, native, web, web_text };

namespace grpc {

inline constexpr std::string_view status_field = "grpc-status", message_field = "grpc-message",
                                  details_field = "grpc-status-details-bin", timeout_field = "grpc-timeout";

// By the method, the version and Content-Type. application/grpc over HTTP/1 is no call: the protocol has no
// such thing, and who sends it gets what HTTP/1 has for an answer.
Grpc kind_of(const http::Message& request);
// What stands behind "application/grpc" or, for gRPC-Web, behind "-web" or "-web-text": "+proto", or nothing.
std::string_view format_of(std::string_view content_type);
bool is_grpc(std::string_view content_type);  // application/grpc itself

// The form of gRPC-Web that the client wants its answer in: what Accept likes best, else that of its request.
Grpc answer_kind(const http::Message& request, Grpc kind);
// The Content-Type of an answer of that kind.
std::string_view content_type(Arena& arena, Grpc kind, std::string_view format);

// grpc-timeout in milliseconds, rounded up. nullopt: there is none, or it is none that the protocol knows,
// which is for the backend to judge.
std::optional<uint64_t> timeout_ms(const http::Headers& headers);
// So much as a value of that field.
std::string_view timeout_text(Arena& arena, uint64_t ms);

// grpc-status as it is in a head or trailers; nullopt: not there. One that is no number is `unknown`.
std::optional<GrpcStatus> status_in(const http::Headers& fields);

// grpc-message of a refusal, percent-encoded: the reason's code and what there is to say of it.
std::string_view message_of(Arena& arena, std::string_view reason, std::string_view detail);
std::string_view status_text(GrpcStatus status);  // its number

// The service and the method that a path names; empty unless it is "/SERVICE/METHOD".
struct Called {
  std::string_view service, method;
};
Called called(std::string_view path);

}  // namespace grpc
}  // namespace penstock::proxy
