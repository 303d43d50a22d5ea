// A server of gRPC, clients of gRPC and gRPC-Web, and a gateway between them. Messages are bytes as they are:
// no code is generated.
#pragma once
#include <string>
#include <vector>

#include "e2e/harness/gateway.h"
#include "e2e/harness/process.h"

namespace e2e {

// python3-grpcio. Says "over" when a call of Hang or HangUnary is.
struct GrpcServer {
  GrpcServer();
  Process process;
  std::string endpoint;
};

// python3-h2, for what no library does: HalfAndReset and Reset what is asked of it (ResetN: with that code),
// Half and Silent answer in part or not at all. Says "reset CODE" of a stream that was reset.
struct RawGrpcServer {
  RawGrpcServer();
  Process process;
  std::string endpoint;
};

// What a client script can use: ch, unary(METHOD), server_stream, client_stream, bidi of /test.Peer/METHOD,
// failure(CALL) -> (status, details). It exits with 0 when all its assertions held.
Ran grpc_client(const Gateway& gateway, const std::string& script, const std::vector<std::string>& more = {});

// begin(PATH, TYPE, MESSAGES) and call(...) -> (head, messages, trailers), over HTTP/1.1 to port argv[1]. It
// takes the answer as it comes, as fetch() does.
extern const std::string grpc_web_client;

// All calls go to `endpoint` by h2; `route` and `listener` are added to the only ones of theirs.
std::string grpc_configuration(const std::string& endpoint, const std::string& route = {},
                               const std::string& listener = {}, const std::string& more_routes = {},
                               const std::string& more_upstreams = {});

}  // namespace e2e
